"""Reading an index in the order of its operations, on a real node."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import orjson
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError, InputError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.indices import refresh_index
from opensearch_funnel.engine.scanning import (
    StoredDocument,
    read_page,
    seq_no_histogram,
    shard_bounds,
    shard_states,
)
from opensearch_funnel.engine.source_bytes import source_hash
from opensearch_funnel.settings import Settings

pytestmark = pytest.mark.engine


def _create(
    client: OpenSearch,
    index: str,
    *,
    shards: int = 1,
    mappings: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
) -> None:
    body: dict[str, Any] = {
        "settings": {"number_of_shards": shards, "number_of_replicas": 0, **(settings or {})}
    }
    if mappings is not None:
        body["mappings"] = mappings
    client.indices.create(index=index, body=body)


def _write(client: OpenSearch, index: str, lines: list[Any], **params: str) -> list[dict[str, Any]]:
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    answer = client.bulk(index=index, body=body, params=params)
    assert not answer["errors"], answer
    items: list[dict[str, Any]] = answer["items"]
    return items


def _fill(client: OpenSearch, index: str, ids: Iterator[int] | range) -> None:
    lines: list[Any] = []
    for number in ids:
        lines += [{"index": {"_id": f"d{number}"}}, {"n": number}]
    _write(client, index, lines)


def _stored_as(client: OpenSearch, index: str, doc_id: str, source: bytes) -> None:
    client.index(index=index, id=doc_id, body=source)


def _whole(
    client: OpenSearch, index: str, *, shard: int = 0, upto: int, size: int = 1000
) -> list[StoredDocument]:
    found: list[StoredDocument] = []
    after = -1
    while page := read_page(client, index, shard=shard, after=after, upto=upto, size=size):
        assert len(page) <= size
        found += page
        after = page[-1].seq_no
    return found


def test_pages_give_every_document_once_in_the_order_of_its_last_write(
    client: OpenSearch, index_name: str
) -> None:
    _create(client, index_name)
    _fill(client, index_name, range(1000))
    # What is rewritten moves to the end, and leaves wide gaps.
    _fill(client, index_name, range(50, 940))
    _write(client, index_name, [{"delete": {"_id": f"d{number}"}} for number in range(40)])
    bound = shard_bounds(client, index_name)[0]
    assert bound == 1929
    found = _whole(client, index_name, upto=bound, size=7)
    assert [one.seq_no for one in found] == [*range(40, 50), *range(940, 1000), *range(1000, 1890)]
    assert [one.doc_id for one in found] == [
        f"d{number}" for number in [*range(40, 50), *range(940, 1000), *range(50, 940)]
    ]
    assert {one.version for one in found[70:]} == {2}
    assert {(one.primary_term, one.routing, one.place - one.seq_no) for one in found} == {
        (1, None, 0)
    }
    assert found == _whole(client, index_name, upto=bound, size=10_000)
    assert read_page(client, index_name, shard=0, after=bound, upto=bound, size=10) == []


def test_a_bound_keeps_out_what_was_written_after_it(client: OpenSearch, index_name: str) -> None:
    _create(client, index_name)
    _fill(client, index_name, range(10))
    bound = shard_bounds(client, index_name)[0]
    _fill(client, index_name, range(5, 15))
    later = shard_bounds(client, index_name)[0]
    assert (bound, later) == (9, 19)
    assert [one.doc_id for one in _whole(client, index_name, upto=bound)] == [
        f"d{number}" for number in range(5)
    ]
    page = read_page(client, index_name, shard=0, after=bound, upto=later, size=100)
    assert [one.doc_id for one in page] == [f"d{number}" for number in range(5, 15)]


@pytest.mark.parametrize(
    "source",
    [
        b'{ "price" : 1.50,\t"e": 1E2, "z": -0.0 }',
        b'{"raw": {"big": 123456789012345678901234567890, "far": 1e400}}',
        b'{"raw": {"long": 0.12345678901234567890123456789}}',
        b'{\n  "text": "two\\nlines",\r\n  "escaped": "\\u00e9\\/"\n}',
        '{"text": "é 😀 \u2028"}'.encode(),
        b'{"text": "cut \\ud83d"}',
        b'{"text": "\\udc00\\ud800"}',
        b'{"text": "a" /* why } */, "b": "/* no */"}',
        b'{"text": "a" // "why": {\n}',
        b'{"raw": ' + b'{"a":' * 990 + b"1" + b"}" * 990 + b"}",
        b"{}",
        b"{ }",
    ],
    ids=lambda source: source[:40].decode(),
)
def test_a_document_comes_back_byte_for_byte(
    client: OpenSearch, index_name: str, source: bytes
) -> None:
    _create(
        client, index_name, mappings={"properties": {"raw": {"type": "object", "enabled": False}}}
    )
    _stored_as(client, index_name, "before", b'{"text": "plain"}')
    _stored_as(client, index_name, "odd", source)
    _stored_as(client, index_name, "behind", b'{"text": "plain"}')
    found = _whole(client, index_name, upto=shard_bounds(client, index_name)[0])
    assert [(one.doc_id, one.source) for one in found] == [
        ("before", b'{"text": "plain"}'),
        ("odd", source),
        ("behind", b'{"text": "plain"}'),
    ]
    assert len(source_hash(source)) == 64


def test_a_page_that_cannot_be_read_says_which(client: OpenSearch, index_name: str) -> None:
    # The comment has no end in the text of the answer either: it takes the rest of it along.
    _create(client, index_name)
    _stored_as(client, index_name, "1", b'{"a": 1} // why')
    bound = shard_bounds(client, index_name)[0]
    with pytest.raises(EngineError, match=r"a page of .* cannot be read .*'_seq_no': {'gt': -1"):
        read_page(client, index_name, shard=0, after=-1, upto=bound, size=10)
    (only,) = read_page(
        client, index_name, shard=0, after=-1, upto=bound, size=10, include_source=False
    )
    assert (only.doc_id, only.source) == ("1", b"")


def test_routing_and_joins_come_back_and_inner_documents_do_not(
    client: OpenSearch, index_name: str
) -> None:
    mappings = {
        "properties": {
            "parts": {"type": "nested"},
            "tree": {"type": "join", "relations": {"parent": "child"}},
        }
    }
    _create(client, index_name, shards=3, mappings=mappings)
    lines = [
        {"index": {"_id": "p"}},
        {"tree": "parent", "parts": [{"n": 1}, {"n": 2}, {"n": 3}]},
        {"index": {"_id": "c", "routing": "p"}},
        {"tree": {"name": "child", "parent": "p"}},
        {"index": {"_id": "r", "routing": "é:1"}},
        {"parts": [{"n": 1}]},
    ]
    _write(client, index_name, lines)
    bounds = shard_bounds(client, index_name)
    assert sorted(bounds) == [0, 1, 2]
    found = {
        one.doc_id: one
        for shard, bound in bounds.items()
        for one in _whole(client, index_name, shard=shard, upto=bound)
    }
    assert {doc_id: one.routing for doc_id, one in found.items()} == {
        "p": None,
        "c": "p",
        "r": "é:1",
    }
    assert found["p"].source == orjson.dumps(lines[1])
    counted = [
        seq_no_histogram(client, index_name, shard=shard, after=-1, upto=bound, interval=4)
        for shard, bound in bounds.items()
    ]
    assert sum(count for counts in counted for count in counts.values()) == 3


def test_bounds_of_a_shard_without_operations(client: OpenSearch, index_name: str) -> None:
    _create(client, index_name, shards=2)
    assert shard_bounds(client, index_name) == {0: -1, 1: -1}
    assert read_page(client, index_name, shard=1, after=-1, upto=-1, size=10) == []
    assert seq_no_histogram(client, index_name, shard=1, after=-1, upto=-1, interval=8) == {}


def test_a_shard_that_only_had_deletes_has_no_documents(
    client: OpenSearch, index_name: str
) -> None:
    _create(client, index_name)
    _write(client, index_name, [{"delete": {"_id": "nobody"}}])
    assert shard_bounds(client, index_name) == {0: 0}
    assert _whole(client, index_name, upto=0) == []
    assert seq_no_histogram(client, index_name, shard=0, after=-1, upto=0, interval=8) == {}


def test_what_is_not_on_disk_yet_is_covered_when_writes_have_ended(
    client: OpenSearch, index_name: str
) -> None:
    settings = {"index.translog.durability": "async", "index.translog.sync_interval": "100d"}
    _create(client, index_name, settings=settings)
    _fill(client, index_name, range(5))
    client.indices.add_block(index=index_name, block="write")
    # The block alone does not bring the checkpoint forward.
    (state,) = shard_states(client, index_name)
    assert (state.bound, state.highest) == (-1, 4)
    assert shard_bounds(client, index_name) == {0: -1}
    assert shard_bounds(client, index_name, settled=True) == {0: 4}
    assert len(_whole(client, index_name, upto=4)) == 5


class _Copy:
    """What a reader that goes on from bound to bound knows of an index."""

    def __init__(self, client: OpenSearch, index: str) -> None:
        self._client, self._index = client, index
        self._done: dict[int, int] = {}
        self.seen: dict[str, StoredDocument] = {}

    def catch_up(self) -> None:
        for shard, bound in shard_bounds(self._client, self._index).items():
            after = self._done.get(shard, -1)
            assert bound >= after
            while page := read_page(
                self._client, self._index, shard=shard, after=after, upto=bound, size=50
            ):
                self.seen.update((one.doc_id, one) for one in page)
                after = page[-1].seq_no
            self._done[shard] = bound


def _turns(rng: random.Random, *, by: int) -> Iterator[bytes]:
    """Requests of a writer that shares its documents with others: updates and deletes."""
    for turn in range(30):
        lines: list[Any] = []
        for _ in range(rng.randrange(1, 12)):
            action = {"_id": f"d{rng.randrange(200)}"}
            if rng.random() < 0.2:
                lines.append({"delete": action})
            else:
                lines += [{"index": action}, {"by": by, "turn": turn}]
        yield b"".join(orjson.dumps(line) + b"\n" for line in lines)


def test_a_scan_beside_many_writers_misses_nothing(
    client: OpenSearch, engine_settings: Settings, index_name: str
) -> None:
    writers = 8
    _create(client, index_name, shards=2)
    writing = connect(engine_settings, pool_size=writers)

    def write(number: int) -> None:
        for body in _turns(random.Random(number), by=number):  # noqa: S311
            writing.bulk(index=index_name, body=body)

    copy = _Copy(client, index_name)
    beside = 0
    with ThreadPoolExecutor(writers) as pool:
        running = [pool.submit(write, number) for number in range(writers)]
        while wait(running, timeout=0.05).not_done:
            beside += 1
            copy.catch_up()
    for future in running:
        future.result()
    writing.close()
    assert beside > 0
    copy.catch_up()
    body = {"size": 1000, "seq_no_primary_term": True, "version": True}
    there = client.search(index=index_name, body=body)["hits"]["hits"]
    assert len(there) > 50
    for hit in there:
        one = copy.seen[hit["_id"]]
        assert (one.seq_no, one.version) == (hit["_seq_no"], hit["_version"])
        assert orjson.loads(one.source) == hit["_source"]


def test_a_histogram_counts_the_documents_of_each_range(
    client: OpenSearch, index_name: str
) -> None:
    _create(client, index_name)
    _fill(client, index_name, range(100))
    _fill(client, index_name, range(10, 20))
    bound = shard_bounds(client, index_name)[0]
    counts = seq_no_histogram(client, index_name, shard=0, after=-1, upto=bound, interval=10)
    assert counts == {0: 10, **dict.fromkeys(range(20, 100, 10), 10), 100: 10}
    # Ranges begin behind `after`, so that those of two indices can be compared.
    shifted = seq_no_histogram(client, index_name, shard=0, after=4, upto=104, interval=10)
    assert shifted == {5: 5, 15: 5, **dict.fromkeys(range(25, 95, 10), 10), 95: 10}
    # More ranges than one request may ask for.
    single = seq_no_histogram(client, index_name, shard=0, after=-1, upto=10**8, interval=5_000)
    assert single == {0: 100}


@pytest.mark.parametrize("interval", [1, 3, 1000, 4096])
@pytest.mark.parametrize("base", [0, 7 * 2**40, 1023 * 2**40])
def test_a_histogram_of_a_large_field_is_exact(
    client: OpenSearch, index_name: str, base: int, interval: int
) -> None:
    _create(client, index_name, shards=2, mappings={"properties": {"origin": {"type": "long"}}})
    values = [0, 1, 2, 3, 999, 1000, 1001, 4095, 4096, 8191]
    lines: list[Any] = []
    for value in [*values, 9000, -1]:
        lines += [{"index": {}}, {"origin": base + value}]
    lines += [{"index": {}}, {"other": 1}]
    _write(client, index_name, lines, refresh="true")
    expected: dict[int, int] = {}
    for value in values:
        start = base + value // interval * interval
        expected[start] = expected.get(start, 0) + 1
    counts = seq_no_histogram(
        client, index_name, field="origin", after=base - 1, upto=base + 8191, interval=interval
    )
    assert counts == expected


def test_a_histogram_of_numbers_that_a_double_cannot_hold_is_refused(client: OpenSearch) -> None:
    with pytest.raises(ValueError, match="no histogram"):
        seq_no_histogram(client, "i", field="origin", after=0, upto=2**53, interval=1)


def test_pages_by_another_field_do_not_part_equal_values(
    client: OpenSearch, index_name: str
) -> None:
    _create(client, index_name, shards=2, mappings={"properties": {"origin": {"type": "long"}}})
    values = [1, 2, 3, 3, 3, 4, 5, 5, 6, 2**40, 2**40 + 1]
    lines: list[Any] = []
    for number, value in enumerate(values):
        lines += [{"index": {"_id": str(number)}}, {"origin": value}]
    _write(client, index_name, lines, refresh="true")
    found: list[StoredDocument] = []
    after = 0
    while page := read_page(
        client,
        index_name,
        field="origin",
        after=after,
        upto=2**40 + 1,
        size=4,
        include_source=False,
    ):
        found += page
        after = page[-1].place
    assert sorted(one.doc_id for one in found) == sorted(map(str, range(len(values))))
    assert [one.place for one in found] == values
    with pytest.raises(EngineError, match="3 documents have 3 as their origin: read larger pages"):
        read_page(client, index_name, field="origin", after=2, upto=9, size=3)


def test_an_index_without_source_is_refused(client: OpenSearch, index_name: str) -> None:
    _create(client, index_name, mappings={"_source": {"enabled": False}})
    _fill(client, index_name, range(2))
    bound = shard_bounds(client, index_name)[0]
    with pytest.raises(InputError, match=r"'d0' of .* has no _source"):
        read_page(client, index_name, shard=0, after=-1, upto=bound, size=10)


def test_names_that_are_not_one_index_are_refused(client: OpenSearch, index_name: str) -> None:
    with pytest.raises(IndexMissingError):
        shard_bounds(client, index_name)
    for number in range(2):
        _create(client, f"{index_name}-{number}")
        _fill(client, f"{index_name}-{number}", range(3))
    alias = f"{index_name}-both"
    client.indices.put_alias(index=f"{index_name}-*", name=alias)
    refresh_index(client, index=alias)
    with pytest.raises(InputError, match=rf"{alias} stands for 2 indices: name one of"):
        shard_bounds(client, alias)
    with pytest.raises(EngineError, match="2 shards answered for shard 0"):
        read_page(client, alias, shard=0, after=-1, upto=9, size=10)
    with pytest.raises(EngineError, match="0 shards answered for shard 1"):
        read_page(client, f"{index_name}-0", shard=1, after=-1, upto=9, size=10)
    with pytest.raises(EngineError, match="0 shards answered for shard 1"):
        seq_no_histogram(client, f"{index_name}-0", shard=1, after=-1, upto=9, interval=2)


def test_a_shard_without_a_primary_is_not_passed_over(client: OpenSearch, index_name: str) -> None:
    _create(client, index_name)
    settings = {"index.routing.allocation.require._name": "nowhere"}
    client.indices.close(index=index_name)
    client.indices.put_settings(index=index_name, body=settings)
    client.indices.open(index=index_name, params={"wait_for_active_shards": "0"})
    with pytest.raises(EngineError, match=rf"shard 0 of {index_name} has no primary"):
        shard_bounds(client, index_name)


def test_an_index_with_vectors_gives_documents_back_rewritten_unless_told_not_to(
    client: OpenSearch, index_name: str
) -> None:
    """A fact to know, not a promise: why a funnel index may not equal its source in bytes."""
    source = b'{"price": 1.50, "v": [0.123456789, 2]}'
    # The embedded node has no native library: another engine than Lucene's would end it.
    method = {"name": "hnsw", "engine": "lucene"}
    mappings = {"properties": {"v": {"type": "knn_vector", "dimension": 2, "method": method}}}
    kept = {"index.knn": True, "index.knn.derived_source.enabled": False}
    for name, settings, expected in (
        (f"{index_name}-derived", {"index.knn": True}, b'{"price":1.5,"v":[0.12345679,2.0]}'),
        (f"{index_name}-kept", kept, source),
    ):
        _create(client, name, mappings=mappings, settings=settings)
        _stored_as(client, name, "1", source)
        (found,) = _whole(client, name, upto=shard_bounds(client, name)[0])
        assert found.source == expected


def test_pages_are_whole_where_the_index_gives_out_fewer_documents_at_once(
    client: OpenSearch, index_name: str
) -> None:
    client.indices.create(
        index=index_name,
        body={
            "settings": {
                "number_of_shards": 1,
                "number_of_replicas": 0,
                "index.max_result_window": 7,
            },
            "mappings": {"properties": {"origin": {"type": "long"}}},
        },
    )
    for number in range(40):
        client.index(index=index_name, id=f"d{number}", body={"origin": number // 2})
    (bound,) = shard_bounds(client, index_name).values()
    first = read_page(client, index_name, shard=0, after=-1, upto=bound, size=25)
    assert [one.doc_id for one in first] == [f"d{number}" for number in range(25)]
    rest = read_page(client, index_name, shard=0, after=24, upto=bound, size=25)
    assert [one.doc_id for one in rest] == [f"d{number}" for number in range(25, 40)]
    found: list[str] = []
    after = -1
    while page := read_page(
        client, index_name, field="origin", after=after, upto=bound, size=25, include_source=False
    ):
        found += [one.doc_id for one in page]
        after = page[-1].place
    assert sorted(found) == sorted(f"d{number}" for number in range(40))
