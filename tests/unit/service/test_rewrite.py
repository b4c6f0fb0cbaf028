"""What is not upgraded goes back as it came, and what is keeps every digit."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.rewrite import as_template_value, read_client_body, rewrite
from opensearch_funnel.testing import WordVector, WordWeights

PLAN = FunnelPlan.from_dict({"alias": "films", "searched_fields": ["title", "text"]})
READY = ReadyPlan(PLAN, PlanModels(sparse=WordWeights(), dense=WordVector()))
BIG = 2**70 + 1
AGGREGATED = {"years": {"terms": {"field": "year"}}}
LISTED = {2: ["a", "b", "c"]}
"""The fused list of the only page that is asked for here: the one from 2."""


def answer(source: str, *, plan: FunnelPlan = PLAN) -> str:
    body = read_client_body(f'{{"source": {source}}}'.encode())
    ready = replace(READY, plan=plan)
    return rewrite(body, ready=ready, fetch_fused=lambda search, _legs, _post: LISTED[search.start])


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
    assert [group["filter"]["ids"]["values"] for group in pinned] == [["a", "c"], ["a", "b"]]


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
