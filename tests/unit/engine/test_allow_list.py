"""Which requests are upgraded, how far, and which pass as they came."""

from dataclasses import replace
from typing import Any

import pytest

from opensearch_funnel.core.plan import FunnelPlan, Fusion, PerQuery
from opensearch_funnel.engine.allow_list import read_text_search

STATIC = Fusion(technique="min_max")
PLAN = FunnelPlan(alias="films", searched_fields=("text", "title"), mapped_fields=6, fusion=STATIC)
MATCH = {"match": {"text": {"query": "red fox", "operator": "OR"}}}
PHRASE = {"match_phrase": {"text": {"query": "red fox", "slop": 0}}}
DRAMA = {"term": {"genre": {"value": "drama", "boost": 1.0}}}
AGGREGATED = {"a": {"terms": {"field": "f"}}}


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"size": 25, "_source": ["title"], "highlight": {"fields": {"text": {}}}},
        {"from": 20, "timeout": "1s"},
        {"sort": [{"_score": {"order": "desc"}}]},
        {"sort": ["_score"], "search_pipeline": "funnel-films"},
        {"fields": [{"field": "year"}], "docvalue_fields": [{"field": "year"}]},
        {"track_total_hits": 10_000},
        {"track_total_hits": -1},
        {"post_filter": DRAMA},
        {"explain": False},
    ],
)
def test_a_plain_text_search_is_widened(extra: dict[str, Any]) -> None:
    search = read_text_search({"query": MATCH, **extra}, plan=PLAN)
    assert search is not None
    assert (search.text, search.same_set, search.filter) == ("red fox", False, None)
    assert search.size == extra.get("size", 10)
    assert search.start == extra.get("from", 0)


@pytest.mark.parametrize(
    "extra",
    [
        {"sort": [{"_doc": {"order": "asc"}}]},
        {"sort": [{"_score": {"order": "asc"}}]},
        {"sort": ["_score", "year"]},
        {"seq_no_primary_term": True},
        {"seq_no_primary_term": False},
        {"version": False},
        {"explain": True},
        {"explain": False, "version": False, "seq_no_primary_term": False},
        {"size": 0},
        {"size": 201},
        {"size": -1},
        {"size": True},
        {"from": -1},
        {"from": "10"},
        {"search_after": [1]},
        {"slice": {"id": 0, "max": 2}},
        {"pit": {"id": "x"}},
        {"collapse": {"field": "f"}},
        {"rescore": {}},
        {"min_score": 1},
        {"profile": True},
        {"terminate_after": 1},
        {"ext": {"query_context": {"query_text": "q"}}},
        {"suggest": {}},
        {"track_scores": True},
        {"indices_boost": [{"a": 1}]},
        {"script_fields": {}},
        {"stored_fields": ["*"]},
        {"aggregations": {"_funnel": {"filter": {"match_none": {}}}}},
        {"aggregations": {"best": {"top_hits": {"size": 1}}}},
        {"aggregations": {"values": {"cardinality": {"field": "f"}}}},
        {"aggregations": {"a": {"sampler": {}, "aggregations": AGGREGATED}}},
        {"aggregations": {"a": {"terms": {"script": {"source": "_score"}}}}},
        {"aggregations": {"a": {"filter": DRAMA, "aggregations": {"b": {"top_hits": {}}}}}},
        {"docvalue_fields": [{"field": f"f{place}"} for place in range(91)]},
        {"fields": [{"field": "*"}]},
        {"docvalue_fields": [{"field": "fun*"}]},
        {"something_new": 1},
    ],
)
def test_whatever_else_is_asked_for_passes_untouched(extra: dict[str, Any]) -> None:
    assert read_text_search({"query": MATCH, **extra}, plan=PLAN) is None


@pytest.mark.parametrize(
    "extra",
    [{"aggregations": AGGREGATED}, {"track_total_hits": True}, {"track_total_hits": 2**31 - 1}],
)
def test_a_request_that_counts_its_hits_keeps_their_set(extra: dict[str, Any]) -> None:
    body = {"query": MATCH, **extra}
    search = read_text_search(body, plan=PLAN)
    assert search is not None
    assert (search.same_set, search.filter) == (True, MATCH)
    widened = read_text_search(body, plan=replace(PLAN, matching="widen"))
    assert widened is not None
    assert not widened.same_set


def test_a_plan_can_keep_the_set_of_every_search_and_cannot_widen_a_phrase() -> None:
    kept = read_text_search({"query": MATCH}, plan=replace(PLAN, matching="same_set"))
    assert kept is not None
    assert kept.same_set
    phrase = read_text_search({"query": PHRASE}, plan=replace(PLAN, matching="widen"))
    assert phrase is not None
    assert phrase.filter == PHRASE


def test_without_a_lexical_leg_a_set_cannot_be_kept() -> None:
    plan = PLAN.with_legs("sparse", "dense")
    assert read_text_search({"query": MATCH}, plan=plan) is not None
    assert read_text_search({"query": PHRASE}, plan=plan) is None
    assert read_text_search({"query": MATCH, "aggregations": AGGREGATED}, plan=plan) is None


def test_what_is_required_of_hits_is_read_apart() -> None:
    query = {"bool": {"must": [MATCH, DRAMA], "must_not": [{"exists": {"field": "deleted"}}]}}
    search = read_text_search({"query": query}, plan=PLAN)
    assert search is not None
    assert search.filter == {
        "bool": {"filter": [DRAMA], "must_not": [{"exists": {"field": "deleted"}}]}
    }


def test_a_plan_that_is_not_bound_to_an_index_upgrades_nothing() -> None:
    assert read_text_search({"query": MATCH}, plan=FunnelPlan(alias="films")) is None


def words(count: int) -> str:
    return " ".join(f"word{place}" for place in range(count))


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        # 64 terms of the sparse leg are always counted; the limit is 900.
        ({"multi_match": {"query": words(418), "fields": ["title", "text"]}}, True),
        ({"multi_match": {"query": words(419), "fields": ["title", "text"]}}, False),
        ({"match": {"text": {"query": words(17), "fuzziness": "AUTO"}}}, False),
        ({"match": {"text": {"query": words(16), "fuzziness": "AUTO"}}}, True),
        # Kept sets search the client's query once more in each of three legs.
        ({"match_phrase": {"text": {"query": words(209)}}}, True),
        ({"match_phrase": {"text": {"query": words(210)}}}, False),
        ({"query_string": {"query": words(139), "fields": []}}, True),
        ({"query_string": {"query": words(140), "fields": []}}, False),
    ],
)
def test_a_query_that_would_break_the_clause_limit_passes_untouched(
    query: dict[str, Any], *, fits: bool
) -> None:
    assert (read_text_search({"query": query}, plan=PLAN) is not None) is fits


def test_a_later_page_takes_a_few_clauses_more() -> None:
    query = {"match": {"text": words(830)}}
    assert read_text_search({"query": query}, plan=PLAN) is not None
    assert read_text_search({"query": query, "from": 10}, plan=PLAN) is None
    # Under auto every page names its hits.
    assert read_text_search({"query": query}, plan=replace(PLAN, fusion=Fusion())) is None


def test_a_place_that_a_query_leaves_empty_has_the_constraint_too() -> None:
    rule = PerQuery(feature="digits", at_least=1, bm25=4.0, sparse=1.0, dense=1.0)
    five = replace(PLAN, per_query=rule)
    assert len(five.weights) == 5
    for count, fits in ((139, True), (140, False)):
        query = {"match_phrase": {"text": {"query": words(count)}}}
        assert read_text_search({"query": query}, plan=PLAN) is not None
        assert (read_text_search({"query": query}, plan=five) is not None) is fits
