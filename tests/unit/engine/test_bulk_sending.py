"""The bulk loop against a server on loopback that misbehaves in every way a cluster can."""

from __future__ import annotations

import gzip
import json
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opensearch_funnel.core.errors import EngineDeniedError, EngineError, EngineUnreachableError
from opensearch_funnel.documents.document import Document
from opensearch_funnel.engine.bulk import BulkLimits, BulkReport, bulk_index
from opensearch_funnel.engine.client import connect
from opensearch_funnel.settings import Settings
from tests.unit.engine.bulk_cluster import Cluster, Whole, bulk_cluster

FAST = BulkLimits(max_documents=50, max_tries=60, first_pause=0.001, longest_pause=0.004)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with bulk_cluster() as running:
        yield running


def _documents(count: int) -> list[Document]:
    return [Document(f"d{number}", {"n": number, "text": "x" * 40}) for number in range(count)]


def _load(
    cluster: Cluster,
    documents: list[Document],
    *,
    dead: Path | None = None,
    limits: BulkLimits = FAST,
) -> BulkReport:
    client = connect(Settings(url=cluster.url, timeout=5))
    try:
        return bulk_index(client, documents, index="i", dead_letters=dead, limits=limits)
    finally:
        client.close()


def _letters(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def test_every_document_is_written_once(cluster: Cluster, tmp_path: Path) -> None:
    documents = _documents(1234)
    report = _load(cluster, documents, dead=tmp_path / "dead.gz")
    assert cluster.stored == {document.doc_id: document.source for document in documents}
    assert set(cluster.writes.values()) == {1}
    assert (report.indexed, report.dead, report.retried, report.bytes_resent) == (1234, 0, 0, 0)
    assert report.bytes == sum(cluster.sizes)
    assert not (tmp_path / "dead.gz").exists()


def test_no_documents_are_no_request(cluster: Cluster) -> None:
    assert _load(cluster, []).indexed == 0
    assert cluster.sizes == []


@pytest.mark.parametrize("rate", [0.01, 0.2, 0.8])
def test_documents_refused_as_busy_are_sent_again(cluster: Cluster, rate: float) -> None:
    rng = random.Random(7)  # noqa: S311
    cluster.one = lambda _doc_id: 429 if rng.random() < rate else 200
    documents = _documents(600)
    report = _load(cluster, documents)
    assert report.indexed == 600
    assert cluster.stored == {document.doc_id: document.source for document in documents}
    assert set(cluster.writes.values()) == {1}
    assert report.retried > 0
    assert report.bytes == sum(cluster.sizes)
    assert 0 < report.longest_pause <= FAST.longest_pause


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_requests_refused_as_busy_are_sent_again(cluster: Cluster, status: int) -> None:
    cluster.whole = lambda number, _ids: Whole(status) if number % 3 else None
    report = _load(cluster, _documents(300))
    assert report.indexed == len(cluster.stored) == 300
    assert set(cluster.writes.values()) == {1}
    assert report.retried >= 300


@pytest.mark.parametrize("how", ["reset", "cut", "html", "others", "fewer"])
def test_an_answer_lost_after_it_was_applied_doubles_nothing(cluster: Cluster, how: str) -> None:
    cluster.whole = lambda number, _ids: Whole(how=how, applied=True) if number % 2 else None
    documents = _documents(300)
    report = _load(cluster, documents)
    assert report.indexed == 300
    assert cluster.stored == {document.doc_id: document.source for document in documents}
    assert max(cluster.writes.values()) > 1
    assert report.retried > 0


def test_a_busy_cluster_gets_smaller_requests(cluster: Cluster) -> None:
    cluster.whole = lambda number, _ids: Whole(429) if number <= 4 else None
    _load(cluster, _documents(1000))
    # 1,000 documents make 20 equal requests where nothing is refused.
    assert min(cluster.sizes) < cluster.sizes[0] / 2


def test_poison_documents_end_as_dead_letters_with_body_and_reason(
    cluster: Cluster, tmp_path: Path
) -> None:
    cluster.one = lambda doc_id: 400 if doc_id.endswith("7") else 200
    documents = _documents(200)
    path = tmp_path / "sub" / "dead.ndjson.gz"
    report = _load(cluster, documents, dead=path)
    assert (report.indexed, report.dead) == (180, 20)
    assert sorted(_letters(path), key=lambda letter: letter["body"]["n"]) == [
        {"_id": d.doc_id, "status": 400, "reason": "kind: fault 400", "body": d.source}
        for d in documents
        if d.doc_id.endswith("7")
    ]
    assert path.stat().st_mode & 0o077 == 0


def test_dead_letters_of_two_loads_share_a_file(cluster: Cluster, tmp_path: Path) -> None:
    cluster.one = lambda _doc_id: 409
    path = tmp_path / "dead.gz"
    _load(cluster, _documents(3), dead=path)
    _load(cluster, _documents(2), dead=path)
    assert sorted(letter["_id"] for letter in _letters(path)) == ["d0", "d0", "d1", "d1", "d2"]


def test_without_a_file_for_dead_letters_the_first_one_stops_the_load(cluster: Cluster) -> None:
    cluster.one = lambda doc_id: 400 if doc_id == "d5" else 200
    with pytest.raises(EngineError, match=r"document 'd5' was refused: kind: fault 400"):
        _load(cluster, _documents(10))


@pytest.mark.parametrize("status", [400, 413])
def test_one_document_that_fails_its_whole_request_is_found(
    cluster: Cluster, tmp_path: Path, status: int
) -> None:
    bad = {"d13", "d14", "d77"}
    cluster.whole = lambda _number, ids: Whole(status) if bad & set(ids) else None
    report = _load(cluster, _documents(200), dead=tmp_path / "dead.gz")
    assert (report.indexed, report.dead) == (197, 3)
    letters = {letter["_id"]: letter for letter in _letters(tmp_path / "dead.gz")}
    assert set(letters) == bad
    assert {letter["status"] for letter in letters.values()} == {status}
    assert letters["d77"]["body"]["n"] == 77


def test_requests_keep_to_the_limits(cluster: Cluster) -> None:
    documents = _documents(20)
    documents[3] = Document("d3", {"text": "y" * 5000})
    _load(cluster, documents, limits=BulkLimits(max_bytes=1000))
    assert [size for size in cluster.sizes if size > 1000] == [max(cluster.sizes)]
    assert len(cluster.stored) == 20


def test_what_json_cannot_say_is_a_dead_letter(cluster: Cluster, tmp_path: Path) -> None:
    documents = [*_documents(2), Document("half", {"t": "\ud83d"}), Document("set", {"s": {1}})]
    report = _load(cluster, documents, dead=tmp_path / "dead.gz")
    assert (report.indexed, report.dead) == (2, 2)
    letters = {letter["_id"]: letter for letter in _letters(tmp_path / "dead.gz")}
    assert letters["half"]["body"] == {"t": "\\ud83d"}
    assert letters["set"]["reason"].startswith("cannot be written as JSON")


def test_a_cluster_that_stays_busy_ends_the_load_and_says_what_was_written(
    cluster: Cluster,
) -> None:
    cluster.one = lambda doc_id: 200 if int(doc_id[1:]) < 100 else 429
    limits = BulkLimits(max_documents=50, max_tries=3, first_pause=0.001, senders=1)
    with pytest.raises(EngineError) as caught:
        _load(cluster, _documents(500), limits=limits)
    message = str(caught.value)
    assert "takes no more: kind: fault 429 (gave up after 3 tries" in message
    assert "100 documents were written before that" in message
    assert "again is safe" in message
    assert caught.value.status == 429
    assert len(cluster.stored) == 100


def test_an_index_that_is_blocked_ends_the_load_at_once(cluster: Cluster) -> None:
    cluster.one = lambda _doc_id: 403
    with pytest.raises(EngineError, match="the index takes no documents: cluster_block"):
        _load(cluster, _documents(500))
    assert len(cluster.sizes) <= 2


def test_wrong_credentials_end_the_load_at_once(cluster: Cluster) -> None:
    cluster.whole = lambda _number, _ids: Whole(401)
    with pytest.raises(EngineDeniedError, match="refused the credentials"):
        _load(cluster, _documents(500))
    assert len(cluster.sizes) <= 2


def test_a_cluster_that_is_gone_ends_the_load() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        gone = Cluster(url=f"http://127.0.0.1:{free.getsockname()[1]}")
    limits = BulkLimits(max_tries=3, first_pause=0.001)
    with pytest.raises(EngineUnreachableError, match=r"no OpenSearch answers at .* after 3 tries"):
        _load(gone, _documents(5), limits=limits)


def test_an_error_in_the_documents_stops_the_senders(cluster: Cluster) -> None:
    def broken() -> Iterator[Document]:
        yield from _documents(200)
        raise ValueError("line 201")

    client = connect(Settings(url=cluster.url))
    with pytest.raises(ValueError, match="line 201"):
        bulk_index(client, broken(), index="i", limits=FAST)
    client.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("bulk")]


def test_ctrl_c_stops_the_senders_in_the_middle_of_a_pause(cluster: Cluster) -> None:
    cluster.whole = lambda _number, _ids: Whole(503)

    def interrupted() -> Iterator[Document]:
        yield from _documents(25)
        raise KeyboardInterrupt

    limits = BulkLimits(max_documents=20, first_pause=60, longest_pause=60)
    client = connect(Settings(url=cluster.url))
    with pytest.raises(KeyboardInterrupt):
        bulk_index(client, interrupted(), index="i", limits=limits)
    client.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("bulk")]
