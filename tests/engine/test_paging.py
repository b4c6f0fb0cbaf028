"""Pages through the pipeline: every document once, none lost, none padded, on the real node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.engine.hits import degraded
from tests.engine.shelf import applied, shelves, stand_in_service

pytestmark = pytest.mark.engine

FOX = {"match": {"text": "red fox"}}
TYPED = {"typed_keys": "true"}


@pytest.fixture(scope="module")
def indices(client: OpenSearch) -> Iterator[dict[int, str]]:
    with shelves(client) as made:
        yield made


@pytest.fixture(scope="module")
def url(client: OpenSearch) -> Iterator[str]:
    with stand_in_service(client) as address:
        yield address


def plan_of(index: str, *, rerank: int) -> FunnelPlan:
    reranking = Reranking(enabled=True, depth=rerank) if rerank else Reranking(depth=1)
    return FunnelPlan(alias=index, depth=20, rerank=reranking)


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
def test_pages_hold_every_document_once_and_are_full_but_for_the_last(
    client: OpenSearch, indices: dict[int, str], url: str, case: tuple[int, int]
) -> None:
    shards, rerank = case
    index = indices[shards]
    plain = client.search(index=index, body={"query": FOX, "size": 100})
    with applied(client, plan_of(index, rerank=rerank), url=url):
        whole = client.search(index=index, body={"query": FOX, "size": 12})
        for size in (4, 5, 7, 12, 20):
            found = list(pages(client, index, FOX, size=size))
            shown = ids(found)
            assert len(shown) == len(set(shown)), "no document twice"
            assert set(ids([plain])) <= set(shown), "none of the client's own hits is lost"
            assert [len(page["hits"]["hits"]) for page in found[:-2]] == [size] * (len(found) - 2)
            totals = {page["hits"]["total"]["value"] for page in found}
            assert totals == {len(shown)}, "every page says how many there are"
            window = rerank // size * size if size <= rerank else rerank
            assert [was_ranked(page) for page in found] == [
                place * size < window for place in range(len(found))
            ]
            if window == rerank:
                assert shown[:12] == ids([whole]), "the order is the same on pages of any size"
            for page in found:
                assert_falling_and_clean(page)


def was_ranked(page: dict[str, Any]) -> bool:
    assert not degraded(page)
    ranked: bool = page["aggregations"]["_funnel"]["meta"]["rank"]
    return ranked


def assert_falling_and_clean(page: dict[str, Any]) -> None:
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
    with applied(client, plan_of(index, rerank=12), url=url):
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
    with applied(client, plan_of(index, rerank=12), url=url):
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
        with applied(client, plan_of(index, rerank=rerank), url=url):
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
    with applied(client, plan_of(indices[1], rerank=12), url=url):
        page = client.search(index=indices[1], body={"query": FOX, "from": 5000, "size": 10})
    assert page["hits"]["hits"] == []
    assert not degraded(page)


@pytest.mark.parametrize(("start", "size"), [(10, 20), (3, 5), (11, 2), (19, 20), (7, 13)])
def test_a_page_from_anywhere_is_full_and_reranked_where_it_begins_in_the_window(
    client: OpenSearch, indices: dict[int, str], url: str, start: int, size: int
) -> None:
    with applied(client, plan_of(indices[1], rerank=12), url=url):
        page = client.search(
            index=indices[1], body={"query": FOX, "from": start, "size": size}, params=TYPED
        )
    assert len(set(ids([page]))) == size
    assert not degraded(page)
    scores = [hit["_score"] for hit in page["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)
