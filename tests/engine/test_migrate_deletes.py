"""What source and target do not have in common, found on a real node, and deleted."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.engine.indices import create_index, refresh_index
from opensearch_funnel.engine.scanning import shard_bounds
from opensearch_funnel.migrating.deletes import remove_deleted
from opensearch_funnel.migrating.differences import (
    Difference,
    Numbered,
    copies_of,
    difference,
    source_shard,
)
from opensearch_funnel.migrating.migration import (
    Migration,
    forget_migration,
    load_migration,
    origin_of,
)
from opensearch_funnel.migrating.passes import WorkOptions
from opensearch_funnel.migrating.running import RunOptions, run
from opensearch_funnel.migrating.writing import Deletion, Writer
from tests.engine.migrations import (
    EVEN,
    compared,
    fill,
    film,
    films,
    make_source,
    planned,
    stand_in,
)

pytestmark = pytest.mark.engine


@dataclass(frozen=True, kw_only=True)
class Asked(Numbered):
    """Counts the searches, too."""

    searches: list[int]

    def _search(self, *args: object, **kwargs: object) -> object:
        self.searches.append(1)
        return super()._search(*args, **kwargs)  # type: ignore[arg-type]


@pytest.fixture
def numbers(client: OpenSearch, index_name: str) -> str:
    """An index whose documents have a number each, as copies have."""
    origin = {"properties": {"funnel": {"properties": {"origin": {"type": "long"}}}}}
    body = {"settings": {"number_of_shards": 2, "number_of_replicas": 0}, "mappings": origin}
    create_index(client, index=index_name, body=body)
    return index_name


def _number(client: OpenSearch, index: str, *, shard: int, operations: list[int]) -> None:
    lines: list[object] = []
    for at in operations:
        funnel = {"origin": origin_of(shard=shard, seq_no=at)}
        lines += [{"index": {"_id": f"{shard}-{at}"}}, {"funnel": funnel}]
    for some in range(0, len(lines), 20_000):
        body = b"".join(orjson.dumps(one) + b"\n" for one in lines[some : some + 20_000])
        assert not client.bulk(index=index, body=body)["errors"]


@pytest.mark.parametrize("seed", range(4))
def test_two_sets_of_numbers_are_compared_exactly(
    client: OpenSearch, numbers: str, seed: int
) -> None:
    """Both sides are copies here, of shards 1 and 3: any two sets can be made up."""
    rng = random.Random(seed)  # noqa: S311 - a seeded test keeps no secret
    bound = rng.choice([1, 40, 9_000, 70_000])
    operations = range(bound + 1)
    ours = sorted(rng.sample(operations, k=min(len(operations), 12_000) * 3 // 4))
    extra = set(rng.sample(operations, k=min(len(operations), 60) // 2))
    gone = set(rng.sample(ours, k=min(len(ours), 50) // 2))
    dead = set(rng.sample(ours, k=min(len(ours), 40) // 3))
    theirs = sorted(({*ours} - gone - dead) | extra)
    _number(client, numbers, shard=1, operations=[*ours, bound + 1])
    _number(client, numbers, shard=3, operations=[*theirs, bound + 2])
    refresh_index(client, index=numbers)
    source = copies_of(client, numbers, shard=1)
    without = Numbered(
        client=client,
        index=numbers,
        field=source.field,
        shard=None,
        base=source.base,
        without=frozenset(dead),
    )
    found = difference(without, copies_of(client, numbers, shard=3), bound=bound)
    assert [one.at for one in found.extra] == sorted({*theirs} - {*ours})
    assert [one.at for one in found.missing] == sorted({*ours} - {*theirs})
    assert [one.doc_id for one in found.missing] == [f"1-{one.at}" for one in found.missing]


def test_a_few_searches_are_enough_for_any_size(client: OpenSearch, numbers: str) -> None:
    operations = list(range(30_000))
    _number(client, numbers, shard=0, operations=operations)
    _number(client, numbers, shard=1, operations=[at for at in operations if at % 307])
    refresh_index(client, index=numbers)
    searches: list[int] = []
    sides = [
        Asked(
            client=client,
            index=numbers,
            field="funnel.origin",
            shard=None,
            base=origin_of(shard=shard, seq_no=0),
            searches=searches,
        )
        for shard in (0, 1)
    ]
    found = difference(sides[0], sides[1], bound=29_999)
    assert [one.at for one in found.missing] == list(range(0, 30_000, 307))
    assert len(searches) <= 6


def test_more_differences_than_fit_in_a_page_are_all_found(
    client: OpenSearch, numbers: str
) -> None:
    _number(client, numbers, shard=0, operations=list(range(0, 30_000, 2)))
    _number(client, numbers, shard=1, operations=list(range(1, 30_000, 4)))
    refresh_index(client, index=numbers)
    ours, theirs = (copies_of(client, numbers, shard=shard) for shard in (0, 1))
    found = difference(ours, theirs, bound=29_999)
    assert (len(found.missing), len(found.extra)) == (15_000, 7_500)


def test_copies_are_all_read_where_others_were_deleted(client: OpenSearch, index_name: str) -> None:
    """In several pages: neither their ends nor what is deleted between takes any away."""
    mappings = {"properties": {"funnel": {"properties": {"origin": {"type": "long"}}}}}
    settings = {"number_of_shards": 1, "number_of_replicas": 0, "max_result_window": 500}
    client.indices.create(index=index_name, body={"mappings": mappings, "settings": settings})
    bodies = [{"funnel": {"origin": number}} for number in range(2000)]
    fill(client, index_name, ((f"d{number}", body) for number, body in enumerate(bodies)))
    refresh_index(client, index=index_name)
    lines = [{"delete": {"_id": f"d{number}"}} for number in range(0, 2000, 3)]
    client.bulk(index=index_name, body=b"".join(orjson.dumps(line) + b"\n" for line in lines))
    refresh_index(client, index=index_name)
    found = copies_of(client, index_name, shard=0).read([(0, 1999)])
    assert sorted(found) == [number for number in range(2000) if number % 3]


def test_a_shard_without_operations_has_no_differences(client: OpenSearch, numbers: str) -> None:
    ours, theirs = (copies_of(client, numbers, shard=shard) for shard in (0, 1))
    assert difference(ours, theirs, bound=-1) == Difference(extra=(), missing=())


@pytest.fixture
def migration(client: OpenSearch, index_name: str) -> Iterator[Migration]:
    make_source(client, index_name)
    yield planned(client, index_name, encoder=stand_in())
    forget_migration(client, index_name)


def _run(client: OpenSearch, migration: Migration, folder: Path) -> Migration:
    options = RunOptions(
        documents_per_second=float("inf"), work=WorkOptions(page=40, letters=folder)
    )
    run(client, load_migration(client, migration.alias), encoder=stand_in(), options=options)
    return load_migration(client, migration.alias)


def _writer(client: OpenSearch, migration: Migration, folder: Path) -> Writer:
    return Writer(
        client=client,
        alias=migration.writing_alias,
        letters=folder / "dead.ndjson.gz",
        patience_s=30.0,
    )


@pytest.mark.parametrize("seed", range(2))
def test_deleted_updated_and_inserted_again_in_any_order(
    client: OpenSearch, migration: Migration, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)  # noqa: S311 - a seeded test keeps no secret
    films(client, migration.source, range(200))
    live = set(range(200))
    editions = dict.fromkeys(range(400), 0)
    deleted = 0
    for _ in range(3):
        lines: list[object] = []
        for _ in range(150):
            number = rng.randrange(400)
            kind = rng.choice(["update", "delete", "again"])
            if kind == "delete" and number in live:
                lines.append({"delete": {"_id": f"d{number}"}})
                live.discard(number)
                deleted += 1
            elif kind != "delete":
                editions[number] += 1
                lines += [{"index": {"_id": f"d{number}"}}, film(number, edition=editions[number])]
                live.add(number)
        body = b"".join(orjson.dumps(one) + b"\n" for one in lines)
        assert not client.bulk(index=migration.source, body=body)["errors"]
        present = _run(client, migration, tmp_path)
        assert compared(client, present, encoder=stand_in()) == EVEN
    assert 0 < present.deleted <= deleted


def test_a_dead_letter_does_not_hide_a_deleted_document(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    """In one range of operations, one that is missing makes up for one that is too many."""
    films(client, migration.source, range(60))
    own = {"title": "a film", "funnel": "a field of the user's"}
    fill(
        client,
        migration.source,
        ((f"d{n}", own if n % 3 else {"title": "a film"}) for n in range(60, 90)),
    )
    present = _run(client, migration, tmp_path)
    for number in range(60, 90, 3):
        client.delete(index=migration.source, id=f"d{number}")
    for number in (61, 64):
        client.delete(index=migration.source, id=f"d{number}")
    bounds = shard_bounds(client, migration.source)
    writer = _writer(client, present, tmp_path)
    removal = remove_deleted(client, present, bounds, writer=writer)
    assert removal.deleted == 10
    dead = {f"d{n}" for n in range(60, 90) if n % 3} - {"d61", "d64"}
    assert {doc_id for some in removal.missing.values() for doc_id in some} == dead
    refresh_index(client, index=present.target)
    assert client.count(index=present.target)["count"] == 60
    again = remove_deleted(client, present, bounds, writer=writer)
    assert (again.deleted, again.missing) == (0, removal.missing)


def test_a_document_that_was_written_since_is_not_deleted(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    films(client, migration.source, range(20))
    present = _run(client, migration, tmp_path)
    bounds = shard_bounds(client, migration.source)
    films(client, migration.source, range(10), edition=1)
    client.delete(index=migration.source, id="d15")
    client.delete(index=migration.source, id="d16")
    films(client, migration.source, [16], edition=2)
    refresh_index(client, index=migration.source)
    removal = remove_deleted(client, present, bounds, writer=_writer(client, present, tmp_path))
    assert removal.deleted == 1
    refresh_index(client, index=present.target)
    assert client.count(index=present.target)["count"] == 19
    assert compared(client, _run(client, present, tmp_path), encoder=stand_in()) == EVEN


def test_a_document_that_came_back_and_was_copied_gets_past_a_late_deletion(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    films(client, migration.source, range(4))
    present = _run(client, migration, tmp_path)
    shard = _shard_of(client, migration.source, "d1")
    bounds = shard_bounds(client, migration.source)
    client.delete(index=migration.source, id="d1")
    films(client, migration.source, [1], edition=1)
    present = _run(client, present, tmp_path)
    late = Deletion(doc_id="d1", routing=None, version=bounds[shard] + 1)
    assert _writer(client, present, tmp_path).delete([late]) == 0
    assert compared(client, present, encoder=stand_in()) == EVEN


def _shard_of(client: OpenSearch, index: str, doc_id: str) -> int:
    shards = client.transport.perform_request(
        "GET", f"/{index}/_search_shards", params={"routing": doc_id}
    )["shards"]
    return int(shards[0][0]["shard"])


def test_source_and_target_sides_count_the_same(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    films(client, migration.source, range(100))
    present = _run(client, migration, tmp_path)
    refresh_index(client, index=present.target)
    for shard, bound in shard_bounds(client, migration.source).items():
        ranges = [(0, 7), (16, bound)]
        ours = source_shard(client, migration.source, shard=shard).counts(ranges, interval=8)
        theirs = copies_of(client, present.target, shard=shard).counts(ranges, interval=8)
        assert ours == theirs
        assert ours[0] == 8
