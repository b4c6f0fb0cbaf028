"""What is upgraded, what is not, and what the upgraded request says."""

from dataclasses import replace
from typing import Any

import pytest

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.engine.queries import leg_queries, sparse_query
from opensearch_funnel.engine.rewriting import (
    TextSearch,
    read_rank_context,
    read_text_search,
    upgraded_body,
)
from opensearch_funnel.testing import WordVector, WordWeights

FIELDS = ("text", "title")
PLAN = FunnelPlan(alias="films", searched_fields=FIELDS)
MATCH = {"match": {"text": {"query": "red fox", "operator": "OR"}}}


@pytest.mark.parametrize(
    "body",
    [
        {"query": MATCH},
        {"query": MATCH, "size": 25, "_source": ["title"], "highlight": {"fields": {"text": {}}}},
        {"query": {"multi_match": {"query": "red fox", "fields": ["title", "text"]}}},
        {"query": {"match": {"text": "red fox"}}, "from": 0, "timeout": "1s"},
        {"query": {"multi_match": {"query": "red fox", "fields": ["title^2.0", "text^1.0"]}}},
    ],
)
def test_a_plain_text_search_is_read(body: dict[str, Any]) -> None:
    search = read_text_search(body, plan=PLAN)
    assert search is not None
    assert search.text == "red fox"
    assert search.size == body.get("size", 10)


@pytest.mark.parametrize(
    "extra",
    [
        {"sort": [{"_doc": {"order": "asc"}}]},
        {"sort": ["_score"]},
        {"seq_no_primary_term": True},
        {"version": False},
        {"size": 0},
        {"size": 201},
        {"from": 10},
        {"search_after": [1]},
        {"slice": {"id": 0, "max": 2}},
        {"pit": {"id": "x"}},
        {"collapse": {"field": "f"}},
        {"rescore": {}},
        {"min_score": 1},
        {"profile": True},
        {"explain": True},
        {"terminate_after": 1},
        {"aggregations": {"a": {"terms": {"field": "f"}}}},
        {"track_total_hits": True},
        {"track_total_hits": -1},
        {"track_total_hits": 2**31 - 1},
        {"post_filter": {"term": {"f": 1}}},
        {"ext": {"query_context": {"query_text": "q"}}},
        {"suggest": {}},
        {"track_scores": True},
        {"indices_boost": [{"a": 1}]},
        {"something_new": 1},
    ],
)
def test_whatever_else_is_asked_for_passes_untouched(extra: dict[str, Any]) -> None:
    assert read_text_search({"query": MATCH}, plan=PLAN) is not None
    assert read_text_search({"query": MATCH, **extra}, plan=PLAN) is None


@pytest.mark.parametrize(
    "query",
    [
        None,
        {},
        {"match_all": {}},
        {"term": {"f": "x"}},
        {"hybrid": {"queries": [MATCH]}},
        {"match": {"text": {"query": "  "}}},
        {"match": {"year": {"query": 1999}}},
        {"match": {"_id": {"query": "red fox"}}},
        {"match": {"status": {"query": "active"}}},
        {"match": {"text": {"query": "red fox", "operator": "AND"}}},
        {"match": {"text": {"query": "red fox", "minimum_should_match": "2"}}},
        {"match": {"text": {"query": "red fox", "fuzziness": "AUTO"}}},
        {"match": {"text": {"query": "red fox", "zero_terms_query": "ALL"}}},
        {"multi_match": {"query": "red fox", "fields": ["text"], "type": "phrase"}},
        {"multi_match": {"query": "red fox", "fields": ["text", "status^2.0"]}},
        {"multi_match": {"query": "red fox", "fields": ["te*"]}},
        {"multi_match": {"query": "red fox", "fields": []}},
        {"multi_match": {"query": "red fox"}},
        {"match": {}},
        {"match": MATCH, "term": {}},
        {"bool": {"must": [MATCH]}},
        {"function_score": {"query": MATCH}},
        "fox",
    ],
)
def test_a_query_that_is_no_plain_text_passes_untouched(query: object) -> None:
    assert read_text_search({"query": query}, plan=PLAN) is None


def test_a_query_that_would_break_the_clause_limit_passes_untouched() -> None:
    words = " ".join(f"word{i}" for i in range(600))
    body = {"query": {"multi_match": {"query": words, "fields": ["title", "text"]}}}
    assert read_text_search(body, plan=PLAN) is None


def upgrade(body: dict[str, Any], *, plan: FunnelPlan) -> dict[str, Any]:
    search = read_text_search(body, plan=plan)
    assert search is not None
    models = PlanModels(sparse=WordWeights(), dense=WordVector(dimension=2))
    legs = leg_queries(plan, text=search.text, bm25=search.query, models=models)
    return upgraded_body(body, search, plan=plan, legs=legs)


def test_the_upgraded_body_is_exactly_this() -> None:
    plan = replace(PLAN, depth=50)
    vector = WordVector(dimension=2).encode_query("red fox").tolist()
    assert upgrade({"query": MATCH, "timeout": "1s"}, plan=plan) == {
        "timeout": "1s",
        "from": 0,
        "size": 10,
        "_source": {"excludes": ["funnel"]},
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
                                            "query_tokens": {"fox": 1.0, "red": 1.0}
                                        }
                                    }
                                }
                            ],
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
                            "_name": "dense",
                        }
                    },
                ],
            }
        },
        "aggregations": {
            "_funnel": {
                "filter": {"match_none": {}},
                "meta": {"plan": plan.plan_id, "rank": False},
            }
        },
    }


def test_reranking_asks_for_keys_and_a_window_and_sends_the_query_along() -> None:
    plan = replace(PLAN, rerank=Reranking(enabled=True, depth=50))
    body = upgrade({"query": MATCH, "docvalue_fields": [{"field": "year"}]}, plan=plan)
    assert body["size"] == 50
    assert [f["field"] for f in body["docvalue_fields"]] == ["year", "funnel.id", "funnel.hash"]
    context = body["ext"]["rerank"]["query_context"]["query_text"]
    assert "red fox" not in context
    import json

    assert read_rank_context(json.loads(context)) == "red fox"


def test_a_page_larger_than_the_window_keeps_its_size() -> None:
    plan = replace(PLAN, rerank=Reranking(enabled=True, depth=50))
    assert upgrade({"query": MATCH, "size": 120}, plan=plan)["size"] == 120


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


def test_a_plan_that_is_not_bound_to_an_index_upgrades_nothing() -> None:
    assert read_text_search({"query": MATCH}, plan=FunnelPlan(alias="films")) is None


def test_weights_that_round_to_nothing_are_left_out() -> None:
    # The engine refuses a weight of 0 with a 400 that reaches the client.
    assert sparse_query("f", {"a": 4e-7, "b": 1.0}) == {
        "neural_sparse": {"f": {"query_tokens": {"b": 1.0}}}
    }
    assert sparse_query("f", {"a": 4e-7}) == {"match_none": {}}
