"""The bulk loop on a real node, through a proxy that lets requests fail in every way."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.documents.document import Document
from opensearch_funnel.engine.bulk import (
    BulkLimits,
    BulkReport,
    Indexable,
    Line,
    bulk_index,
    delete_line,
    line_of_bytes,
)
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.scanning import StoredDocument, read_page, shard_bounds
from opensearch_funnel.settings import Settings
from tests.engine.fault_proxy import Faults, fault_proxy, fault_report

pytestmark = pytest.mark.engine

FAST = BulkLimits(
    max_documents=40, max_tries=200, max_seconds=300, first_pause=0.001, longest_pause=0.01
)
DOCUMENTS = 600
POISON = frozenset(range(13, DOCUMENTS, 50))
"""Documents that do not fit the mapping."""

KINDS = {
    "none": Faults(),
    "1 % of items busy": Faults(busy_items=0.01),
    "20 % of items busy": Faults(busy_items=0.2),
    "80 % of items busy": Faults(busy_items=0.8),
    "items met by a breaker": Faults(breaker_items=0.3),
    "busy": Faults(busy=0.5),
    "breaker": Faults(breaker=0.5),
    "unavailable": Faults(unavailable=0.5),
    "reset": Faults(reset=0.5),
    "cut": Faults(cut=0.5),
    "too large": Faults(largest=1500),
    "all": Faults(
        busy_items=0.15,
        breaker_items=0.05,
        busy=0.1,
        breaker=0.1,
        unavailable=0.1,
        reset=0.15,
        cut=0.15,
        largest=1500,
    ),
}


@dataclass(frozen=True)
class Loaded:
    report: BulkReport
    injected: Counter[str]
    dead: dict[str, dict[str, Any]]


def _source(number: int) -> bytes:
    price = b'"dear"' if number in POISON else b"%d.50" % number
    return b'{"price": %s, "big": 12345678901234567890%d, "cut": "\\ud83d"}' % (price, number)


def _create(client: OpenSearch, index: str) -> None:
    fields = {"price": {"type": "double"}, "big": {"type": "keyword"}, "cut": {"type": "keyword"}}
    body = {
        "settings": {"number_of_replicas": 0, "number_of_shards": 1},
        "mappings": {"properties": fields},
    }
    client.indices.create(index=index, body=body)


@pytest.fixture
def load(
    client: OpenSearch, node_url: str, index_name: str, tmp_path: Path
) -> Callable[..., Loaded]:
    """Load through faults into an index that is made for it."""
    _create(client, index_name)

    def loaded(documents: list[Any], *, faults: Faults, keep_conflicts: bool) -> Loaded:
        injected: Counter[str] = Counter()
        letters = tmp_path / "dead.ndjson.gz"
        with fault_proxy(node_url, faults=faults, seed=7, injected=injected) as url:
            through = connect(Settings(url=url, timeout=120))
            report = bulk_index(
                through,
                documents,
                index=index_name,
                dead_letters=letters,
                limits=FAST,
                params={"pipeline": "_none"},
                keep_conflicts=keep_conflicts,
            )
            through.close()
        return Loaded(report, injected, _letters(letters))

    return loaded


def _letters(path: Path) -> dict[str, dict[str, Any]]:
    if not path.exists():
        return {}
    with gzip.open(path, "rt") as lines:
        found = [json.loads(line) for line in lines]
    assert len({letter["_id"] for letter in found}) == len(found), "a dead letter twice"
    return {letter["_id"]: letter for letter in found}


def _stored(client: OpenSearch, index: str) -> dict[str, StoredDocument]:
    bound = shard_bounds(client, index)[0]
    page = read_page(client, index, shard=0, after=-1, upto=bound, size=10_000)
    assert len({one.doc_id for one in page}) == len(page)
    return {one.doc_id: one for one in page}


def _has_met_its_faults(seen: Loaded, faults: Faults) -> None:
    for kind in ("busy_items", "breaker_items", "busy", "breaker", "unavailable", "reset", "cut"):
        assert (seen.injected[kind] > 0) == (getattr(faults, kind) > 0), kind
    assert (seen.injected["too_large"] > 0) == (faults.largest is not None)
    retried = sum(seen.injected.values()) > 0
    assert (seen.report.retried > 0) == retried
    assert (seen.report.bytes_resent > 0) == retried


@pytest.mark.parametrize("faults", KINDS.values(), ids=KINDS.keys())
def test_a_copy_through_faults_has_every_document_once(
    client: OpenSearch, index_name: str, load: Callable[..., Loaded], faults: Faults
) -> None:
    lines = [
        line_of_bytes(f"d{n}", _source(n), routing=f"r{n}", external_version=n + 1)
        for n in range(DOCUMENTS)
    ]
    seen = load(lines, faults=faults, keep_conflicts=True)
    report = seen.report
    assert report.indexed + report.kept + report.dead == DOCUMENTS
    # What was written by a request whose answer was lost conflicts with itself.
    assert (report.kept > 0) == (faults.reset + faults.cut > 0)
    assert report.dead == len(POISON)
    assert set(seen.dead) == {f"d{n}" for n in POISON}
    for letter in seen.dead.values():
        assert letter["status"] == 400
        assert letter["body"]["price"] == "dear"
        assert letter["routing"] == letter["_id"].replace("d", "r")
        assert "failed to parse field [price]" in letter["reason"]
    stored = _stored(client, index_name)
    assert {doc_id: (one.source, one.routing, one.version) for doc_id, one in stored.items()} == {
        f"d{n}": (_source(n), f"r{n}", n + 1) for n in range(DOCUMENTS) if n not in POISON
    }
    _has_met_its_faults(seen, faults)


@pytest.mark.parametrize("kind", ["20 % of items busy", "reset", "cut", "all"])
def test_a_load_through_faults_has_every_document_once(
    client: OpenSearch, index_name: str, load: Callable[..., Loaded], kind: str
) -> None:
    documents: list[Indexable] = [
        Document(f"d{n}", {"price": "dear" if n in POISON else n}) for n in range(DOCUMENTS)
    ]
    seen = load(documents, faults=KINDS[kind], keep_conflicts=False)
    assert (seen.report.indexed, seen.report.kept, seen.report.dead) == (
        DOCUMENTS - len(POISON),
        0,
        len(POISON),
    )
    found = {name: json.loads(one.source) for name, one in _stored(client, index_name).items()}
    assert found == {f"d{n}": {"price": n} for n in range(DOCUMENTS) if n not in POISON}
    assert set(seen.dead) == {f"d{n}" for n in POISON}
    _has_met_its_faults(seen, KINDS[kind])


def test_older_writes_and_deletes_through_faults_leave_the_newest(
    client: OpenSearch, index_name: str, load: Callable[..., Loaded]
) -> None:
    """Versions of one document in one load, in no order: what stands at the end is the highest."""
    lines: list[Line] = []
    for number in range(200):
        newest_is_a_delete = number % 4 == 0
        for version in (3, 1, 2):
            if version == 3 and newest_is_a_delete:
                lines.append(delete_line(f"d{number}", external_version=version))
            else:
                source = b'{"price": %d}' % version
                lines.append(line_of_bytes(f"d{number}", source, external_version=version))
    seen = load(lines, faults=KINDS["all"], keep_conflicts=True)
    assert seen.report.indexed + seen.report.kept == len(lines)
    assert seen.report.dead == 0
    assert {name: one.source for name, one in _stored(client, index_name).items()} == {
        f"d{n}": b'{"price": 3}' for n in range(200) if n % 4
    }


def test_the_same_seed_lets_the_same_items_fail(
    client: OpenSearch, index_name: str, load: Callable[..., Loaded]
) -> None:
    lines = [line_of_bytes(f"d{n}", b"{}") for n in range(300)]
    faults = Faults(busy_items=0.3)
    first = load(lines, faults=faults, keep_conflicts=False)
    second = load(lines, faults=faults, keep_conflicts=False)
    assert first.injected == second.injected
    assert first.report.retried == second.report.retried == first.injected["busy_items"]
    report = fault_report(first.report, first.injected)
    assert report["documents"] == report["indexed"] == 300
    assert report["faults"] == {"busy_items": first.report.retried}
    assert report["retries_per_document"] == round(first.report.retried / 300, 3)
    assert len(_stored(client, index_name)) == 300


def test_other_requests_go_through_as_they_are(
    client: OpenSearch, node_url: str, index_name: str
) -> None:
    everything = Faults(unavailable=1.0, largest=0, in_a_row=10**9)
    with fault_proxy(node_url, faults=everything, seed=1) as url:
        through = connect(Settings(url=url, timeout=120))
        _create(through, index_name)
        assert through.indices.exists(index=index_name)
        assert not through.indices.exists(index=f"{index_name}-2")
        through.index(index=index_name, id="é/ 1", body=b'{"price": 1.50}', params={"routing": "a"})
        (read,) = _stored(through, index_name).values()
        assert (read.doc_id, read.routing, read.source) == ("é/ 1", "a", b'{"price": 1.50}')
        through.delete(index=index_name, id="é/ 1", params={"routing": "a"})
        assert through.cluster.health() == client.cluster.health()
        through.close()
