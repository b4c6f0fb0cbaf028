"""Why a search passes as it came: said in words, and never with what was typed."""

from __future__ import annotations

from typing import Any

import pytest

from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.allow_list import search_or_reason

PLAN = FunnelPlan(alias="films", searched_fields=("text", "title"))
TYPED = "zebra"
MATCH = {"match": {"text": {"query": TYPED}}}


def reason(body: dict[str, Any], *, plan: FunnelPlan = PLAN) -> str:
    found = search_or_reason(body, plan=plan)
    assert isinstance(found, str)
    assert TYPED not in found
    return found


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"collapse": {}, "rescore": {}}, "it asks for collapse, rescore"),
        ({"size": 0}, "it wants no hits: size 0"),
        ({"size": 201}, "it wants more hits than the plan's depth of 200"),
        ({"size": -1}, "its size or from is negative"),
        ({"from": "ten"}, "its size or from is no whole number"),
        ({"sort": ["year"]}, "it is sorted by something else than the score"),
        ({"aggregations": {"_funnel": {}}}, "it has an aggregation _funnel of its own"),
        (
            {"aggregations": {"best": {"top_hits": {}}}},
            "an aggregation looks at scores, keeps hits or runs a script",
        ),
        ({"explain": True}, "it asks for explain"),
        (
            {"docvalue_fields": [f"f{n}" for n in range(91)]},
            "it asks for more than 90 docvalue_fields",
        ),
        ({"fields": ["fun*"]}, "it shows fields by a pattern that takes in funnel.id"),
    ],
)
def test_what_is_besides_the_query(extra: dict[str, Any], said: str) -> None:
    assert reason({"query": MATCH, **extra}) == said


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (None, "it has no query"),
        ({"match_all": {}}, "a match_all query is no text search"),
        ({"function_score": {"query": MATCH}}, "a function_score query is no text search"),
        ({"match": {"genre": TYPED}}, "match looks into no field of type text: genre"),
        ({"match": {"text": 7}}, "match holds no text"),
        (
            {"multi_match": {"query": TYPED, "fields": ["te*"]}},
            "multi_match names fields by a pattern",
        ),
        (
            {"multi_match": {"query": TYPED}},
            "multi_match without fields searches what the index names by default",
        ),
        (
            {"multi_match": {"query": TYPED, "fields": ["text"], "type": "bool_prefix"}},
            "multi_match with type bool_prefix",
        ),
        ({"match": {"text": {"query": " "}}}, "match holds no text"),
        (
            {"match": {"text": {"query": TYPED, "zero_terms_query": "all"}}},
            "match with zero_terms_query",
        ),
        (
            {"match": {"text": {"query": TYPED, "new": 1}}},
            "match with an option that is not known: new",
        ),
        (
            {"query_string": {"query": f"text:{TYPED}", "fields": ["text"]}},
            "query_string uses more syntax than words, phrases, + and -",
        ),
        (
            {"simple_query_string": {"query": TYPED, "fields": ["text"], "flags": "AND"}},
            "simple_query_string with flags",
        ),
        (
            {"query_string": {"query": TYPED, "fields": ["text"], "escape": True}},
            "query_string with escape",
        ),
        ({"bool": {"filter": [{"term": {"genre": "drama"}}]}}, "a bool without a text query"),
        (
            {"bool": {"must": [{"match": {"genre": TYPED}}]}},
            "match looks into no field of type text: genre",
        ),
        (
            {"bool": {"should": [{"term": {"a": 1}}, {"match": {"genre": TYPED}}]}},
            "match looks into no field of type text: genre",
        ),
        (
            {"bool": {"must": [MATCH], "filter": [{"script": {}}]}},
            "a script query among the clauses of a bool",
        ),
        (
            {"bool": {"must": [MATCH, {"bool": {"must_not": [{"knn": {}}]}}]}},
            "a knn query among the clauses of a bool",
        ),
        (
            {"bool": {"must": [MATCH, {"nested": {"query": MATCH, "inner_hits": {}}}]}},
            "nested with inner_hits among the clauses of a bool",
        ),
        ({"bool": {"must": [MATCH], "boosting": 1}}, "bool with boosting"),
    ],
)
def test_what_is_in_the_query(query: Any, said: str) -> None:
    assert reason({"query": query}) == said


def test_what_the_plan_cannot_run() -> None:
    dense = PLAN.with_legs("dense")
    phrase = {"match_phrase": {"text": {"query": TYPED}}}
    assert "without the lexical leg" in reason({"query": phrase}, plan=dense)
    long = {"match": {"text": {"query": " ".join([TYPED] * 900)}}}
    assert reason({"query": long}) == "all its legs together have more than 900 clauses"
