"""What the pipeline would make of a search: the same as the service makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import DenseLeg, FunnelPlan, Fusion, Reranking
from opensearch_funnel.engine.client_bodies import as_handed_on
from opensearch_funnel.engine.paging import FusedList
from opensearch_funnel.engine.previews import REQUEST_ID, Preview, body_diff, preview
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.rewrite import ClientBody, rewrite
from opensearch_funnel.testing import WordVector, WordWeights

PLAN = FunnelPlan(
    alias="films",
    searched_fields=("text", "title"),
    mapped_fields=4,
    fusion=Fusion(technique="min_max"),
)
RERANKED = replace(PLAN, rerank=Reranking(enabled=True, depth=20))
NATIVE = replace(PLAN, dense=DenseLeg(native_neural=True))
AUTO = replace(RERANKED, fusion=Fusion(technique="auto"))
NATIVE_AUTO = replace(NATIVE, fusion=Fusion(technique="auto"))
PLANS = {
    "plain": PLAN,
    "reranked": RERANKED,
    "native": NATIVE,
    "auto": AUTO,
    "native auto": NATIVE_AUTO,
}
MODELS = PlanModels(sparse=WordWeights(), dense=WordVector(dimension=16))
MATCH = {"match": {"text": {"query": "red fox"}}}
BODIES: list[dict[str, Any]] = [
    {"query": MATCH},
    {"query": MATCH, "size": 5, "_source": ["title"], "aggs": {"g": {"terms": {"field": "g"}}}},
    {"query": {"match_phrase": {"text": "red fox"}}, "highlight": {"fields": {"text": {}}}},
    {"query": {"bool": {"must": MATCH, "filter": {"term": {"g": "a"}}}}, "post_filter": MATCH},
    {"query": MATCH, "sort": ["year"]},
    {"query": MATCH, "track_total_hits": False},
]


def fused(plan: FunnelPlan, start: int) -> FusedList:
    # Whole where the engine fuses, and as long as the page needs where the service does.
    named = max(start + 10, 50) if plan.fusion.by_service else plan.depth
    ids = [f"<hit {n} of the fused list>" for n in range(1, named + 1)]
    return FusedList(ids=ids, hits=plan.depth)


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
@pytest.mark.parametrize("start", [0, 10, 40])
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_a_preview_is_what_the_service_answers(
    plan: FunnelPlan, body: dict[str, Any], start: int
) -> None:
    asked = {**body, "from": start}
    found = preview(asked, plan=plan, models=MODELS)
    content = as_handed_on(asked)
    answer = rewrite(
        ClientBody(text=json.dumps(content), content=content),
        ready=ReadyPlan(plan, MODELS),
        fetch_fused=lambda *_: fused(plan, start),
        request_id=REQUEST_ID,
    )
    assert json.dumps(found.after) == answer
    assert found.before == content
    assert (found.outcome == "untouched") is (found.after == content) is bool(found.reason)


@pytest.mark.parametrize("plan", PLANS.values(), ids=list(PLANS))
@pytest.mark.parametrize("start", [0, 40])
def test_a_placeholder_stands_exactly_where_numbers_would(plan: FunnelPlan, start: int) -> None:
    body = {"query": MATCH, "from": start}
    placed = preview(body, plan=plan, dimension=384)
    encoded = preview(body, plan=plan, models=MODELS)
    assert blanked(placed.after) == blanked(encoded.after)
    text = json.dumps(placed.after)
    assert "<at most 64 tokens and their weights>" in text
    asks_the_engine = plan is NATIVE and start == 0
    assert ("<vector of 384 numbers>" in text) is not asks_the_engine


def blanked(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            name: "…" if name in {"vector", "query_tokens"} else blanked(inner)
            for name, inner in value.items()
        }
    return [blanked(one) for one in value] if isinstance(value, list) else value


def test_what_is_outside_of_the_sample_or_the_engine_s_is_untouched() -> None:
    plan = replace(PLAN, sample=0.5)
    reasons = {preview(_typed(f"fox {n}"), plan=plan).reason for n in range(20)}
    assert reasons == {"", "it is not in the plan's sample of 0.5"}
    taken = preview(_typed("fox ${parameters.x}"), plan=PLAN)
    assert taken.outcome == "untouched"
    assert "placeholder" in taken.reason


def _typed(text: str) -> dict[str, Any]:
    return {"query": {"match": {"text": {"query": text}}}}


def test_a_diff_holds_what_is_changed_and_cuts_numbers_short() -> None:
    body: dict[str, Any] = {
        "query": MATCH,
        "size": 5,
        "_source": ["title"],
        "highlight": {"fields": {"text": {}}},
    }
    models = PlanModels(sparse=ManyWeights(), dense=WordVector(dimension=384))
    lines = body_diff(preview(body, plan=PLAN, models=models))
    assert lines[:2] == ["--- what comes in", "+++ what runs"]
    text = "\n".join(lines)
    assert "<vector of 384 numbers>" in text
    assert '"t0": 0.064516129, "t1": 0.062365591, "t2": 0.060215054, "…": "<27 more>"' in text
    gone = [line for line in lines[2:] if line.startswith("-")]
    assert gone == [
        '-  "query": {"match": {"text": {"query": "red fox"}}},',
        '-  "_source": {"includes": ["title"], "excludes": []},',
        '-  "highlight": {"fields": {"text": {}}}',
    ]
    assert max(map(len, lines)) < 250


class ManyWeights(WordWeights):
    def encode_query(self, text: str) -> dict[str, float]:
        del text
        return {f"t{n}": 30.0 - n for n in range(30)}


def test_long_lists_of_a_client_are_cut_short_in_the_diff_alone() -> None:
    ids = [f"d{n}" for n in range(100)]
    body: dict[str, Any] = {
        "query": {"bool": {"must": [MATCH], "filter": [{"terms": {"id": ids}}]}}
    }
    found = preview(body, plan=PLAN)
    text = "\n".join(body_diff(found))
    assert '["d0", "d1", "d2", "<97 more>"]' in text
    assert '"d50"' not in text
    assert found.after["query"]["hybrid"]["filter"]["bool"]["filter"][0]["terms"]["id"] == ids


def test_nothing_changed_is_no_diff() -> None:
    body: dict[str, Any] = {"query": {"match_all": {}}}
    assert body_diff(Preview(outcome="untouched", reason="r", before=body, after=body)) == []


@pytest.mark.parametrize(
    ("given", "handed_on"),
    [
        ({"size": "5", "from": 10.0}, {"size": 5, "from": 10}),
        ({"size": 2.5, "from": "x"}, {"size": 2.5, "from": "x"}),
        ({"sort": "_score"}, {"sort": ["_score"]}),
        ({"sort": {"year": "asc"}}, {"sort": [{"year": "asc"}]}),
        ({"_source": "a"}, {"_source": {"includes": ["a"], "excludes": []}}),
        ({"_source": False}, {"_source": False}),
        ({"fields": ["a", {"field": "b"}]}, {"fields": [{"field": "a"}, {"field": "b"}]}),
        ({"track_total_hits": True}, {"track_total_hits": 2**31 - 1}),
        ({"track_total_hits": 5}, {"track_total_hits": 5}),
        ({"profile": False, "explain": False, "suggest": None}, {"explain": False}),
        ({"profile": True}, {"profile": True}),
        (
            {"query": {"multi_match": {"query": "x", "fields": "a"}}},
            {"query": {"multi_match": {"query": "x", "fields": ["a"]}}},
        ),
        (
            {"query": {"bool": {"must": {"multi_match": {"query": "x", "fields": "a"}}}}},
            {"query": {"bool": {"must": {"multi_match": {"query": "x", "fields": ["a"]}}}}},
        ),
        (
            {"query": {"bool": {"should": [{"query_string": {"query": "x"}}], "boost": 2}}},
            {
                "query": {
                    "bool": {
                        "should": [
                            {"query_string": {"query": "x", "max_determinized_states": 10000}}
                        ],
                        "boost": 2,
                    }
                }
            },
        ),
    ],
)
def test_a_body_in_the_words_of_the_engine(given: dict[str, Any], handed_on: Any) -> None:
    assert as_handed_on(given) == handed_on
