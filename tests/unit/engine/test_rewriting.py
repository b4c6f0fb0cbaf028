"""What the upgraded request says."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Fusion, Reranking
from opensearch_funnel.engine.allow_list import TextSearch, read_text_search
from opensearch_funnel.engine.paging import FusedList
from opensearch_funnel.engine.queries import leg_queries, sparse_query
from opensearch_funnel.engine.rewriting import (
    LEAST_PINNED,
    RankContext,
    upgraded_body,
    wanted_of_list,
)
from opensearch_funnel.testing import WordVector, WordWeights

FIELDS = ("text", "title")
PLAN = FunnelPlan(alias="films", searched_fields=FIELDS, fusion=Fusion(technique="min_max"))
RERANKED = replace(PLAN, rerank=Reranking(enabled=True, depth=50))
AUTO = replace(PLAN, fusion=Fusion(technique="auto"))
AUTO_RERANKED = replace(RERANKED, fusion=Fusion(technique="auto"))
MATCH = {"match": {"text": {"query": "red fox", "operator": "OR"}}}
LISTED = [f"d{place}" for place in range(300)]


def upgrade(
    body: dict[str, Any], *, plan: FunnelPlan, fused: Sequence[str] | None = None, hits: int = 0
) -> dict[str, Any]:
    search = read_text_search(body, plan=plan)
    assert search is not None
    models = PlanModels(sparse=WordWeights(), dense=WordVector(dimension=2))
    legs = leg_queries(plan, text=search.text, bm25=search.query, models=models)
    listed = None if fused is None else FusedList(ids=fused, hits=max(len(fused), hits))
    return upgraded_body(body, search, plan=plan, legs=legs, fused=listed, request_id="r1")


def test_the_upgraded_body_is_exactly_this() -> None:
    plan = replace(PLAN, depth=50)
    vector = WordVector(dimension=2).encode_query("red fox").tolist()
    assert upgrade({"query": MATCH, "timeout": "1s"}, plan=plan) == {
        "timeout": "1s",
        "from": 0,
        "size": 10,
        "_source": {"excludes": ["funnel", "funnel.*"]},
        "query": {
            "hybrid": {
                "pagination_depth": 50,
                "queries": [
                    {"bool": {"must": [MATCH], "_name": "bm25"}},
                    {
                        "bool": {
                            "must": [
                                {
                                    "neural_sparse": {
                                        "funnel.sparse_a": {
                                            "query_tokens": {"fox": 0.5, "red": 0.5}
                                        }
                                    }
                                }
                            ],
                            "filter": [{"exists": {"field": "funnel.id"}}],
                            "_name": "sparse",
                        }
                    },
                    {
                        "bool": {
                            "must": [
                                {
                                    "knn": {
                                        "funnel.dense_a": {
                                            "vector": vector,
                                            "k": 50,
                                            "ignore_unmapped": True,
                                        }
                                    }
                                }
                            ],
                            "filter": [{"exists": {"field": "funnel.id"}}],
                            "_name": "dense",
                        }
                    },
                ],
            }
        },
        "aggregations": {
            "_funnel": {
                "filter": {"match_none": {}},
                "meta": {"plan": plan.plan_id, "rank": False, "request": "r1"},
            }
        },
    }


def pinned_by(body: dict[str, Any]) -> dict[str, Any]:
    """Return the query that names its hits; where they are reranked, it is inside of another."""
    query = body["query"]
    if "hybrid" in query:
        query = query["hybrid"]["queries"][0]["function_score"]["query"]
    inner: dict[str, Any] = query["bool"]
    return inner


def assert_pinned(body: dict[str, Any], ids: Sequence[str]) -> None:
    """Assert that a body scores exactly these ids by their place."""
    scores: dict[str, float] = {}
    for group in pinned_by(body)["should"]:
        for doc_id in group["constant_score"]["filter"]["terms"]["_id"]:
            scores[doc_id] = scores.get(doc_id, 0.0) + group["constant_score"]["boost"]
    assert sorted(scores, key=lambda doc_id: -scores[doc_id]) == list(ids)
    assert len(set(scores.values())) == len(ids)
    assert 1 < min(scores.values()) < max(scores.values()) < 1000


def found_by(body: dict[str, Any]) -> dict[str, Any]:
    """Return what says which documents a pinned body finds."""
    (found,) = pinned_by(body)["must"]
    inner: dict[str, Any] = found["bool"]
    return inner


def context_of(body: dict[str, Any]) -> RankContext:
    text = body["ext"]["rerank"]["query_context"]["query_text"]
    assert "red fox" not in text
    return RankContext.read(json.loads(text))


def test_reranking_asks_for_keys_and_a_window_and_sends_the_query_along() -> None:
    body = upgrade({"query": MATCH, "docvalue_fields": [{"field": "year"}]}, plan=RERANKED)
    assert body["size"] == 50
    assert [f["field"] for f in body["docvalue_fields"]] == ["year", "funnel.id", "funnel.hash"]
    assert context_of(body) == RankContext("red fox", start=0, size=10, request_id="r1")


def test_a_page_larger_than_the_window_keeps_its_size() -> None:
    assert upgrade({"query": MATCH, "size": 120}, plan=RERANKED)["size"] == 120


def test_a_page_inside_the_window_is_cut_out_by_rank() -> None:
    body = upgrade({"query": MATCH, "from": 20}, plan=RERANKED, fused=LISTED)
    assert (body["from"], body["size"]) == (0, 50)
    assert "hybrid" in body["query"]
    assert context_of(body) == RankContext("red fox", start=20, size=10, request_id="r1")
    assert body["aggregations"]["_funnel"]["meta"]["rank"] is True


def test_a_page_behind_the_window_is_an_ordinary_query_that_scores_the_list_by_place() -> None:
    body = upgrade({"query": MATCH, "from": 60, "size": 2}, plan=RERANKED, fused=LISTED)
    assert (body["from"], body["size"]) == (60, 2)
    assert "ext" not in body
    assert "docvalue_fields" not in body
    assert body["aggregations"]["_funnel"]["meta"]["rank"] is False
    assert_pinned(body, LISTED)


@pytest.mark.parametrize(("start", "listed"), [(20, 23), (10, 15), (300, 300), (600, 300)])
def test_the_short_last_page_and_what_is_behind_the_list_are_never_padded(
    start: int, listed: int
) -> None:
    body = upgrade({"query": MATCH, "from": start}, plan=RERANKED, fused=LISTED[:listed])
    assert body["from"] == start
    assert "bool" in body["query"]


def test_without_a_reranker_every_later_page_is_pinned() -> None:
    body = upgrade({"query": MATCH, "from": 10}, plan=PLAN, fused=LISTED)
    assert "bool" in body["query"]


def test_what_is_required_holds_for_every_leg() -> None:
    old = {"range": {"year": {"lt": 1960}}}
    seen = {"term": {"seen": True}}
    query = {"bool": {"must": [MATCH], "filter": [old], "must_not": [seen]}}
    body = upgrade({"query": query}, plan=PLAN)
    assert body["query"]["hybrid"]["filter"] == {"bool": {"filter": [old], "must_not": [seen]}}
    assert body["query"]["hybrid"]["queries"][0]["bool"]["must"] == [query]
    later = upgrade({"query": query, "from": 10}, plan=PLAN, fused=LISTED)
    found = found_by(later)
    assert found["filter"] == [{"bool": {"filter": [old], "must_not": [seen]}}]
    own, *others = found["should"]
    assert own == {"bool": {"must": [query], "_name": "bm25"}}
    # A filter adds nothing to the score, and the leg in it is named with its own.
    (sparse,), (dense,) = (other["bool"]["filter"] for other in others)
    assert [leg["bool"]["_name"] for leg in (sparse, dense)] == ["sparse", "dense"]
    assert all(list(leg["bool"]["must"][0]) != ["bool"] for leg in (sparse, dense))


def test_a_request_that_counts_keeps_the_set_of_its_own_query() -> None:
    counted = {"a": {"terms": {"field": "f"}}}
    body = upgrade({"query": MATCH, "aggregations": counted}, plan=PLAN)
    assert body["query"]["hybrid"]["filter"] == MATCH
    assert body["aggregations"].keys() == {"a", "_funnel"}
    later = upgrade({"query": MATCH, "aggregations": counted, "from": 10}, plan=PLAN, fused=LISTED)
    found = found_by(later)
    assert [leg["bool"]["_name"] for leg in found["should"]] == ["bm25"]
    (beside,) = found["filter"]
    assert beside["bool"]["filter"] == [{"match_all": {}}]
    assert [leg["bool"]["_name"] for leg in beside["bool"]["should"]] == ["sparse", "dense"]


def test_highlights_are_of_the_clients_own_query() -> None:
    shown = {"fields": {"text": {}}, "type": "plain"}
    body = upgrade({"query": MATCH, "highlight": shown}, plan=PLAN)
    assert body["highlight"] == {**shown, "highlight_query": MATCH}
    own = {**shown, "highlight_query": {"match": {"text": "fox"}}}
    assert upgrade({"query": MATCH, "highlight": own}, plan=PLAN)["highlight"] == own


def test_a_sort_by_score_and_the_name_of_the_pipeline_are_left_out() -> None:
    by_score = [{"_score": {"order": "desc"}}]
    body = upgrade(
        {"query": MATCH, "sort": by_score, "search_pipeline": "funnel-x", "explain": False},
        plan=PLAN,
    )
    assert "sort" not in body
    assert "search_pipeline" not in body
    assert "explain" not in body


def test_reranking_needs_a_total_where_the_client_asked_for_none() -> None:
    assert "track_total_hits" not in upgrade(
        {"query": MATCH, "track_total_hits": -1}, plan=RERANKED
    )
    assert upgrade({"query": MATCH, "track_total_hits": -1}, plan=PLAN)["track_total_hits"] == -1


def test_without_a_trace_no_aggregation_is_added() -> None:
    body = upgrade({"query": MATCH}, plan=replace(PLAN, trace="off"))
    assert "aggregations" not in body


def test_an_empty_set_of_terms_becomes_a_leg_that_matches_nothing() -> None:
    class NoTerms:
        fingerprint = "0"

        def encode_query(self, text: str) -> dict[str, float]:
            del text
            return {}

    plan = PLAN.with_legs("bm25", "sparse")
    legs = leg_queries(plan, text="?", bm25=MATCH, models=PlanModels(sparse=NoTerms()))
    search = TextSearch(text="?", query=MATCH, size=10)
    queries = upgraded_body({}, search, plan=plan, legs=legs)["query"]["hybrid"]["queries"]
    assert queries[1]["bool"]["must"] == [{"match_none": {}}]


def test_weights_that_round_to_nothing_are_left_out() -> None:
    # The engine refuses a weight of 0 with a 400 that reaches the client.
    assert sparse_query("f", {"a": 4e-10, "b": 1.0}) == {
        "neural_sparse": {"f": {"query_tokens": {"b": 1.0}}}
    }
    assert sparse_query("f", {"a": 0.0}) == {"match_none": {}}


def test_the_weights_of_a_query_add_up_to_1() -> None:
    query = sparse_query("f", {"a": 90.0, "b": 1e-3, "c": 2.0})
    assert sum(query["neural_sparse"]["f"]["query_tokens"].values()) == pytest.approx(1.0)


def test_where_the_service_fuses_the_first_page_names_its_hits() -> None:
    body = upgrade({"query": MATCH}, plan=AUTO, fused=LISTED[:50], hits=300)
    assert_pinned(body, LISTED[:50])
    assert "from" not in body
    assert "size" not in body
    assert "ext" not in body
    assert body["aggregations"]["_funnel"]["meta"] == {
        "plan": AUTO.plan_id,
        "rank": False,
        "request": "r1",
    }


def test_where_the_service_could_not_fuse_the_engine_does_and_the_mark_says_so() -> None:
    body = upgrade({"query": MATCH}, plan=AUTO)
    assert "hybrid" in body["query"]
    assert body["aggregations"]["_funnel"]["meta"]["fusion"] == "static"
    fixed = upgrade({"query": MATCH}, plan=PLAN)
    assert body["query"] == fixed["query"]
    assert "fusion" not in fixed["aggregations"]["_funnel"]["meta"]


@pytest.mark.parametrize(("start", "size"), [(0, 10), (20, 10), (0, 80)])
def test_a_reranked_page_gets_the_window_that_the_hybrid_query_would_give(
    start: int, size: int
) -> None:
    asked = {"query": MATCH, "from": start, "size": size}
    fixed = upgrade(asked, plan=RERANKED, fused=LISTED if start else None)
    body = upgrade(asked, plan=AUTO_RERANKED, fused=LISTED[:80], hits=300)
    assert_pinned(body, LISTED[:80])
    assert (body["from"], body["size"]) == (fixed["from"], fixed["size"])
    assert body["docvalue_fields"] == fixed["docvalue_fields"]
    assert context_of(body) == RankContext("red fox", start=start, size=size, request_id="r1")
    assert body["aggregations"]["_funnel"]["meta"]["rank"] is True


def test_what_is_behind_a_short_list_is_not_reranked_but_to_fill_a_page() -> None:
    for size, wanted in ((5, 7), (10, 10)):
        asked = {"query": MATCH, "size": size}
        body = upgrade(asked, plan=AUTO_RERANKED, fused=LISTED[:7])
        assert (body["from"], body["size"]) == (0, wanted)


@pytest.mark.parametrize(("plan", "depth"), [(AUTO_RERANKED, 50), (AUTO, 10)])
def test_a_first_page_is_refused_in_a_scroll_as_every_hybrid_query_is(
    plan: FunnelPlan, depth: int
) -> None:
    query = upgrade({"query": MATCH}, plan=plan, fused=LISTED[:60], hits=300)["query"]
    assert len(query["hybrid"]["queries"]) == len(plan.weights)
    assert query["hybrid"]["pagination_depth"] == depth


def test_without_hits_nothing_is_reranked() -> None:
    body = upgrade({"query": MATCH}, plan=AUTO_RERANKED, fused=[])
    assert "ext" not in body
    assert pinned_by(body)["should"] == []


@pytest.mark.parametrize(("start", "listed"), [(20, 23), (10, 15), (300, 300), (60, 300)])
def test_the_same_later_pages_are_reranked_whoever_fuses(start: int, listed: int) -> None:
    asked = {"query": MATCH, "from": start}
    fixed = upgrade(asked, plan=RERANKED, fused=LISTED[:listed])
    body = upgrade(asked, plan=AUTO_RERANKED, fused=LISTED[:listed])
    assert ("ext" in body) is ("ext" in fixed)
    if "ext" not in fixed:
        assert body["query"] == fixed["query"]
        assert body["from"] == start


@pytest.mark.parametrize(
    ("plan", "body", "wanted"),
    [
        (AUTO, {"query": MATCH}, LEAST_PINNED),
        (AUTO, {"query": MATCH, "from": 95, "size": 10}, 105),
        (replace(AUTO_RERANKED, rerank=Reranking(enabled=True, depth=120)), {"query": MATCH}, 120),
        (AUTO_RERANKED, {"query": MATCH, "size": 200}, 200),
    ],
)
def test_a_page_wants_the_list_to_its_last_hit_and_the_window(
    plan: FunnelPlan, body: dict[str, Any], wanted: int
) -> None:
    search = read_text_search(body, plan=plan)
    assert search is not None
    assert wanted_of_list(search, plan=plan) == wanted
