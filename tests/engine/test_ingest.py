"""Documents that are encoded while they are written, on the real node with stand-in encoders."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.engine.hits import degraded
from tests.engine.live import (
    CountedWeights,
    bulk,
    found_by,
    funnel_of,
    live_index,
    ready,
    refused,
)
from tests.engine.shelf import SPARSE, stand_in_service

pytestmark = pytest.mark.engine

FOX, DOG = "a red fox", "two blue dogs"


@pytest.fixture
def sparse() -> CountedWeights:
    return CountedWeights()


@pytest.fixture
def index(client: OpenSearch, index_name: str, sparse: CountedWeights) -> Iterator[str]:
    with (
        stand_in_service(client, models=sparse.models) as url,
        live_index(client, index_name, url=url),
    ):
        yield index_name


def test_written_documents_are_found_by_every_leg(client: OpenSearch, index: str) -> None:
    client.index(index=index, id="put", body={"text": FOX})
    lines = [
        *({"index": {"_index": index, "_id": "bulk-1"}}, {"title": "x", "text": FOX}),
        *({"create": {"_index": index, "_id": "bulk-2", "routing": "r"}}, {"text": DOG}),
    ]
    assert [one["status"] for one in bulk(client, *lines)] == [201, 201]
    assert funnel_of(client, index, "put") == ready(FOX, key="put")
    assert funnel_of(client, index, "bulk-1") == ready(f"x. {FOX}", key="bulk-1")
    for leg in ("bm25", "sparse"):
        assert found_by(client, index, leg, "fox") == {"put", "bulk-1"}
    assert found_by(client, index, "dense", FOX) == {"put"}
    assert found_by(client, index, "dense", DOG) == {"bulk-2"}
    answer = client.search(index=index, body={"query": {"match": {"text": "fox"}}})
    assert not degraded(answer)
    legs = {name for hit in answer["hits"]["hits"] for name in hit["matched_queries"]}
    assert legs == {"bm25", "sparse", "dense"}
    assert all("funnel" not in hit["_source"] for hit in answer["hits"]["hits"])


def test_documents_without_an_id_get_keys_of_their_own(client: OpenSearch, index: str) -> None:
    for _ in range(3):
        client.index(index=index, body={"text": FOX})
    lines = [
        line
        for action in ("index", "create")
        for _ in range(3)
        for line in ({action: {"_index": index}}, {"text": FOX})
    ]
    assert {one["status"] for one in bulk(client, *lines)} == {201}
    found = found_by(client, index, "sparse", "fox")
    assert len(found) == 9
    assert found_by(client, index, "dense", FOX) == found
    funnels = [funnel_of(client, index, doc_id) for doc_id in found]
    assert {funnel["state"] for funnel in funnels} == {"ready"}
    assert len({funnel["id"] for funnel in funnels}) == 9


def test_a_partial_update_encodes_a_text_that_changed_and_no_other(
    client: OpenSearch, index: str, sparse: CountedWeights
) -> None:
    client.index(index=index, id="1", body={"text": FOX, "price": 1})
    client.update(index=index, id="1", body={"doc": {"price": 2}})
    assert sparse.texts == [FOX]
    assert funnel_of(client, index, "1") == ready(FOX, key="1")
    client.update(index=index, id="1", body={"doc": {"text": DOG}})
    assert sparse.texts == [FOX, DOG]
    assert funnel_of(client, index, "1") == ready(DOG, key="1")
    assert found_by(client, index, "sparse", "fox") == set()
    client.update(index=index, id="1", body={"doc": {"text": None}})
    assert sparse.texts == [FOX, DOG]
    assert funnel_of(client, index, "1") == ready("", key="1")


def test_a_document_that_comes_back_with_its_funnel_is_not_encoded_again(
    client: OpenSearch, index: str, sparse: CountedWeights
) -> None:
    client.index(index=index, id="1", body={"text": FOX})
    read = client.get(index=index, id="1")["_source"]
    client.index(index=index, id="2", body={**read, "price": 3})
    assert sparse.texts == [FOX]
    assert funnel_of(client, index, "2") == ready(FOX, key="2")


def test_a_copy_that_is_written_over_is_no_copy_any_more(client: OpenSearch, index: str) -> None:
    copied = {"text": FOX, "funnel": {**ready(FOX, key="1"), "origin": 2**41 + 5}}
    client.index(index=index, id="1", body=copied, params={"pipeline": "_none"})
    assert funnel_of(client, index, "1")["origin"] == 2**41 + 5
    client.update(index=index, id="1", body={"doc": {"price": 2}})
    assert "origin" not in funnel_of(client, index, "1")


def test_update_by_query_and_reindex_encode_what_they_write(
    client: OpenSearch, index: str, sparse: CountedWeights
) -> None:
    client.index(index=index, id="1", body={"text": FOX}, params={"refresh": "true"})
    client.update_by_query(
        index=index,
        body={
            "query": {"ids": {"values": ["1"]}},
            "script": {"source": "ctx._source.text = params.t", "params": {"t": DOG}},
        },
        params={"refresh": "true"},
    )
    assert funnel_of(client, index, "1") == ready(DOG, key="1")
    plain = f"{index}-plain"
    for number in range(5):
        client.index(index=plain, id=f"p{number}", body={"text": f"{FOX} {number}"})
    client.indices.refresh(index=plain)
    answer = client.reindex(
        body={"source": {"index": plain}, "dest": {"index": index}}, params={"refresh": "true"}
    )
    assert (answer["created"], answer["failures"]) == (5, [])
    for number in range(5):
        assert funnel_of(client, index, f"p{number}") == ready(f"{FOX} {number}", key=f"p{number}")
    assert len(sparse.texts) == 7


@pytest.mark.parametrize(
    "text",
    [
        'quo"ted \\ text',
        "two\nlines\tand \x00 \x1b",
        "emoji 😀 \u2028 日本",
        '{"a": 1}',
        '["a"]',
        "${body} ${x:-y} $1 {{_id}} {{{_id}}} {{ {{{{ }} {{_id}}:{{text}}",
        ["one", None, "two"],
        None,
        "",
        1234567890123456789,
        "word " * 200_000,
    ],
)
def test_every_text_arrives_as_it_is(client: OpenSearch, index: str, text: Any) -> None:
    client.index(index=index, id="1", body={"text": text})
    parts = text if isinstance(text, list) else [text]
    flat = " ".join(str(part).strip() for part in parts if part is not None)
    assert funnel_of(client, index, "1") == ready(flat, key="1")


def test_a_text_that_the_engine_takes_for_a_placeholder_is_left_pending(
    client: OpenSearch, index: str
) -> None:
    lines = [
        *({"index": {"_index": index, "_id": "1"}}, {"text": "write ${parameters.doc} here"}),
        *({"index": {"_index": index, "_id": "2"}}, {"text": FOX}),
    ]
    assert [one["status"] for one in bulk(client, *lines)] == [201, 201]
    assert funnel_of(client, index, "1") == {"id": "1", "state": "pending"}
    assert funnel_of(client, index, "2") == ready(FOX, key="2")
    assert found_by(client, index, "bm25", "write") == {"1"}


def test_a_field_of_the_users_own_is_not_written_over(client: OpenSearch, index: str) -> None:
    client.index(index=index, id="1", body={"text": FOX, "funnel": {"steps": 3}})
    assert funnel_of(client, index, "1") == {"steps": 3, "id": "1", "state": "pending"}
    reason = str(refused(client, index, "2", {"text": FOX, "funnel": "mine"}))
    assert "funnel" in reason
    client.index(index=index, id="3", body={"text": FOX, "funnel": None})
    assert funnel_of(client, index, "3") == ready(FOX, key="3")


def test_ids_are_kept_to_the_letter(client: OpenSearch, index: str, sparse: CountedWeights) -> None:
    doc_id = "a\"b&c<d'e\\f 日本 {{text}} {{"
    client.index(index=index, id=doc_id, body={"text": FOX})
    assert funnel_of(client, index, doc_id) == ready(FOX, key=doc_id)
    sparse.down = True
    client.index(index=index, id=doc_id, body={"text": DOG})
    assert funnel_of(client, index, doc_id) == {"id": doc_id, "state": "pending"}


# Updates in a bulk request: the engine runs no pipeline on what they make.


def test_an_update_in_a_bulk_request_passes_the_pipeline_by(
    client: OpenSearch, index: str, sparse: CountedWeights
) -> None:
    client.index(index=index, id="1", body={"text": FOX})
    bulk(client, {"update": {"_index": index, "_id": "1"}}, {"doc": {"text": DOG}})
    assert sparse.texts == [FOX]
    stale = client.get(index=index, id="1")["_source"]
    assert stale["text"] == DOG
    # What tells the repair that it is stale: the hash is not that of the text.
    assert stale["funnel"]["hash"] == ready(FOX, key="1")["hash"]


def test_an_upsert_in_a_bulk_request_leaves_no_term_of_the_old_text(
    client: OpenSearch, index: str, sparse: CountedWeights
) -> None:
    def upsert(doc_id: str, doc: dict[str, Any]) -> None:
        action = {"update": {"_index": index, "_id": doc_id}}
        (done,) = bulk(client, action, {"doc": doc, "doc_as_upsert": True})
        assert done["status"] in {200, 201}

    client.index(index=index, id="1", body={"text": FOX})
    for doc_id in ("1", "new"):
        upsert(doc_id, {"text": DOG})
        made = funnel_of(client, index, doc_id)
        assert made["sparse_a"] == [SPARSE.encode_query(DOG)]
        assert {**made, "sparse_a": 0, "id": 0} == {**ready(DOG, key=""), "sparse_a": 0, "id": 0}
    assert found_by(client, index, "sparse", "fox") == set()
    assert found_by(client, index, "sparse", "dogs") == {"1", "new"}
    assert found_by(client, index, "dense", DOG) == {"1", "new"}
    client.index(index=index, id="2", body={"text": FOX})
    upsert("2", {"price": 2})
    assert funnel_of(client, index, "2") == ready(FOX, key="2")
    assert sparse.texts == [FOX, DOG, DOG, FOX]
