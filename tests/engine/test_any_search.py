"""Whatever a person's search is made of: upgraded, it never fails, and keeps what it promises."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.engine.allow_list import read_text_search
from opensearch_funnel.engine.applying import bound_plan
from opensearch_funnel.engine.hits import degraded
from tests.engine.shelf import DOCUMENTS, applied, shelves, stand_in_service

pytestmark = pytest.mark.engine

Query = dict[str, Any]
WORDS = ["red", "blue", "fox", "hound", "n1", "m2", "m3", "nowhere", "foks", "the"]
typed = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
fields = st.sampled_from([["text"], ["text^2", "title"], ["title", "text", "funnel.id"]])


def with_options(kind: str) -> st.SearchStrategy[Query]:
    options = st.fixed_dictionaries(
        {"query": typed},
        optional={
            "operator": st.sampled_from(["or", "and"]),
            "minimum_should_match": st.sampled_from([1, 2, "75%", "2<-25%"]),
            "fuzziness": st.sampled_from(["AUTO", 1]),
            "boost": st.sampled_from([0.5, 3]),
        },
    )
    if kind == "match":
        return options.map(lambda given: {"match": {"text": given}})
    return st.tuples(options, fields, st.sampled_from(["best_fields", "most_fields"])).map(
        lambda given: {"multi_match": {**given[0], "fields": given[1], "type": given[2]}}
    )


def in_syntax(kind: str) -> st.SearchStrategy[Query]:
    piece = st.tuples(st.sampled_from(["", "", "+", "-"]), st.sampled_from(WORDS)).map("".join)
    phrase = st.sampled_from(['"red fox"', '-"blue fox"', "AND fox", "NOT hound", "OR m2"])
    text = st.tuples(piece, st.lists(piece | phrase, max_size=3)).map(
        lambda given: " ".join([given[0], *given[1]])
    )
    return text.map(lambda given: {kind: {"query": given, "fields": ["text", "title"]}})


phrases = typed.map(lambda given: {"match_phrase": {"text": {"query": given, "slop": 1}}})
texts = st.one_of(
    with_options("match"),
    with_options("multi_match"),
    phrases,
    in_syntax("query_string"),
    in_syntax("simple_query_string"),
)
conditions = st.one_of(
    st.integers(0, DOCUMENTS).map(lambda n: {"range": {"funnel.id": {"lte": f"d{n}"}}}),
    st.sampled_from(WORDS).map(lambda word: {"match": {"text": word}}),
    st.lists(st.integers(0, DOCUMENTS), max_size=60).map(
        lambda ns: {"terms": {"funnel.id": [f"d{n}" for n in ns]}}
    ),
    st.just({"exists": {"field": "title"}}),
    st.just({"term": {"funnel.state": "ready"}}),
)
some = st.lists(conditions, max_size=2)
queries = texts | st.fixed_dictionaries(
    {},
    optional={
        "must": st.lists(texts | conditions, min_size=1, max_size=2),
        "should": st.lists(texts | conditions, max_size=3),
        "filter": some,
        "must_not": some,
        "minimum_should_match": st.sampled_from([0, 1, 2]),
    },
).map(lambda given: {"bool": given})
counts: st.SearchStrategy[Query] = st.sampled_from(
    [
        {"cardinality": {"field": "colour"}},
        {"cardinality": {"field": "number"}},
        {"terms": {"field": "colour"}},
        {"terms": {"field": "funnel.id", "size": 200}},
        {"terms": {"field": "number", "size": 200}},
        {"significant_terms": {"field": "colour"}},
        {"rare_terms": {"field": "colour", "max_doc_count": 100}},
        {"histogram": {"field": "number", "interval": 10}},
        {"date_histogram": {"field": "day", "calendar_interval": "month"}},
        {"auto_date_histogram": {"field": "day", "buckets": 3}},
        {"range": {"field": "number", "ranges": [{"to": 30}, {"from": 30}]}},
        {"date_range": {"field": "day", "ranges": [{"to": "2026-02-10"}, {"from": "2026-02-10"}]}},
        {"composite": {"sources": [{"c": {"terms": {"field": "colour"}}}]}},
        {"missing": {"field": "colour"}},
        {"min": {"field": "number"}},
        {"max": {"field": "number"}},
        {"stats": {"field": "number"}},
        {"extended_stats": {"field": "number"}},
        {"percentiles": {"field": "number"}},
        {"value_count": {"field": "colour"}},
        {"multi_terms": {"terms": [{"field": "colour"}, {"field": "number"}], "size": 200}},
    ]
)
buckets: st.SearchStrategy[Query] = st.sampled_from(
    [
        {"terms": {"field": "colour"}},
        {"filter": {"range": {"number": {"lt": 40}}}},
        {"filters": {"filters": {"red": {"match": {"text": "red"}}, "all": {"match_all": {}}}}},
        {"global": {}},
        {"histogram": {"field": "number", "interval": 30}},
    ]
)
facets = st.tuples(buckets, counts).map(lambda given: {**given[0], "aggs": {"inner": given[1]}})
bodies = st.fixed_dictionaries(
    {"query": queries},
    optional={
        "size": st.integers(1, 100),
        "from": st.integers(0, 120),
        "aggs": st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(counts, facets), min_size=1),
        "track_total_hits": st.sampled_from([True, False, 5]),
        "post_filter": conditions,
        "highlight": st.just({"fields": {"text": {}}}),
        "_source": st.sampled_from([False, ["text"], {"excludes": ["text"]}]),
        "sort": st.just(["_score"]),
    },
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where one plan is applied."""

    index: str
    plan: FunnelPlan


@pytest.fixture(scope="module", params=[(1, 12), (3, 0)], ids=["reranked", "three shards"])
def place(client: OpenSearch, request: pytest.FixtureRequest) -> Iterator[Place]:
    shards, rerank = request.param
    reranking = Reranking(enabled=True, depth=rerank) if rerank else Reranking()
    with shelves(client) as made, stand_in_service(client) as url:
        plan = FunnelPlan(alias=made[shards], depth=100, rerank=reranking)
        with applied(client, plan, url=url):
            yield Place(made[shards], bound_plan(client, plan))


def found(client: OpenSearch, index: str, body: Query, **params: str) -> dict[str, Any]:
    response: dict[str, Any] = client.search(index=index, body=body, params=params)
    assert response["_shards"]["failed"] == 0
    response.pop("took")
    return response


def status_of(client: OpenSearch, index: str, body: Query, **params: str) -> int | None:
    try:
        found(client, index, body, **params)
    except EngineError as error:
        return error.status
    return 200


def ids(response: dict[str, Any]) -> set[str]:
    return {hit["_id"] for hit in response["hits"]["hits"]}


def every_id(client: OpenSearch, index: str, query: Query, **more: Any) -> set[str]:
    body = {"query": query, "size": 1000, "_source": False, **more}
    return ids(found(client, index, body, search_pipeline="_none"))


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=bodies)
def test_an_upgraded_search_answers_and_keeps_what_it_promises(
    client: OpenSearch, place: Place, body: Query
) -> None:
    status = status_of(client, place.index, body, search_pipeline="_none")
    assert status_of(client, place.index, body) == status
    if status != 200:
        return
    plain = found(client, place.index, body, search_pipeline="_none")
    upgraded = found(client, place.index, body)
    search = read_text_search(_normalized(body), plan=place.plan)
    event("untouched" if search is None else "same set" if search.same_set else "widened")
    if search is None:
        assert upgraded == plain
        return
    assert not degraded(upgraded)
    post = {"post_filter": body["post_filter"]} if "post_filter" in body else {}
    own = every_id(client, place.index, body["query"], **post)
    if search.same_set:
        assert ids(upgraded) <= own
        assert_counts_agree(upgraded, plain)
    elif (search.start, search.size) == (0, 100):
        assert own <= ids(upgraded)
    if search.filter is not None:
        holds = every_id(client, place.index, {"bool": {"filter": [search.filter]}})
        assert ids(upgraded) <= holds
    assert_clean(upgraded)


def assert_counts_agree(upgraded: dict[str, Any], plain: dict[str, Any]) -> None:
    assert len(upgraded["hits"]["hits"]) == len(plain["hits"]["hits"])
    if plain["hits"].get("total", {}).get("relation") == "eq":
        assert upgraded["hits"]["total"] == plain["hits"]["total"]
    upgraded["aggregations"].pop("_funnel")
    assert upgraded["aggregations"] == plain.get("aggregations", {})


def assert_clean(upgraded: dict[str, Any]) -> None:
    """No hit twice, and nothing of the funnel shown."""
    assert len(ids(upgraded)) == len(upgraded["hits"]["hits"])
    for hit in upgraded["hits"]["hits"]:
        assert "fields" not in hit
        assert "funnel" not in hit.get("_source", {})


def _normalized(body: Query) -> Query:
    """Name the keys of a body as the engine does before the pipeline gets it."""
    names = {"aggs": "aggregations"}
    return {names.get(name, name): value for name, value in body.items()}
