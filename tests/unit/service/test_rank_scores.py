"""The scores that the service returns: readable by the engine, and in the right order."""

import base64
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.blending import blended
from opensearch_funnel.core.errors import InputError, StageUnavailableError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.engine.rewriting import RankContext
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.rank import page_scores, rank
from opensearch_funnel.testing import DownScorer, OverlapScorer

PLAN = FunnelPlan(alias="films", rerank=Reranking(enabled=True, depth=2))
READY = ReadyPlan(PLAN, PlanModels(reranker=OverlapScorer()))


@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=60),
    st.integers(0, 200),
    st.floats(0, 1),
    st.data(),
)
def test_any_scores_become_a_page_in_the_order_of_the_reranker(
    scores: list[float], beyond: int, share: float, data: st.DataObject
) -> None:
    mixed = blended([scores], places=range(len(scores)), share=share)
    best_first = [int(place) for place in np.argsort(-mixed, kind="stable")]
    order = [*best_first, *range(len(scores), len(scores) + beyond)]
    start = data.draw(st.integers(0, len(scores) - 1))
    page = page_scores(order, shares=[float(mixed[place]) for place in best_first], start=start)
    by_page = sorted(range(len(order)), key=lambda place: -page[place])
    assert by_page == [*order[start:], *order[:start]]
    ranked = [page[place] for place in best_first[start:]]
    assert all(1000 < score < 2000 for score in ranked)
    assert all(a - b >= 0.00099 for a, b in pairwise(ranked))
    assert all(0 < page[place] < 1 for place in [*best_first[:start], *order[len(scores) :]])
    for text in orjson.dumps(page).decode().strip("[]").split(","):
        # What the engine casts to a Java Double: a point, and no more digits than fit.
        assert "." in text
        assert len(text.replace(".", "").lstrip("0")) <= 9


def test_scores_that_are_no_numbers_fail_the_stage() -> None:
    with pytest.raises(StageUnavailableError):
        blended([[0.1, float("nan")]], places=[0, 1], share=0.0)


def key(doc_id: str) -> str:
    return doc_id + text_hash(doc_id)


def request(*keys: str, start: int = 0, size: int = 10) -> dict[str, object]:
    context = RankContext("red fox", start=start, size=size).as_text(PLAN.plan_id)
    return {"plan": orjson.loads(context), "documents": list(keys)}


TEXTS = {key("a"): "a blue whale", key("b"): "a red fox", key("c"): "a red fox too"}


def fetch(keys: Sequence[str]) -> list[str]:
    return [TEXTS[k] for k in keys]


def test_only_the_window_is_scored_and_the_rest_follows() -> None:
    asked: list[str] = []

    def fetch_noted(keys: Sequence[str]) -> list[str]:
        asked.extend(keys)
        return fetch(keys)

    scores = rank(request(*TEXTS, size=3), ready=READY, fetch_texts=fetch_noted)
    assert asked == [key("a"), key("b")]
    assert scores[1] > scores[0] > 1000
    assert scores[2] < 1


def test_the_second_page_of_the_window_comes_first_there() -> None:
    first, second = (
        rank(request(*TEXTS, start=start, size=1), ready=READY, fetch_texts=fetch)
        for start in (0, 1)
    )
    assert max(first) == first[1] > 1000, "b is best"
    assert max(second) == second[0] > 1000, "a is next in the window"
    assert min(second) == second[1], "and what page 1 showed comes last"


def test_a_cascade_scores_all_with_the_first_model_and_the_best_with_the_second() -> None:
    asked: list[list[str]] = []

    class Longest:
        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            del query
            asked.append(list(texts))
            return [float(len(text)) for text in texts]

    plan = FunnelPlan(alias="films", rerank=Reranking(enabled=True, depth=3, keep=2))
    models = PlanModels(first_reranker=Longest(), reranker=OverlapScorer())
    scores = rank(request(*TEXTS), ready=ReadyPlan(plan, models), fetch_texts=fetch)
    assert asked == [["a blue whale", "a red fox", "a red fox too"]]
    assert scores[2] > scores[0] > scores[1] > 1000, "b was not among the two that were kept"

    broken = ReadyPlan(plan, PlanModels(first_reranker=Longest(), reranker=DownScorer()))
    scores = rank(request(*TEXTS), ready=broken, fetch_texts=fetch)
    assert 1 > scores[2] > scores[0] > scores[1], "the first model's order, marked as incomplete"

    broken = ReadyPlan(plan, PlanModels(first_reranker=DownScorer(), reranker=OverlapScorer()))
    with pytest.raises(StageUnavailableError, match="no answer"):
        rank(request(*TEXTS), ready=broken, fetch_texts=fetch)


def test_a_context_that_is_none_is_refused_in_one_line() -> None:
    with pytest.raises(InputError, match="rank context"):
        rank({"plan": {"q": "x"}, "documents": list(TEXTS)}, ready=READY, fetch_texts=fetch)


def test_what_was_typed_is_not_in_the_refusal_of_a_context() -> None:
    broken = base64.b64encode(b"my secret \xff").decode()
    with pytest.raises(InputError, match="UnicodeDecodeError") as refused:
        rank({"plan": {"q": broken}, "documents": list(TEXTS)}, ready=READY, fetch_texts=fetch)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("keys", [("",), (key("a"), key("a")), (text_hash("x"),)])
def test_a_hit_without_a_key_of_its_own_keeps_the_fused_order(keys: tuple[str, ...]) -> None:
    page = [key("b"), *keys]
    scores = rank(request(*page), ready=READY, fetch_texts=list)
    assert len(scores) == len(page)
    assert scores == sorted(scores, reverse=True)
    assert max(scores) < 1, "marked as not reranked"
