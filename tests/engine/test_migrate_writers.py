"""A migration beside writers that never stop, and beside faults: nothing lost, doubled or old."""

from __future__ import annotations

import gzip
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import Migration, forget_migration, load_migration
from opensearch_funnel.migrating.running import catch_up, run
from opensearch_funnel.migrating.stopping import stop_workers
from opensearch_funnel.settings import Settings
from tests.engine.fault_proxy import Faults, fault_proxy
from tests.engine.migrations import (
    EVEN,
    Watched,
    compared,
    film,
    films,
    make_source,
    options,
    planned,
    stand_in,
    whole,
)

pytestmark = pytest.mark.engine

DOCUMENTS = 1500
"""Beside a writer."""
FEWER = 200
"""Beside faults, each of which costs pauses."""
_PER_SECOND = 50


@dataclass
class Writer:
    """Writes to an index all the time: 60 % updates, 20 % inserts, 20 % deletes."""

    client: OpenSearch
    index: str
    seed: int
    numbers: list[int]
    done: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        rng = random.Random(self.seed)  # noqa: S311 - a seeded test keeps no secret
        inserted = max(self.numbers) + 1
        begun = time.monotonic()
        for turn in count(1):
            if self.stop.wait(max(0.0, begun + turn / _PER_SECOND - time.monotonic())):
                return
            kind = rng.choices(["update", "insert", "delete"], weights=[60, 20, 20])[0]
            place = rng.randrange(len(self.numbers))
            number = self.numbers[place]
            try:
                if kind == "delete":
                    self.client.delete(index=self.index, id=f"d{number}")
                    self.numbers[place] = self.numbers[-1]
                    self.numbers.pop()
                elif kind == "update" and turn % 3 == 0:
                    self.client.update(
                        index=self.index, id=f"d{number}", body={"doc": {"price": turn}}
                    )
                else:
                    if kind == "insert":
                        number = inserted
                        inserted += 1
                        self.numbers.append(number)
                    body = film(number, edition=turn % 9)
                    self.client.index(index=self.index, id=f"d{number}", body=body)
            except EngineError as error:
                if error.kind != "cluster_block_exception":
                    raise
                self.refused += 1
                return
            self.done[kind] += 1


@contextmanager
def writing(client: OpenSearch, index: str, *, seed: int) -> Iterator[Writer]:
    writer = Writer(client, index, seed=seed, numbers=list(range(DOCUMENTS)))
    failed: list[BaseException] = []

    def work() -> None:
        try:
            writer.run()
        except BaseException as error:  # noqa: BLE001 - raised below
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield writer
    finally:
        writer.stop.set()
        thread.join()
    if failed:
        raise failed[0]


@pytest.fixture
def documents() -> int:
    return FEWER


@pytest.fixture
def migration(client: OpenSearch, index_name: str, documents: int) -> Iterator[Migration]:
    films(client, make_source(client, index_name), range(documents))
    made = planned(client, index_name, encoder=stand_in())
    yield made
    Journal(client, target=made.target).forget()
    forget_migration(client, index_name)


@pytest.mark.parametrize("documents", [DOCUMENTS])
def test_writes_that_never_stop_are_all_in_the_target_after_the_block(
    engine_settings: Settings, client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    with writing(connect(engine_settings), migration.source, seed=1) as writer:
        begun = time.monotonic()
        while sum(writer.done.values()) < 100:
            assert time.monotonic() - begun < 120, "the writer does not write"
            time.sleep(0.05)
        # A hundred documents a second, so that the copy takes its time beside the writer.
        slow = replace(options(tmp_path), documents_per_second=200.0)
        report = run(client, migration, encoder=stand_in(), options=slow)
        assert report.outcome == "caught_up"
        present = stop_workers(client, migration)
        before = time.monotonic()
        client.indices.add_block(index=migration.source, block="write")
        last = catch_up(client, present, encoder=stand_in(), letters=tmp_path, deadline_s=120.0)
        blocked = time.monotonic() - before
    assert min(writer.done[kind] for kind in ("update", "insert", "delete")) > 20
    assert writer.refused <= 1
    assert not any(last.missing.values())
    assert compared(client, load_migration(client, migration.alias), encoder=stand_in()) == EVEN
    assert report.counts.deleted + last.counts.deleted > 0
    # Told for whoever reads the log of a failure; how fast is the benchmark's to say.
    print(f"{dict(writer.done)}, blocked for {blocked:.2f} s")  # noqa: T201


@pytest.mark.parametrize(
    ("faults", "documents"),
    [
        (Faults(busy_items=0.01), FEWER),
        (Faults(busy_items=0.2), FEWER),
        (Faults(busy_items=0.8), FEWER // 4),
        (Faults(breaker_items=0.3, unavailable=0.2), FEWER),
        (Faults(reset=0.3), FEWER),
        (Faults(cut=0.3), FEWER),
        (Faults(largest=5_000), FEWER),
        (Faults(unavailable=0.02, reset=0.02, cut=0.02, busy=0.02, where=r"."), FEWER),
    ],
    ids=["429-1", "429-20", "429-80", "breaker", "reset", "cut", "413", "everywhere"],
)
def test_documents_in_are_documents_written_or_dead_whatever_fails(  # noqa: PLR0913, PLR0917
    client: OpenSearch,
    node_url: str,
    migration: Migration,
    tmp_path: Path,
    faults: Faults,
    documents: int,
) -> None:
    own = {"title": "a film", "funnel": "a field of the user's"}
    for number in range(7):
        client.index(index=migration.source, id=f"own{number}", body=own)
    injected: Counter[str] = Counter()
    watched = Watched()
    with fault_proxy(node_url, faults=faults, seed=3, injected=injected) as url:
        failing = connect(Settings(url=url))
        patient = replace(options(tmp_path), patience_s=600.0)
        report = run(failing, migration, encoder=stand_in(), options=patient, progress=watched)
        failing.transport.close()
    assert len(watched.said) < 20, watched.said
    assert report.outcome == "caught_up"
    assert sum(injected.values()) > 0
    counts = report.counts
    assert counts.written + counts.kept + counts.dead == counts.documents
    source, target = whole(client, migration.source), whole(client, migration.target)
    assert len(target) + 7 == len(source) == documents + 7
    slices = Journal(client, target=migration.target).slices()
    assert sum(one.dead for one in slices) == 7
    assert report.dead_letters is not None
    letters = _letters(report.dead_letters)
    assert {letter["_id"] for letter in letters} == {f"own{n}" for n in range(7)}
    for number in range(7):
        client.delete(index=migration.source, id=f"own{number}")
    run(client, migration, encoder=stand_in(), options=options(tmp_path))
    assert compared(client, load_migration(client, migration.alias), encoder=stand_in()) == EVEN


def _letters(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rb") as stream:
        return [orjson.loads(line) for line in stream]


def test_a_run_that_gave_up_is_gone_on_with_when_the_cluster_is_back(
    client: OpenSearch, node_url: str, migration: Migration, tmp_path: Path
) -> None:
    away = Faults(unavailable=1.0, in_a_row=10**9)
    impatient = replace(options(tmp_path), patience_s=0.5)
    with fault_proxy(node_url, faults=away, seed=1) as url:
        failing = connect(Settings(url=url))
        with pytest.raises(EngineError, match="gave up after") as caught:
            run(failing, migration, encoder=stand_in(), options=impatient)
        failing.transport.close()
    assert "\n" not in str(caught.value)
    report = run(client, migration, encoder=stand_in(), options=options(tmp_path))
    assert report.counts.written == FEWER
    assert compared(client, load_migration(client, migration.alias), encoder=stand_in()) == EVEN


def test_routing_joins_and_nested_documents_are_copied_as_they_are(
    client: OpenSearch, index_name: str, tmp_path: Path
) -> None:
    source = make_source(
        client,
        index_name,
        shards=3,
        properties={
            "relation": {"type": "join", "relations": {"film": "review"}},
            "cast": {"type": "nested", "properties": {"name": {"type": "keyword"}}},
        },
    )
    lines: list[Any] = []
    for number in range(120):
        cast = [{"name": f"p{number}"}, {"name": f"p{number % 5}"}]
        lines += [
            {"index": {"_id": f"f{number}"}},
            {**film(number), "cast": cast, "relation": "film"},
            {"index": {"_id": f"r{number}", "routing": f"f{number}"}},
            {"title": f"on {number}", "relation": {"name": "review", "parent": f"f{number}"}},
            # One id under two routings is two documents.
            {"index": {"_id": "same", "routing": f"f{number % 9}"}},
            film(number),
        ]
    answer = client.bulk(index=source, body=b"".join(orjson.dumps(one) + b"\n" for one in lines))
    assert not answer["errors"]
    migration = planned(client, index_name, encoder=stand_in())
    report = run(client, migration, encoder=stand_in(), options=options(tmp_path))
    documents = len(whole(client, source))
    assert (report.counts.written, report.counts.dead) == (documents, 0)
    for number in range(0, 120, 3):
        client.delete(index=source, id=f"r{number}", params={"routing": f"f{number}"})
        client.update(index=source, id=f"f{number}", body={"doc": {"price": 1, "cast": []}})
    run(client, migration, encoder=stand_in(), options=options(tmp_path))
    present = load_migration(client, index_name)
    assert compared(client, present, encoder=stand_in()) == EVEN
    children: dict[str, Any] = {
        "has_parent": {"parent_type": "film", "query": {"match": {"title": "film"}}}
    }
    players: dict[str, Any] = {"nested": {"path": "cast", "query": {"term": {"cast.name": "p2"}}}}
    for query in (children, players):
        counts = [
            client.count(index=index, body={"query": query})["count"]
            for index in (source, present.target)
        ]
        assert counts[0] == counts[1] > 0
    Journal(client, target=migration.target).forget()
    forget_migration(client, index_name)
