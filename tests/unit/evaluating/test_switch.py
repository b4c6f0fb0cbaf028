"""Reranking is switched on only where it is shown to help."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.evaluating.measures import Measure, measure_run
from opensearch_funnel.evaluating.switch import (
    BLENDS,
    Trial,
    decide,
    ndcg,
    reranked_orders,
)

PLAN = FunnelPlan(alias="films")


class Fixed:
    """Gives each text the score that is written in it."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        del query
        return [float(text) for text in texts]


def trial(*scores: float, relevant: int) -> Trial:
    ids = [f"d{i}" for i in range(len(scores))]
    return Trial(
        query="q", grades={f"d{relevant}": 1.0}, doc_ids=ids, texts=[str(s) for s in scores]
    )


def test_a_reranker_that_helps_is_on_and_the_plan_says_why() -> None:
    helped = [trial(0.1, 0.2, 0.9, relevant=2) for _ in range(40)]
    plan = decide(PLAN, helped, models=PlanModels(reranker=Fixed()), evidence="dev queries")
    assert plan.rerank.enabled
    assert plan.rerank.reason.startswith("on: nDCG@10 0.5000 fused, 1.0000 reranked")
    assert "40 dev queries" in plan.rerank.reason


def test_a_reranker_that_hurts_is_off() -> None:
    hurt = [trial(0.1, 0.2, 0.9, relevant=0) for _ in range(40)]
    plan = decide(PLAN, hurt, models=PlanModels(reranker=Fixed()), evidence="dev queries")
    assert not plan.rerank.enabled
    assert plan.rerank.reason.startswith("off: ")


def test_what_may_be_chance_is_off() -> None:
    mixed = [trial(0.1, 0.9, relevant=i % 2) for i in range(40)]
    assert not decide(
        PLAN, mixed, models=PlanModels(reranker=Fixed()), evidence="probes"
    ).rerank.enabled


@pytest.mark.parametrize("count", [0, 1, 19])
def test_without_evidence_it_is_off(count: int) -> None:
    few = [trial(0.1, 0.2, 0.9, relevant=2) for _ in range(count)]
    plan = decide(PLAN, few, models=PlanModels(reranker=Fixed()), evidence="probes")
    assert not plan.rerank.enabled
    assert "no evidence" in plan.rerank.reason


def test_a_blend_is_chosen_where_it_is_better_than_the_model_alone() -> None:
    # The model mistakes one hit far down for the best; with the fused order mixed in it is not.
    blended = [trial(0.5, 0.6, 0.0, 0.0, 0.0, 0.65, relevant=1) for _ in range(40)]
    plan = decide(PLAN, blended, models=PlanModels(reranker=Fixed()), evidence="dev queries")
    assert plan.rerank.enabled
    assert plan.rerank.blend > 0


class Opposed:
    """Gives each text the negative of the score that is written in it, and counts them."""

    def __init__(self) -> None:
        self.read = 0

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        del query
        self.read += len(texts)
        return [-float(text) for text in texts]


def test_a_cascade_reads_few_texts_with_its_last_model_and_each_once() -> None:
    last = Opposed()
    models = PlanModels(first_reranker=Fixed(), reranker=last)
    asked = trial(*(float(score) for score in range(20)), relevant=0)
    plan = Reranking(first_model="first", keep=4)
    options = [replace(plan, blend=blend) for blend in BLENDS]
    orders = reranked_orders(asked, options, models=models)
    # The first model puts d19 first; of its best four the last one likes d16 best, and both count.
    assert orders[0][:5] == ["d19", "d18", "d17", "d16", "d15"]
    assert last.read <= 4 * len(BLENDS)


def test_a_first_model_that_misleads_is_left_out() -> None:
    # Opposed would throw the relevant document out before the last model sees it.
    plan = replace(PLAN, rerank=Reranking(first_model="first", keep=1))
    misled = [trial(0.1, 0.2, 0.9, relevant=2) for _ in range(40)]
    models = PlanModels(first_reranker=Opposed(), reranker=Fixed())
    decided = decide(plan, misled, models=models, evidence="dev queries").rerank
    assert (decided.enabled, decided.cascade, decided.models) == (True, False, (decided.model,))
    agreed = PlanModels(first_reranker=Fixed(), reranker=Fixed())
    decided = decide(plan, misled, models=agreed, evidence="dev queries").rerank
    assert (decided.enabled, decided.cascade) == (True, True), "the cheaper of two that are equal"


class Column:
    """Gives each text one of the scores that are written in it."""

    def __init__(self, number: int) -> None:
        self.number = number

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        del query
        return [float(text.split()[self.number]) for text in texts]


@pytest.mark.parametrize(("first_misled", "last_misled", "cascade"), [(6, 4, True), (12, 0, False)])
def test_the_larger_model_alone_has_to_be_clearly_better_than_the_cascade(
    first_misled: int, last_misled: int, cascade: bool
) -> None:
    both, first, last = ("0.9 0.9", "0.1 0.9", "0.9 0.1")
    wrong = {both: "0.1 0.1", first: "0.9 0.1", last: "0.1 0.9"}
    known = [*[both] * 28, *[first] * first_misled, *[last] * last_misled]
    trials = [
        Trial(
            query="q",
            grades={"d2": 1.0},
            doc_ids=["d0", "d1", "d2"],
            texts=[wrong[right], "0.2 0.2", right],
        )
        for right in known
    ]
    plan = replace(PLAN, rerank=Reranking(first_model="first", keep=1))
    models = PlanModels(first_reranker=Column(0), reranker=Column(1))
    decided = decide(plan, trials, models=models, evidence="dev queries").rerank
    assert (decided.enabled, decided.cascade) == (True, cascade)


def test_equal_scores_keep_the_fused_order() -> None:
    equal = trial(1.0, 1.0, 1.0, relevant=0)
    options = [Reranking(blend=blend) for blend in BLENDS]
    orders = reranked_orders(equal, options, models=PlanModels(reranker=Fixed()))
    assert orders == [["d0", "d1", "d2"]] * len(BLENDS)


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=15),
    st.permutations(list(range(15))),
)
def test_ndcg_equals_trec_eval_s(grades: list[int], order: list[int]) -> None:
    judged = {f"d{i}": grade for i, grade in enumerate(grades)}
    run = [f"d{i}" for i in order]
    ours = ndcg(run, {d: float(g) for d, g in judged.items()}, k=10)
    measure = Measure("nDCG", 10)
    theirs = measure_run({"q": run}, qrels={"q": judged}, measures=[measure])[measure]["q"]
    assert ours == pytest.approx(theirs, abs=1e-9)
