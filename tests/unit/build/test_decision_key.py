"""A decision about reranking is remembered by what it rests on, and by nothing else."""

from dataclasses import replace

import pytest

from opensearch_funnel.build.decisions import Known, decision_key
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.evaluating.trials import KnownQuery

PLAN = FunnelPlan(alias="films")
FOX = KnownQuery(text="fox", grades={"d1": 1.0, "d2": 0.0})
HEN = KnownQuery(text="hen", grades={"d3": 1.0})


def key(*queries: KnownQuery, plan: FunnelPlan = PLAN) -> str:
    return decision_key(plan, known=Known(queries=queries, evidence="dev queries"))


def test_the_decision_itself_and_the_order_of_queries_are_no_part_of_it() -> None:
    decided = replace(PLAN, rerank=Reranking(enabled=True, decided=True, blend=0.5, reason="on"))
    assert key(FOX, HEN) == key(HEN, FOX) == key(FOX, HEN, plan=decided)


@pytest.mark.parametrize(
    "other",
    [
        key(FOX),
        key(replace(FOX, grades={"d1": 2.0, "d2": 0.0}), HEN),
        key(replace(FOX, text="foxes"), HEN),
        key(FOX, HEN, plan=replace(PLAN, rerank=Reranking(depth=20))),
        key(FOX, HEN, plan=replace(PLAN, rerank=Reranking(first_model=""))),
        key(FOX, HEN, plan=FunnelPlan(alias="books")),
    ],
)
def test_everything_else_makes_another_decision(other: str) -> None:
    assert other != key(FOX, HEN)
