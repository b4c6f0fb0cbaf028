"""Repairing documents on the real node, with writers that do not stop for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import httpx2
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, InputError
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.engine.indices import index_body
from opensearch_funnel.engine.scanning import read_page, shard_bounds
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.repairing import RepairReport, repair
from opensearch_funnel.migrating.throttle import FixedRate
from opensearch_funnel.testing import WordVector, WordWeights
from tests.engine.live import bulk, found_by, funnel_of, ready, rounded
from tests.engine.shelf import SPARSE, stand_in_slot

pytestmark = pytest.mark.engine

FOX, DOG = "a red fox", "two blue dogs"
PAST = {"pipeline": "_none"}


class Weights(WordWeights):
    """The sparse stand-in under the name of its slot."""

    name = "splade-tiny"


class Vectors(WordVector):
    """The dense stand-in under the name of its slot."""

    name = "bge-small-en-v1.5"


class Watched:
    """Encodes as ``Weights`` does; before that, something happens: a page was just read."""

    name, fingerprint = Weights.name, SPARSE.fingerprint

    def __init__(self, before: Callable[[Sequence[str]], None]) -> None:
        self.before = before

    def encode_documents(self, texts: Sequence[str]) -> list[dict[str, float]]:
        self.before(texts)
        return SPARSE.encode_documents(texts)


ENCODER = SlotEncoder(fields=("title", "text"), sparse=Weights(), dense=Vectors())


def watched(before: Callable[[Sequence[str]], None]) -> SlotEncoder:
    return SlotEncoder(fields=ENCODER.fields, sparse=Watched(before), dense=Vectors())


@pytest.fixture(params=[1, 3])
def index(client: OpenSearch, index_name: str, request: pytest.FixtureRequest) -> str:
    """An index of one shard, and one of three, as migrations make them: ``_source`` is kept."""
    body = index_body(slot=stand_in_slot())
    body["settings"]["index.knn.derived_source.enabled"] = False
    body["settings"]["index.number_of_shards"] = request.param
    client.indices.create(index=index_name, body=body)
    return index_name


def fill(client: OpenSearch, index: str, sources: dict[str, dict[str, Any]]) -> None:
    lines = [
        line
        for doc_id, source in sources.items()
        for line in ({"index": {"_index": index, "_id": doc_id}}, source)
    ]
    assert {one["status"] for one in bulk(client, *lines)} == {201}


def check(client: OpenSearch, index: str, texts: dict[str, str]) -> None:
    """See that an index holds these documents, each with the fields of its text."""
    client.indices.refresh(index=index)
    body = {"query": {"match_all": {}}, "size": 10_000}
    answer = client.search(index=index, body=body, params={"search_pipeline": "_none"})
    found = {hit["_id"]: hit["_source"] for hit in answer["hits"]["hits"]}
    assert {doc_id: source["text"] for doc_id, source in found.items()} == texts
    for doc_id, source in found.items():
        funnel = dict(source["funnel"])
        funnel["dense_a"] = [rounded(x) for x in funnel["dense_a"]]
        assert funnel == ready(texts[doc_id], key=doc_id)


def operations(client: OpenSearch, index: str) -> set[tuple[str, int]]:
    client.indices.refresh(index=index)
    body = {"query": {"match_all": {}}, "size": 10_000, "seq_no_primary_term": True}
    answer = client.search(index=index, body=body, params={"search_pipeline": "_none"})
    return {(hit["_id"], hit["_seq_no"]) for hit in answer["hits"]["hits"]}


def counts(report: RepairReport) -> tuple[int, int, bool]:
    return sum(report.needs.values()), report.repaired, report.complete


BROKEN: dict[str, dict[str, Any]] = {
    "right": {"text": FOX, "funnel": ready(FOX, key="right")},
    "never": {"text": FOX},
    "pending": {"text": DOG, "funnel": {"id": "pending", "state": "pending"}},
    "auto": {"text": DOG, "funnel": {"state": "pending"}},
    "stale": {"text": DOG, "funnel": ready(FOX, key="stale")},
    "other": {"text": FOX, "funnel": {**ready(FOX, key="other"), "model": ["ffffffffffff"]}},
    "halved": {"text": FOX, "funnel": {**ready(FOX, key="halved"), "dense_a": None}},
    "keyless": {"text": FOX, "funnel": {**ready(FOX, key="x"), "id": None}},
}
NEEDS = {"missing": 3, "pending": 2, "stale": 1, "other models": 1}


@pytest.mark.parametrize("page", [1, 2, 500])
def test_every_document_that_is_not_right_is_encoded_and_no_other(
    client: OpenSearch, index: str, page: int
) -> None:
    fill(client, index, BROKEN)
    before = operations(client, index)
    dry = repair(client, index, encoder=ENCODER, page=page, dry_run=True)
    assert (dry.needs, dry.repaired, dry.passes) == (NEEDS, 0, 1)
    assert operations(client, index) == before
    done = repair(client, index, encoder=ENCODER, page=page)
    assert (done.needs, counts(done)) == (NEEDS, (7, 7, True))
    assert (done.index, done.changed_meanwhile) == (index, 0)
    check(client, index, {doc_id: source["text"] for doc_id, source in BROKEN.items()})
    after = operations(client, index)
    assert before & after == {one for one in before if one[0] == "right"}
    again = repair(client, index, encoder=ENCODER, page=page)
    assert (counts(again), again.passes) == ((0, 0, True), 1)
    assert operations(client, index) == after


@pytest.mark.parametrize("page", [1, 3, 500])
def test_asking_for_pending_documents_reads_no_others(
    client: OpenSearch, index: str, page: int
) -> None:
    plenty = {f"d{i}": {"text": FOX, "funnel": ready(FOX, key=f"d{i}")} for i in range(40)}
    fill(client, index, plenty)
    fill(client, index, BROKEN)
    texts = {**dict.fromkeys(plenty, FOX), **{i: source["text"] for i, source in BROKEN.items()}}
    done = repair(client, index, encoder=ENCODER, page=page, pending_only=True)
    # What is marked as ready is believed; what was never encoded has no mark.
    assert done.needs == {"missing": 1, "pending": 2}
    assert (done.looked_at, done.repaired, done.complete) == (3, 3, True)
    assert repair(client, index, encoder=ENCODER).repaired == 4
    check(client, index, texts)


def test_routing_numbers_and_the_mark_of_a_copy_stay_as_they_are(
    client: OpenSearch, index: str, node_url: str
) -> None:
    source = b'{ "price": 1.50, "big": [1e3],\n "text": "a red fox", "funnel": {"origin": 99, '
    source += b'"id": "1", "state": "pending"}, "last": "\\u00e9" }'
    url = f"{node_url}/{index}/_doc/1"
    params = {"routing": "k", "refresh": "true"}
    as_json = {"content-type": "application/json"}
    assert httpx2.put(url, content=source, params=params, headers=as_json).status_code == 201
    assert counts(repair(client, f"{index}", encoder=ENCODER)) == (1, 1, True)
    answer = httpx2.get(url, params={"routing": "k"})
    assert answer.json()["_source"]["funnel"]["origin"] == 99
    assert answer.json()["_version"] == 2
    bounds = shard_bounds(client, index)
    (written,) = (
        document
        for shard, bound in bounds.items()
        for document in read_page(client, index, shard=shard, after=-1, upto=bound, size=9)
    )
    assert written.routing == "k"
    assert b'"price":1.50,"big":[1e3],"text"' in written.source.replace(b" ", b"")
    assert b'"last": "\\u00e9"' in written.source
    made = client.get(index=index, id="1", params={"routing": "k"})["_source"]["funnel"]
    assert made["hash"] == text_hash(FOX)
    assert found_by(client, index, "sparse", "fox") == {"1"}


def test_another_slot_keeps_what_was_made_of_the_same_text(client: OpenSearch, index: str) -> None:
    both = {**ready(FOX, key="1"), "sparse_a": None, "sparse_b": {"fox": 2.0}, "dense_b": [1.0]}
    mapping = {"properties": {"sparse_b": {"type": "rank_features"}}}
    client.indices.put_mapping(index=index, body={"properties": {"funnel": mapping}})
    fill(client, index, {"1": {"text": FOX, "funnel": {**both, "sparse_a": []}}})
    client.update(index=index, id="1", body={"doc": {"funnel": {"state": "pending"}}})
    repair(client, index, encoder=ENCODER)
    made = funnel_of(client, index, "1")
    assert (made["sparse_b"], made["dense_b"]) == ({"fox": 2.0}, [1.0])
    assert made["sparse_a"] == SPARSE.encode_query(FOX)


# Writers.


def test_a_document_that_changes_while_it_is_encoded_is_met_again(
    client: OpenSearch, index: str
) -> None:
    fill(client, index, {f"d{i}": {"text": FOX} for i in range(9)})
    begun = Event()

    def change(texts: Sequence[str]) -> None:
        del texts
        if not begun.is_set():
            begun.set()
            client.index(index=index, id="d3", body={"text": DOG})
            client.delete(index=index, id="d4")
            client.index(index=index, id="new", body={"text": DOG})

    report = repair(client, index, encoder=watched(change), page=9)
    expected = {f"d{i}": FOX for i in range(9) if i != 4} | {"d3": DOG, "new": DOG}
    check(client, index, expected)
    assert report.complete
    assert report.passes >= 2
    # Of three shards, the first page holds some of the nine only.
    assert report.changed_meanwhile <= 2
    if (
        client.indices.get_settings(index=index)[index]["settings"]["index"]["number_of_shards"]
        == "1"
    ):
        assert report.changed_meanwhile == 2


def test_a_writer_at_work_loses_nothing_and_leaves_nothing_stale(
    client: OpenSearch, index: str
) -> None:
    texts = {f"d{i}": f"{FOX} {i}" for i in range(60)}
    fill(client, index, {doc_id: {"text": text} for doc_id, text in texts.items()})
    began, ended = Event(), Event()

    def write() -> None:
        for number in range(300):
            doc_id = f"d{number * 7 % 80}"
            if number % 5 == 4 and doc_id in texts:
                client.delete(index=index, id=doc_id)
                del texts[doc_id]
            else:
                texts[doc_id] = f"{DOG} {number}"
                client.index(index=index, id=doc_id, body={"text": texts[doc_id]}, params=PAST)
            began.set()

    with ThreadPoolExecutor(1) as threads:
        writer = threads.submit(write)
        writer.add_done_callback(lambda _: ended.set())
        assert began.wait(60)
        reports = []
        while not ended.is_set():
            reports.append(repair(client, index, encoder=ENCODER, page=7))
        writer.result()
    last = repair(client, index, encoder=ENCODER)
    assert last.complete
    check(client, index, texts)
    assert sum(one.repaired for one in reports) > 0


def test_a_document_that_never_rests_is_left_after_so_many_passes(
    client: OpenSearch, index: str
) -> None:
    fill(client, index, {"d1": {"text": FOX}})

    def change(texts: Sequence[str]) -> None:
        client.index(index=index, id="d1", body={"text": f"{texts[0]} {DOG}"})

    report = repair(client, index, encoder=watched(change), most_passes=3)
    assert (report.passes, report.changed_meanwhile, report.left) == (3, 3, 1)
    assert not report.complete
    assert repair(client, index, encoder=ENCODER).complete


def test_a_repair_that_was_killed_is_finished_by_the_next(client: OpenSearch, index: str) -> None:
    texts = {f"d{i}": f"{FOX} {i}" for i in range(20)}
    fill(client, index, {doc_id: {"text": text} for doc_id, text in texts.items()})
    pages: list[int] = []

    def die(asked: Sequence[str]) -> None:
        pages.append(len(asked))
        if len(pages) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repair(client, index, encoder=watched(die), page=3)
    report = repair(client, index, encoder=ENCODER, page=3)
    assert report.complete
    assert report.repaired == 20 - sum(pages[:2])
    check(client, index, texts)


# What cannot be repaired.


def test_a_field_of_the_users_own_is_left_and_named(client: OpenSearch, index: str) -> None:
    own = {"steps": 3, "id": "1", "state": "pending"}
    fill(client, index, {"1": {"text": FOX, "funnel": own}, "2": {"text": DOG}})
    report = repair(client, index, encoder=ENCODER)
    assert (report.repaired, report.troubled, report.complete) == (1, 1, False)
    (trouble,) = report.troubles
    assert trouble.doc_id == "1"
    assert "rename it" in trouble.reason
    assert client.get(index=index, id="1")["_source"]["funnel"] == own


def test_what_the_index_refuses_is_named_and_stays(client: OpenSearch, index: str) -> None:
    fill(client, index, {"1": {"text": FOX}})
    long = SlotEncoder(fields=ENCODER.fields, sparse=Weights(), dense=Vectors(dimension=3))
    report = repair(client, index, encoder=long)
    assert (report.repaired, report.troubled) == (0, 1)
    assert "dimension" in report.troubles[0].reason
    assert client.get(index=index, id="1")["_source"] == {"text": FOX}


def test_models_that_did_not_fill_the_slot_are_refused(client: OpenSearch, index: str) -> None:
    other = SlotEncoder(fields=("text",), sparse=Weights(fingerprint="eeeeeeeeeeee"))
    with pytest.raises(InputError, match=r"sparse_a .*splade-tiny .*eeeeeeeeeeee.*cannot be mixed"):
        repair(client, index, encoder=other)
    of_b = SlotEncoder(fields=("text",), sparse=Weights(), name="b")
    with pytest.raises(InputError, match="no slot 'b'"):
        repair(client, index, encoder=of_b)
    with pytest.raises(EngineError, match="no such index"):
        repair(client, f"{index}-nowhere", encoder=ENCODER)


def test_a_name_of_several_indices_is_refused(client: OpenSearch, index: str) -> None:
    client.indices.create(index=f"{index}-2")
    with pytest.raises(InputError, match="2 indices"):
        repair(client, f"{index}*", encoder=ENCODER)


def test_an_alias_of_one_index_is_that_index_and_a_throttle_is_kept_to(
    client: OpenSearch, index: str
) -> None:
    client.indices.put_alias(index=index, name=f"{index}-alias")
    fill(client, index, {"1": {"text": FOX}, "2": {"text": DOG}})
    report = repair(client, f"{index}-alias", encoder=ENCODER, throttle=FixedRate(4.0))
    assert (report.index, report.repaired) == (index, 2)
    assert report.seconds >= 0.5
