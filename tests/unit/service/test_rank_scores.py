"""The scores that the service returns: readable by the engine, and in the right order."""

from itertools import pairwise

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.blending import blended
from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.engine.rewriting import rank_context
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.rank import page_scores, rank
from opensearch_funnel.testing import OverlapScorer

PLAN = FunnelPlan(alias="films", rerank=Reranking(enabled=True, depth=2))
READY = ReadyPlan(PLAN, PlanModels(reranker=OverlapScorer()))


@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=1, max_size=60),
    st.integers(0, 200),
    st.floats(0, 1),
)
def test_any_scores_become_a_page_in_the_order_of_the_reranker(
    scores: list[float], beyond: int, share: float
) -> None:
    mixed = blended(scores, share=share)
    page = page_scores(mixed, hits=len(scores) + beyond)
    ranked, rest = page[: len(scores)], page[len(scores) :]
    by_page = sorted(range(len(scores)), key=lambda i: -ranked[i])
    assert by_page == list(np.argsort(-mixed, kind="stable"))
    assert all(1000 < s < 2000 for s in ranked)
    ordered = sorted(ranked, reverse=True)
    assert all(a - b >= 0.00099 for a, b in pairwise(ordered))
    assert all(0 < s < 1 for s in rest)
    assert rest == sorted(rest, reverse=True)
    for text in orjson.dumps(page).decode().strip("[]").split(","):
        # What the engine casts to a Java Double: a point, and no more digits than fit.
        assert "." in text
        assert len(text.replace(".", "").lstrip("0")) <= 9


def test_scores_that_are_no_numbers_fail_the_stage() -> None:
    with pytest.raises(StageUnavailableError):
        blended([0.1, float("nan")], share=0.0)


def key(doc_id: str) -> str:
    return doc_id + text_hash(doc_id)


def request(*keys: str) -> dict[str, object]:
    context = orjson.loads(rank_context(PLAN.plan_id, text="red fox"))
    return {"plan": context, "documents": list(keys)}


def test_only_the_window_is_scored_and_the_rest_follows() -> None:
    texts = {key("a"): "a blue whale", key("b"): "a red fox", key("c"): "a red fox too"}
    asked: list[str] = []

    def fetch(keys: object) -> list[str]:
        assert isinstance(keys, list)
        asked.extend(keys)
        return [texts[k] for k in keys]

    scores = rank(request(*texts), ready=READY, fetch_texts=fetch)
    assert asked == [key("a"), key("b")]
    assert scores[1] > scores[0] > 1000
    assert scores[2] < 1


@pytest.mark.parametrize("keys", [("",), (key("a"), key("a")), (text_hash("x"),)])
def test_a_hit_without_a_key_of_its_own_keeps_the_fused_order(keys: tuple[str, ...]) -> None:
    with pytest.raises(StageUnavailableError, match=r"funnel\.id"):
        rank(request(*keys), ready=READY, fetch_texts=list)
