"""Pages through the pipeline: every document once, none lost, none padded, on the real node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Reranking
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.engine.indices import EncodedBy, Slot, index_body
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights, served

pytestmark = pytest.mark.engine

SPARSE, DENSE = WordWeights(), WordVector()
COLOURS = ("red", "blue", "green", "grey")
DOCUMENTS = 90
FOX = {"match": {"text": "red fox"}}


def document(number: int) -> dict[str, Any]:
    words = [COLOURS[number % 4], "fox" if number % 3 else "hound", f"n{number}", f"m{number % 7}"]
    text = " ".join(words * (1 + number % 3))
    encoded = encoded_text({"title": "", "text": text}, fields=["title", "text"])
    return {
        "title": "",
        "text": text,
        "funnel": {
            "id": f"d{number}",
            "hash": text_hash(encoded),
            "state": "ready",
            "sparse_a": SPARSE.encode_query(encoded),
            "dense_a": DENSE.encode_query(encoded).tolist(),
        },
    }


@pytest.fixture(scope="module")
def indices(client: OpenSearch) -> Iterator[dict[int, str]]:
    """The same documents on one shard and on three."""
    slot = Slot(
        sparse=EncodedBy(model="splade-tiny", fingerprint=SPARSE.fingerprint),
        dense=EncodedBy(model="bge-small-en-v1.5", fingerprint=DENSE.fingerprint),
        dimension=DENSE.dimension,
    )
    made = {1: "test-paging-one", 3: "test-paging-three"}
    for shards, name in made.items():
        body = index_body(slot=slot)
        body["settings"]["index.number_of_shards"] = shards
        client.indices.delete(index=name, params={"ignore_unavailable": "true"})
        client.indices.create(index=name, body=body)
        lines: list[Any] = []
        for number in range(DOCUMENTS):
            lines += [{"index": {"_index": name, "_id": f"d{number}"}}, document(number)]
        answer = client.bulk(body=lines, params={"refresh": "true"})
        assert not answer["errors"]
    yield made
    for name in made.values():
        client.indices.delete(index=name)


@pytest.fixture(scope="module")
def url(client: OpenSearch) -> Iterator[str]:
    models = PlanModels(sparse=SPARSE, dense=DENSE, reranker=OverlapScorer())
    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=lambda _: models
    )
    app = create_app(plans, IndexTexts(client), engine_url="test", preload=list)
    with served(app) as address:
        yield address


@contextmanager
def applied(client: OpenSearch, index: str, *, url: str, depth: int, rerank: int) -> Iterator[None]:
    reranking = Reranking(enabled=True, depth=rerank) if rerank else Reranking(depth=1)
    plan = bound_plan(
        client,
        FunnelPlan(
            alias=index,
            depth=depth,
            rerank=reranking,
            deadlines=Deadlines(rewrite_ms=20_000, rank_ms=20_000),
        ),
    )
    done = apply_pipeline(client, plan, service_url=url, default=True)
    try:
        yield
    finally:
        remove_pipeline(client, done.name)


def pages(
    client: OpenSearch, index: str, query: dict[str, Any], *, size: int, **extra: Any
) -> Iterator[dict[str, Any]]:
    """Page until a page is empty."""
    start = 0
    while True:
        body = {"query": query, "from": start, "size": size, **extra}
        page: dict[str, Any] = client.search(index=index, body=body)
        yield page
        if not page["hits"]["hits"]:
            return
        start += size


def ids(responses: Sequence[dict[str, Any]]) -> list[str]:
    return [hit["_id"] for response in responses for hit in response["hits"]["hits"]]


@pytest.mark.parametrize("case", [(1, 0), (3, 0), (1, 12), (3, 12)])
@pytest.mark.parametrize("size", [4, 5, 7, 12, 20])
def test_pages_hold_every_document_once_and_are_full_but_for_the_last(
    client: OpenSearch, indices: dict[int, str], url: str, case: tuple[int, int], size: int
) -> None:
    shards, rerank = case
    index = indices[shards]
    plain = client.search(index=index, body={"query": FOX, "size": 100})
    with applied(client, index, url=url, depth=20, rerank=rerank):
        found = list(pages(client, index, FOX, size=size))
        whole = client.search(index=index, body={"query": FOX, "size": 20})
    shown = ids(found)
    assert len(shown) == len(set(shown)), "no document twice"
    assert set(ids([plain])) <= set(shown), "none of the client's own hits is lost"
    assert [len(page["hits"]["hits"]) for page in found[:-2]] == [size] * (len(found) - 2)
    totals = {page["hits"]["total"]["value"] for page in found}
    assert totals == {len(shown)}, "every page says how many there are"
    assert not any(degraded(page) for page in found)
    ranked = [page["aggregations"]["_funnel"]["meta"]["rank"] for page in found]
    window = rerank // size * size if size <= rerank else rerank
    assert ranked == [place * size < window for place in range(len(found))]
    if size <= rerank:
        assert shown[:window] == ids([whole])[:window] or window < rerank
    for page in found:
        scores = [hit["_score"] for hit in page["hits"]["hits"]]
        assert scores == sorted(scores, reverse=True)
        assert all("fields" not in hit for hit in page["hits"]["hits"])


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize("words", ["m2", "m1 fox", "m4 fox grey"])
def test_few_hits_are_paged_to_the_last(
    client: OpenSearch, indices: dict[int, str], url: str, shards: int, words: str
) -> None:
    index = indices[shards]
    query = {"match": {"text": {"query": words, "operator": "and"}}}
    plain = client.search(index=index, body={"query": query, "size": 100})
    assert 1 <= plain["hits"]["total"]["value"] <= 13
    with applied(client, index, url=url, depth=20, rerank=12):
        for size in (3, 5, 10):
            found = list(pages(client, index, query, size=size))
            shown = ids(found)
            assert sorted(shown) == sorted(ids([plain])), "the same set, each document once"
            assert {page["hits"]["total"]["value"] for page in found} == {len(shown)}
            assert not any(degraded(page) for page in found)


def test_facets_and_totals_stay_the_plain_ones_on_every_page(
    client: OpenSearch, indices: dict[int, str], url: str
) -> None:
    index = indices[3]
    asked = {
        "aggs": {"colours": {"filter": {"match": {"text": "red"}}}},
        "track_total_hits": True,
        "highlight": {"fields": {"text": {}}},
        "post_filter": {"match": {"text": "fox"}},
    }
    plain = client.search(index=index, body={"query": FOX, "size": 100, **asked})
    with applied(client, index, url=url, depth=20, rerank=12):
        found = list(pages(client, index, FOX, size=6, **asked))
    assert sorted(ids(found)) == sorted(ids([plain]))
    for page in found:
        assert page["aggregations"].pop("_funnel")
        assert page["aggregations"] == plain["aggregations"]
        assert page["hits"]["total"] == plain["hits"]["total"]
    highlights = {hit["_id"]: hit["highlight"] for hit in plain["hits"]["hits"]}
    for page in found:
        for hit in page["hits"]["hits"]:
            assert hit["highlight"] == highlights[hit["_id"]]


def test_requests_for_no_total_are_answered(
    client: OpenSearch, indices: dict[int, str], url: str
) -> None:
    index = indices[1]
    for rerank in (0, 12):
        with applied(client, index, url=url, depth=20, rerank=rerank):
            found = [
                client.search(
                    index=index,
                    body={"query": FOX, "from": start, "size": 6, "track_total_hits": False},
                )
                for start in (0, 6, 12, 48)
            ]
        assert [len(page["hits"]["hits"]) for page in found] == [6] * 4
        assert not any(degraded(page) for page in found)


def test_far_beyond_the_end_there_is_an_empty_page_and_no_error(
    client: OpenSearch, indices: dict[int, str], url: str
) -> None:
    with applied(client, indices[1], url=url, depth=20, rerank=12):
        page = client.search(index=indices[1], body={"query": FOX, "from": 5000, "size": 10})
    assert page["hits"]["hits"] == []
    assert not degraded(page)
