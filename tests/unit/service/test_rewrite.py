"""What is not upgraded goes back as it came, and what is keeps every digit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import copy_context
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.errors import (
    EngineError,
    EngineUnreachableError,
    FunnelError,
    InputError,
    InvalidRankingError,
)
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import DenseLeg, FunnelPlan, Fusion
from opensearch_funnel.engine.allow_list import TextSearch
from opensearch_funnel.engine.paging import FusedList
from opensearch_funnel.engine.queries import Body
from opensearch_funnel.service.exchange import Exchange, begin_exchange
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.rewrite import (
    FetchFused,
    as_template_value,
    read_client_body,
    rewrite,
)
from opensearch_funnel.testing import WordVector, WordWeights

PLAN = FunnelPlan(
    alias="films", searched_fields=("title", "text"), fusion=Fusion(technique="min_max")
)
READY = ReadyPlan(PLAN, PlanModels(sparse=WordWeights(), dense=WordVector()))
BIG = 2**70 + 1
AGGREGATED = {"years": {"terms": {"field": "year"}}}
AUTO = replace(PLAN, fusion=Fusion(technique="auto"))
FOX = json.dumps({"query": {"match": {"text": "fox"}}})
LISTED = {0: ["a", "b", "c"], 2: ["a", "b", "c"]}
"""The fused list of the pages that are asked for here, by where they begin."""


def listed(search: TextSearch, *_: object) -> FusedList:
    ids = LISTED[search.start]
    return FusedList(ids=ids, hits=len(ids))


class Counted:
    """Counters that keep what they hear."""

    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []

    def degraded(self, *, stage: str, reason: str) -> None:
        self.found.append((stage, reason))

    def unsampled(self) -> None:
        raise AssertionError("every search is in the sample")


def answer(source: str, *, plan: FunnelPlan = PLAN, fetch: FetchFused = listed) -> str:
    body = read_client_body(f'{{"source": {source}}}'.encode())
    ready = replace(READY, plan=plan)
    return rewrite(body, ready=ready, fetch_fused=fetch)


@pytest.mark.parametrize(
    "source",
    [
        f'{{"query":{{"term":{{"n":{{"value":{BIG}}}}}}}}}',
        '{"query": {"range": {"n": {"gte": 1.50E+2, "lt": 123456789.123456789123}}}}',
        '{ "size" : 0,\n"query":{"match_all":{}} }',
        '{"sort":["_doc"],"query":{"match":{"text":"\\u00e9 \\ud800 é"}}}',
        '{"query":{"match_all":{}},"query":{"match_all":{"boost":1.0}}}',
    ],
)
def test_an_untouched_body_is_the_same_to_the_letter(source: str) -> None:
    assert answer(source) == source


@given(st.recursive(st.integers() | st.text() | st.floats(allow_nan=False), st.lists))
def test_an_untouched_body_means_the_same_to_the_engine(value: object) -> None:
    source = json.dumps({"query": {"terms": {"f": value}}})
    assert json.loads(as_template_value(answer(source))) == json.loads(source)
    assert "$" not in as_template_value(answer(source))


def test_an_upgraded_body_keeps_every_digit_of_what_stays() -> None:
    source = json.dumps({"query": {"match": {"text": "fox"}}, "fields": [{"field": "n", "x": BIG}]})
    upgraded = json.loads(answer(source))
    assert "hybrid" in upgraded["query"]
    assert upgraded["fields"][0]["x"] == BIG


def test_only_a_later_page_asks_for_the_fused_list() -> None:
    query = {"match": {"text": "fox"}}
    assert "hybrid" in json.loads(answer(json.dumps({"query": query})))["query"]
    later = json.loads(answer(json.dumps({"query": query, "from": 2, "size": 1})))
    pinned = [group["constant_score"] for group in later["query"]["bool"]["should"]]
    assert [group["filter"]["terms"]["_id"] for group in pinned] == [["a", "c"], ["a", "b"]]


def test_where_the_service_fuses_every_page_asks_for_the_list() -> None:
    query = {"match": {"text": "fox"}}
    for page in ({"query": query}, {"query": query, "from": 2, "size": 1}):
        found = json.loads(answer(json.dumps(page), plan=AUTO))["query"]
        if "hybrid" in found:
            found = found["hybrid"]["queries"][0]["function_score"]["query"]
        pinned = [group["constant_score"] for group in found["bool"]["should"]]
        assert [group["filter"]["terms"]["_id"] for group in pinned] == [["a", "c"], ["a", "b"]]


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (EngineUnreachableError("no answer"), "engine"),
        (EngineError("refused", status=400, kind="parse"), "engine"),
        (InvalidRankingError("a score that is not finite"), "failed"),
    ],
)
def test_where_the_legs_cannot_be_searched_the_engine_fuses_and_that_is_counted(
    error: FunnelError, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    def down(*_: object) -> FusedList:
        raise error

    counters = Counted()
    exchange = Exchange(request_id="r7", stage="rewrite", counters=counters)
    context = copy_context()  # or the next test would go on in this exchange
    context.run(begin_exchange, exchange)
    found = json.loads(context.run(answer, FOX, plan=AUTO, fetch=down))
    assert found["query"] == json.loads(answer(FOX))["query"]
    assert found["aggregations"]["_funnel"]["meta"]["fusion"] == "static"
    assert counters.found == [("fusion", cause)]
    assert f"request=r7 stage=fusion reason={cause}" in caplog.text
    later = json.dumps({"query": {"match": {"text": "fox"}}, "from": 2, "size": 1})
    with pytest.raises(type(error)):
        answer(later, plan=AUTO, fetch=down)


def test_the_service_encodes_what_it_searches_itself() -> None:
    plan = replace(AUTO, dense=DenseLeg(native_neural=True))
    asked: list[Mapping[str, Body]] = []

    def keep(search: TextSearch, legs: Mapping[str, Body], _: object) -> FusedList:
        asked.append(legs)
        return listed(search)

    assert '"neural"' not in answer(FOX, plan=plan, fetch=keep)
    assert "knn" in asked[0]["dense"]
    assert '"neural"' in answer(FOX, plan=replace(plan, fusion=PLAN.fusion))


def test_a_rerank_context_of_the_client_is_wrapped_again_and_keeps_its_digits() -> None:
    ext = {"query_context": {"n": BIG}}
    body = json.loads(answer(json.dumps({"query": {"match_all": {}}, "ext": ext})))
    assert body == {"query": {"match_all": {}}, "ext": {"rerank": ext}}


@pytest.mark.parametrize(
    ("request_body", "reason"),
    [
        (b'{"source": ', "not JSON"),
        (b'{"source": {}', "not JSON"),
        (b'{"source": {}, "more": 1}', "more than a source"),
        (b'{"source": ' + b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"{}", "source is missing"),
        (b'{"source": [1]}', "not an object"),
    ],
)
def test_what_is_no_request_of_the_pipeline_is_refused(request_body: bytes, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        read_client_body(request_body)


def test_a_search_outside_of_the_sample_is_the_same_to_the_letter_on_every_page() -> None:
    plan = replace(PLAN, sample=0.3)
    texts = [f"fox {number}" for number in range(60)]
    arms = {}
    for text in texts:
        query = {"match": {"text": {"query": text}}}
        pages = [
            {"query": query},
            {"query": query, "from": 2, "size": 1},
            {"query": query, "track_total_hits": True, "aggregations": AGGREGATED},
            {"query": {"bool": {"must": [query], "filter": [{"term": {"year": 1995}}]}}},
        ]
        sources = [json.dumps(page) for page in pages]
        upgraded = {answer(source, plan=plan) != source for source in sources}
        assert len(upgraded) == 1, text
        arms[text] = upgraded.pop()
    assert arms == {text: plan.samples(text) for text in texts}
    assert set(arms.values()) == {True, False}
