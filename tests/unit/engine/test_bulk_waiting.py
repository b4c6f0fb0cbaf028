"""Waiting for room on a disk, settled conflicts, and lines that are written one by one."""

from __future__ import annotations

import gzip
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.documents.document import Document
from opensearch_funnel.documents.readers import read_documents
from opensearch_funnel.engine.bulk import (
    BulkLimits,
    BulkReport,
    Line,
    bulk_index,
    bulk_write,
    line_of_bytes,
)
from opensearch_funnel.engine.bulk.patience import Patience
from opensearch_funnel.engine.client import connect
from opensearch_funnel.settings import Settings
from tests.unit.engine.bulk_cluster import Cluster, Whole, bulk_cluster
from tests.unit.engine.told import Told

FULL = "index [i] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];"
WAITING = BulkLimits(
    max_documents=20, max_tries=3, first_pause=0.001, longest_pause=0.004, wait_for_blocks=60
)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with bulk_cluster() as running:
        yield running


def _lines(count: int) -> list[Line]:
    return [line_of_bytes(f"d{n}", b'{"n": %d}' % n, routing=f"r{n}") for n in range(count)]


def _load(
    cluster: Cluster,
    *,
    limits: BulkLimits = WAITING,
    told: Told | None = None,
    dead: Path | None = None,
    keep_conflicts: bool = False,
) -> BulkReport:
    client = connect(Settings(url=cluster.url, timeout=30))
    try:
        return bulk_index(
            client,
            _lines(100),
            index="i",
            dead_letters=dead,
            limits=limits,
            params={"pipeline": "_none"},
            keep_conflicts=keep_conflicts,
            progress=told or Told(),
        )
    finally:
        client.close()


def _fill_the_disk(cluster: Cluster, *, for_requests: int, status: int = 429) -> None:
    """Refuse so many requests, whose documents all name the block of a full disk."""
    cluster.error = {"type": "cluster_block_exception", "reason": FULL}
    cluster.one = lambda _doc_id: status if len(cluster.sizes) <= for_requests else 200


@pytest.mark.parametrize("status", [429, 403])
def test_a_load_goes_on_when_there_is_room_again(cluster: Cluster, status: int) -> None:
    _fill_the_disk(cluster, for_requests=40, status=status)
    told = Told()
    report = _load(cluster, told=told)
    assert (report.indexed, report.dead, len(cluster.stored)) == (100, 0, 100)
    assert told.settled == 100
    # Far more tries than a busy cluster gets, and one line about all of them.
    assert len(cluster.sizes) > 40
    (line,) = told.lines
    assert "waiting for room on the cluster's disks" in line
    assert "flood-stage watermark" in line
    assert report.longest_pause <= WAITING.longest_pause


def test_a_request_that_is_refused_as_a_whole_for_a_full_disk_waits_too(cluster: Cluster) -> None:
    cluster.whole = lambda number, _ids: Whole(403) if number <= 20 else None
    cluster.error = {
        "type": "cluster_block_exception",
        "reason": "blocked by: [FORBIDDEN/13/cluster read-only / allow delete (api)];",
    }
    told = Told()
    assert _load(cluster, told=told).indexed == 100
    assert len(told.lines) == 1


def test_a_wait_has_an_end(cluster: Cluster) -> None:
    _fill_the_disk(cluster, for_requests=10**9)
    with pytest.raises(EngineError, match=r"flood-stage watermark.*gave up after \d+ tries in"):
        _load(cluster, limits=replace(WAITING, wait_for_blocks=0.05))
    assert cluster.stored == {}


def test_another_block_is_not_waited_for(cluster: Cluster) -> None:
    cluster.one = lambda _doc_id: 403
    cluster.error = {"reason": "index [i] blocked by: [FORBIDDEN/8/index write (api)];"}
    told = Told()
    with pytest.raises(EngineError, match=r"takes no documents.*index write"):
        _load(cluster, told=told)
    assert told.lines == []


def test_ctrl_c_ends_a_wait_at_once(cluster: Cluster) -> None:
    _fill_the_disk(cluster, for_requests=10**9)
    told = Told()

    def interrupt() -> None:
        if told.said.wait(60):
            os.kill(os.getpid(), signal.SIGINT)

    interrupting = threading.Thread(target=interrupt)
    interrupting.start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        _load(
            cluster,
            told=told,
            limits=replace(WAITING, first_pause=600.0, longest_pause=600.0, wait_for_blocks=3600.0),
        )
    # The shortest pause of these limits is 300 s.
    assert time.monotonic() - start < 120
    interrupting.join()
    # A sender that was only being started as the signal came is joined by nobody: it ends alone.
    for left in [t for t in threading.enumerate() if t.name.startswith("bulk")]:
        _ends_soon(left)


def _ends_soon(thread: threading.Thread) -> None:
    end = time.monotonic() + 60
    while thread in threading.enumerate():
        assert time.monotonic() < end, f"{thread} goes on"
        time.sleep(0.01)


def test_pauses_in_front_of_a_block_grow_and_are_never_short() -> None:
    limits = BulkLimits(wait_for_blocks=3600)
    patience = Patience(limits)
    cause = EngineError("full", status=429)
    ceilings = [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, *[10.0] * 2000]
    for ceiling in ceilings:
        assert ceiling / 2 <= patience.next_pause(cause, blocked=True) <= ceiling
    # When the block is gone, and the cluster is only busy, counting begins anew.
    assert patience.next_pause(cause) <= limits.first_pause


def test_conflicts_are_settled_where_that_is_asked_for(cluster: Cluster, tmp_path: Path) -> None:
    cluster.one = lambda doc_id: {"d3": 409, "d4": 400}.get(doc_id, 200)
    told = Told()
    dead = tmp_path / "dead.ndjson.gz"
    report = _load(cluster, told=told, dead=dead, keep_conflicts=True)
    assert (report.indexed, report.kept, report.dead) == (98, 1, 1)
    assert told.settled == 100
    with gzip.open(dead, "rt") as letters:
        assert [json.loads(letter) for letter in letters] == [
            {
                "_id": "d4",
                "status": 400,
                "reason": "kind: fault 400",
                "routing": "r4",
                "body": {"n": 4},
            }
        ]
    report = _load(cluster, dead=dead)
    assert (report.indexed, report.kept, report.dead) == (98, 0, 2)


def test_a_dead_letter_is_read_with_its_routing_and_all_digits(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.one = lambda _doc_id: 400
    client = connect(Settings(url=cluster.url, timeout=30))
    dead = tmp_path / "dead.ndjson.gz"
    source = b'{"price": 1.50, "big": 12345678901234567890123}'
    lines = [
        line_of_bytes("a", source, routing="x"),
        line_of_bytes("b", b'{"cut": "\\ud83d", "big": 12345678901234567890123}'),
    ]
    bulk_index(client, lines, index="i", dead_letters=dead)
    client.close()
    written = gzip.decompress(dead.read_bytes())
    assert source in written
    assert b'{"cut": "\\ufffd", "big": 12345678901234567890123}' in written
    assert list(read_documents(dead, format="dead-letters")) == [
        Document("a", {"price": 1.5, "big": 1.2345678901234568e22}, routing="x"),
        Document("b", {"cut": "\ufffd", "big": 1.2345678901234568e22}),
    ]


def test_every_request_has_the_parameters(cluster: Cluster) -> None:
    _load(cluster)
    queries = [parse_qs(urlsplit(path).query) for path in cluster.paths]
    assert len(queries) == 5
    assert {query["pipeline"][0] for query in queries} == {"_none"}


def test_lines_written_in_turn_are_each_accounted_for(cluster: Cluster) -> None:
    statuses = {"d1": 409, "d2": 400, "d30": 400}
    tries: dict[str, int] = {}

    def one(doc_id: str) -> int:
        tries[doc_id] = tries.get(doc_id, 0) + 1
        if doc_id == "d5" and tries[doc_id] < 3:
            return 429
        return statuses.get(doc_id, 200)

    cluster.one = one
    client = connect(Settings(url=cluster.url, timeout=30))
    outcome = bulk_write(client, _lines(50), index="i", limits=WAITING, keep_conflicts=True)
    client.close()
    assert (outcome.indexed, outcome.kept) == (47, 1)
    assert [(one.doc_id, one.status, one.routing) for one in outcome.dead] == [
        ("d2", 400, "r2"),
        ("d30", 400, "r30"),
    ]
    assert outcome.retried == 2
    assert 0 < outcome.longest_pause <= WAITING.longest_pause
    assert set(cluster.stored) == {f"d{n}" for n in range(50)} - {"d1", "d2", "d30"}


def test_lines_that_could_not_be_written_are_not_passed_over(cluster: Cluster) -> None:
    client = connect(Settings(url=cluster.url, timeout=30))
    cluster.one = lambda doc_id: 403 if doc_id == "d30" else 200
    with pytest.raises(EngineError, match="takes no documents"):
        bulk_write(client, _lines(50), index="i", limits=WAITING)
    _fill_the_disk(cluster, for_requests=10**9)
    stopped, told = threading.Event(), Told()

    def stop() -> None:
        if told.said.wait(60):
            stopped.set()

    stopping = threading.Thread(target=stop)
    stopping.start()
    limits = replace(WAITING, first_pause=600.0, longest_pause=600.0, wait_for_blocks=3600.0)
    start = time.monotonic()
    with pytest.raises(EngineError, match="stopped before all was written"):
        bulk_write(client, _lines(5), index="i", limits=limits, progress=told, stopped=stopped)
    assert time.monotonic() - start < 120
    stopping.join()
    client.close()
