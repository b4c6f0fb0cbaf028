"""Where the legs are weighed for each query, the pipeline's pages are the client form's order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel import Query, Ranking
from opensearch_funnel.build.funnel import client_funnel
from opensearch_funnel.core.errors import EngineError, EngineUnreachableError
from opensearch_funnel.core.plan import FunnelPlan, Fusion, Reranking
from opensearch_funnel.engine.allow_list import TextSearch
from opensearch_funnel.engine.applying import bound_plan
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.hits import degraded, leg_scores
from opensearch_funnel.engine.queries import leg_queries
from opensearch_funnel.engine.service_fusion import ServiceFusion
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import WordVector
from tests.engine.shelf import MODELS, applied, fill_index, shelves, stand_in_service

pytestmark = pytest.mark.engine

AUTO, STATIC = Fusion(technique="auto"), Fusion(technique="min_max")
TEXTS = ["red fox", "m2 hound", "n17 grey", "blue", "m1 m4 fox"]
NAMED = {"include_named_queries_score": "true"}


@pytest.fixture(scope="module")
def indices(client: OpenSearch) -> Iterator[dict[int, str]]:
    with shelves(client) as made:
        yield made


@pytest.fixture(scope="module")
def url(client: OpenSearch) -> Iterator[str]:
    with stand_in_service(client) as address:
        yield address


def plan_of(index: str, *, fusion: Fusion = AUTO, rerank: int = 0, **parts: Any) -> FunnelPlan:
    # Shallow, so that what a leg does not reach matters.
    reranking = Reranking(enabled=bool(rerank), depth=rerank or 1)
    return FunnelPlan(alias=index, fusion=fusion, rerank=reranking, **{"depth": 20, **parts})


def query_of(text: str) -> dict[str, Any]:
    return {"match": {"text": text}}


def client_order(client: OpenSearch, plan: FunnelPlan, query: Mapping[str, Any]) -> Ranking:
    """Run the client form with the client's own query as its lexical leg."""
    bound = bound_plan(client, plan)
    text = query["match"]["text"]
    funnel = client_funnel(client, bound, models=MODELS, lexical=lambda _: dict(query))
    return funnel(Ranking(Query(text=text)))


def ids(response: Mapping[str, Any]) -> list[str]:
    return [hit["_id"] for hit in response["hits"]["hits"]]


def service_fusion(client: OpenSearch, plan: FunnelPlan, *, left_s: float = 20) -> ServiceFusion:
    return ServiceFusion(client=client, plan=plan, until=time.monotonic() + left_s)


@contextmanager
def aliased(client: OpenSearch, actions: Sequence[dict[str, Any]]) -> Iterator[None]:
    """Add an alias to indices that other tests use, too."""
    client.indices.update_aliases(body={"actions": actions})
    try:
        yield
    finally:
        for action in actions:
            added = action["add"]
            client.indices.delete_alias(index=added["index"], name=added["alias"])


@pytest.mark.parametrize("rerank", [0, 12], ids=["fused", "reranked"])
@pytest.mark.parametrize("shards", [1, 3])
def test_every_page_is_cut_out_of_the_client_form_s_order(
    client: OpenSearch, indices: dict[int, str], url: str, shards: int, rerank: int
) -> None:
    index = indices[shards]
    plan = plan_of(index, rerank=rerank)
    with applied(client, plan, url=url):
        for text in TEXTS:
            order = [c.doc_id for c in client_order(client, plan, query_of(text)).candidates]
            assert len(order) > 12
            for start, size in ((0, 4), (4, 4), (8, 4), (12, 4), (0, 12), (0, 20), (7, 5)):
                if rerank and size == 5:
                    continue  # its window is shorter: whole pages
                body = {"query": query_of(text), "from": start, "size": size}
                page = client.search(index=index, body=body)
                assert not degraded(page)
                assert ids(page) == order[start : start + size], (text, start, size)
                scores = [hit["_score"] for hit in page["hits"]["hits"]]
                assert scores == sorted(scores, reverse=True)
                if not rerank:
                    assert max(scores) < 1000
                    assert len(set(scores)) == len(scores)


@pytest.mark.parametrize("shards", [1, 3])
def test_queries_have_weights_of_their_own(
    client: OpenSearch, indices: dict[int, str], url: str, shards: int
) -> None:
    index = indices[shards]
    orders: dict[str, list[list[str]]] = {}
    for fusion in (AUTO, STATIC):
        with applied(client, plan_of(index, fusion=fusion), url=url):
            orders[fusion.technique] = [
                ids(client.search(index=index, body={"query": query_of(t), "size": 20}))
                for t in TEXTS
            ]
    assert orders["auto"] != orders["min_max"]


REQUESTS: list[dict[str, Any]] = [
    {},
    {"track_total_hits": True},
    {"aggs": {"colours": {"terms": {"field": "colour"}}}},
    {"post_filter": {"term": {"colour": "grey"}}},
    {"highlight": {"fields": {"text": {}}}},
    {"_source": ["number"], "fields": ["colour"], "docvalue_fields": ["number"]},
]


@pytest.mark.parametrize("case", [(1, 0), (3, 0), (1, 12), (3, 12)])
def test_all_but_the_order_is_what_the_engine_s_fusion_answers(
    client: OpenSearch, indices: dict[int, str], url: str, case: tuple[int, int]
) -> None:
    shards, rerank = case
    index = indices[shards]
    # On several shards the engine's fusion has the nearest of each: as deep, both have them all.
    depth = 20 if shards == 1 else 100
    bodies = [{"query": query_of(t), "size": 20, **more} for t in TEXTS for more in REQUESTS]
    found: dict[str, list[dict[str, Any]]] = {}
    for fusion in (AUTO, STATIC):
        plan = plan_of(index, fusion=fusion, rerank=rerank, depth=depth)
        with applied(client, plan, url=url):
            found[fusion.technique] = [
                client.search(index=index, body=body, params=NAMED) for body in bodies
            ]
    for ours, theirs in zip(found["auto"], found["min_max"], strict=True):
        assert ours["hits"]["total"] == theirs["hits"]["total"]
        for response in (ours, theirs):
            assert response["aggregations"].pop("_funnel")["meta"]["rank"] is bool(rerank)
        assert ours["aggregations"] == theirs["aggregations"]
        assert len(ours["hits"]["hits"]) == len(theirs["hits"]["hits"])
        known = {hit["_id"]: hit for hit in theirs["hits"]["hits"]}
        both_have = [hit for hit in ours["hits"]["hits"] if hit["_id"] in known]
        assert both_have
        for hit in both_have:
            other = known[hit["_id"]]
            assert leg_scores(hit) == pytest.approx(leg_scores(other))
            for part in ("_source", "fields", "highlight"):
                assert hit.get(part) == other.get(part)


@pytest.mark.parametrize("shards", [1, 3])
def test_what_the_client_requires_holds_for_every_leg(
    client: OpenSearch, indices: dict[int, str], url: str, shards: int
) -> None:
    index = indices[shards]
    query = {"bool": {"must": [query_of("red fox")], "filter": [{"term": {"colour": "blue"}}]}}
    pages: dict[str, list[dict[str, Any]]] = {}
    for fusion in (AUTO, STATIC):
        with applied(client, plan_of(index, fusion=fusion), url=url):
            pages[fusion.technique] = [
                client.search(index=index, body={"query": query, "from": start, "size": 10})
                for start in (0, 10, 20)
            ]
    for ours, theirs in zip(pages["auto"], pages["min_max"], strict=True):
        assert ours["hits"]["total"] == theirs["hits"]["total"]
        assert {hit["_source"]["colour"] for hit in ours["hits"]["hits"]} <= {"blue"}
    shown = [doc_id for page in pages["auto"] for doc_id in ids(page)]
    assert len(shown) == len(set(shown)) == pages["auto"][0]["hits"]["total"]["value"]


@pytest.mark.parametrize("shards", [1, 3])
def test_same_set_keeps_to_what_the_plain_query_finds(
    client: OpenSearch, indices: dict[int, str], url: str, shards: int
) -> None:
    index = indices[shards]
    plan = plan_of(index, matching="same_set")
    plains = [
        client.search(index=index, body={"query": query_of(text), "size": 100}) for text in TEXTS
    ]
    with applied(client, plan, url=url):
        pages = [
            client.search(index=index, body={"query": query_of(text), "size": 20}, params=NAMED)
            for text in TEXTS
        ]
    for text, plain, page in zip(TEXTS, plains, pages, strict=True):
        order = [c.doc_id for c in client_order(client, plan, query_of(text)).candidates]
        assert ids(page) == order[:20]
        assert set(ids(page)) <= set(ids(plain))
        assert page["hits"]["total"] == plain["hits"]["total"]
        assert any({"sparse", "dense"} & leg_scores(hit).keys() for hit in page["hits"]["hits"])


@pytest.mark.parametrize("case", [(1, 0), (3, 0), (1, 12), (3, 12)])
def test_pages_hold_every_document_once_and_are_full_but_for_the_last(
    client: OpenSearch, indices: dict[int, str], url: str, case: tuple[int, int]
) -> None:
    shards, rerank = case
    index = indices[shards]
    plain = client.search(index=index, body={"query": query_of("red fox"), "size": 100})
    with applied(client, plan_of(index, rerank=rerank), url=url):
        for size in (5, 12, 20):
            found: list[dict[str, Any]] = []
            while not found or found[-1]["hits"]["hits"]:
                body = {"query": query_of("red fox"), "from": len(found) * size, "size": size}
                found.append(client.search(index=index, body=body))
            shown = [doc_id for page in found for doc_id in ids(page)]
            assert len(shown) == len(set(shown)), "no document twice"
            assert set(ids(plain)) <= set(shown), "none of the client's own hits is lost"
            assert {page["hits"]["total"]["value"] for page in found} == {len(shown)}
            assert [len(page["hits"]["hits"]) for page in found[:-2]] == [size] * (len(found) - 2)
            assert not any(degraded(page) for page in found)


def test_an_alias_over_two_indices_with_filters(
    client: OpenSearch, indices: dict[int, str], index_name: str
) -> None:
    alias = f"{index_name}-both"
    actions = [
        {"add": {"index": indices[1], "alias": alias, "filter": {"term": {"colour": "red"}}}},
        {"add": {"index": indices[3], "alias": alias, "filter": {"term": {"colour": "grey"}}}},
    ]
    plan = plan_of(alias)
    legs = leg_queries(plan, text="m2 fox", bm25=query_of("m2 fox"), models=MODELS)
    with aliased(client, actions):
        funnel = client_funnel(client, plan, models=MODELS, lexical=lambda _: query_of("m2 fox"))
        order = funnel(Ranking(Query(text="m2 fox"))).candidates
        search = TextSearch("m2 fox", query_of("m2 fox"), 10)
        found = service_fusion(client, plan).fused_list(search, legs)
    assert found.hits == len(order)
    assert found.ids == [c.doc_id.partition("/")[2] for c in order][:50]
    assert len({c.doc_id.partition("/")[0] for c in order[:10]}) > 1


def test_an_alias_over_an_index_that_was_never_encoded(
    client: OpenSearch, indices: dict[int, str], index_name: str
) -> None:
    alias = f"{index_name}-both"
    texts = {
        f"p{n}": {"text": " ".join(["zebra" if n < 3 else "sheep", *["fox grass"] * (n % 4)])}
        for n in range(9)
    }
    settings = {"number_of_shards": 2, "number_of_replicas": 0}
    client.indices.create(index=index_name, body={"settings": settings})
    lines = [part for n, text in texts.items() for part in ({"index": {"_id": n}}, text)]
    client.bulk(index=index_name, body=lines, params={"refresh": "true"})
    plan = plan_of(alias, depth=12)
    query = query_of("zebra fox")
    legs = leg_queries(plan, text="zebra fox", bm25=query, models=MODELS)
    with aliased(client, [{"add": {"index": i, "alias": alias}} for i in (indices[3], index_name)]):
        funnel = client_funnel(client, plan, models=MODELS, lexical=lambda _: query)
        order = funnel(Ranking(Query(text="zebra fox"))).candidates
        found = service_fusion(client, plan).fused_list(TextSearch("zebra fox", query, 10), legs)
    assert found.field == "_id"
    assert found.hits == len(order)
    assert found.ids == [c.doc_id.partition("/")[2] for c in order][:50]
    assert {"p0", "p1", "p2"} < set(found.ids)


def test_documents_without_a_name_of_their_own_are_found_by_their_ids(
    client: OpenSearch, url: str, index_name: str
) -> None:
    texts = ["red fox", "red fox red", "fox", "grey fox", "a red hound"]
    fill_index(client, index_name, {f"d{n}": {"text": text} for n, text in enumerate(texts)})
    plan = plan_of(index_name)

    def page_and_order() -> tuple[list[str], list[str]]:
        client.indices.refresh(index=index_name)
        with applied(client, plan, url=url):
            page = client.search(index=index_name, body={"query": query_of("red fox"), "size": 4})
        assert not degraded(page)
        order = client_order(client, plan, query_of("red fox")).candidates
        return ids(page), [c.doc_id for c in order][:4]

    search = TextSearch("red fox", query_of("red fox"), 4)
    legs = leg_queries(plan, text="red fox", bm25=query_of("red fox"), models=MODELS)
    assert service_fusion(client, plan).fused_list(search, legs).field == "funnel.id"
    shown, order = page_and_order()
    assert shown == order
    # A copy with the name of its original, whose text was changed since.
    copied = client.get(index=index_name, id="d0")["_source"]
    client.index(index=index_name, id="copy", body={**copied, "text": "a hound and a fox"})
    shown, order = page_and_order()
    assert shown == order
    assert service_fusion(client, plan).fused_list(search, legs).field == "_id"
    client.delete(index=index_name, id="copy")
    client.index(index=index_name, id="plain", body={"text": "red fox"})
    shown, order = page_and_order()
    assert shown == order
    assert service_fusion(client, plan).fused_list(search, legs).field == "_id"


def test_a_client_that_sees_less_than_the_service_gets_full_pages(
    client: OpenSearch, indices: dict[int, str], url: str, index_name: str
) -> None:
    index, alias = indices[3], f"{index_name}-some"
    some = {"index": index, "alias": alias, "filter": {"range": {"number": {"lt": 30}}}}
    with aliased(client, [{"add": some}]), applied(client, plan_of(index), url=url):
        pages = [
            client.search(index=alias, body={"query": query_of("fox"), "from": start, "size": 5})
            for start in (0, 5, 10)
        ]
    shown = [doc_id for page in pages for doc_id in ids(page)]
    assert len(shown) == len(set(shown)) == 15
    assert all(hit["_source"]["number"] < 30 for page in pages for hit in page["hits"]["hits"])
    assert not any(degraded(page) for page in pages)


def test_where_the_legs_cannot_be_searched_the_engine_fuses_and_that_is_counted(
    client: OpenSearch, indices: dict[int, str]
) -> None:
    index = indices[3]
    nobody = IndexTexts(connect(Settings(url="http://127.0.0.1:9")))
    body = {"query": query_of("red fox"), "size": 20}
    with stand_in_service(client, texts=nobody) as url:
        with applied(client, plan_of(index, fusion=Fusion(technique="rrf")), url=url):
            static = client.search(index=index, body=body)
        with applied(client, plan_of(index), url=url):
            page = client.search(index=index, body=body)
            later = client.search(index=index, body={**body, "from": 20})
        metrics = httpx2.get(f"{url}/metrics").text
    assert ids(page) == ids(static)
    assert page["hits"]["total"] == static["hits"]["total"]
    assert page["aggregations"]["_funnel"]["meta"]["fusion"] == "static"
    assert degraded(page)
    assert not degraded(static)
    assert 'funnel_degraded_total{reason="engine",stage="fusion"} 1.0' in metrics
    assert later["hits"]["hits"]
    assert "_funnel" not in later.get("aggregations", {})


def test_a_leg_that_fails_is_no_failed_search(client: OpenSearch, indices: dict[int, str]) -> None:
    wrong = replace(MODELS, dense=WordVector(dimension=3))
    plan = plan_of(indices[1])
    with stand_in_service(client, models=wrong) as url, applied(client, plan, url=url):
        fusion = service_fusion(client, plan)
        search = TextSearch("fox", query_of("fox"), 10)
        legs = leg_queries(plan, text="fox", bm25=query_of("fox"), models=wrong)
        with pytest.raises(EngineError, match=r"the dense leg failed: .*dimension"):
            fusion.fused_list(search, legs)


def test_without_time_nothing_is_searched(client: OpenSearch, indices: dict[int, str]) -> None:
    plan = plan_of(indices[1])
    search = TextSearch("fox", query_of("fox"), 10)
    with pytest.raises(EngineUnreachableError, match="no time was left"):
        service_fusion(client, plan, left_s=0).fused_list(search, {"bm25": query_of("fox")})


@pytest.mark.parametrize("shards", [1, 3])
def test_a_leg_without_hits_and_a_search_without_any(
    client: OpenSearch, indices: dict[int, str], shards: int
) -> None:
    plan = plan_of(indices[shards]).with_legs("bm25", "sparse")
    search = TextSearch("fox", query_of("fox"), 10)
    some = {"bm25": query_of("zebra"), "sparse": query_of("hound")}
    found = service_fusion(client, plan).fused_list(search, some)
    assert len(found.ids) == min(found.hits, 50) > 0
    none = service_fusion(client, plan).fused_list(search, dict.fromkeys(some, query_of("zebra")))
    assert (none.ids, none.hits) == ([], 0)
