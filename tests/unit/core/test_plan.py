from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import LEGS, FunnelPlan, PerQuery


def test_weights_of_the_active_legs_add_up_to_one() -> None:
    plan = FunnelPlan.from_dict({"alias": "a", "bm25": {"weight": 1.5}, "dense": {"weight": 0}})
    assert plan.active_legs == ("bm25", "sparse")
    assert plan.weights == (0.75, 0.25)


@given(st.lists(st.floats(0.001, 100), min_size=3, max_size=3))
def test_any_weights_are_within_what_the_engine_accepts(weights: list[float]) -> None:
    bm25, sparse, dense = ({"weight": w} for w in weights)
    plan = FunnelPlan.from_dict({"alias": "a", "bm25": bm25, "sparse": sparse, "dense": dense})
    assert sum(plan.weights) == pytest.approx(1.0, abs=0.01)
    assert all(0.0 <= w <= 1.0 for w in plan.weights)


def test_another_plan_has_another_id_and_the_same_plan_the_same() -> None:
    plan = FunnelPlan(alias="films")
    assert plan.plan_id == FunnelPlan.from_dict(plan.to_dict()).plan_id
    assert plan.plan_id != FunnelPlan(alias="films", depth=100).plan_id
    assert plan.plan_id.startswith("films.")


STATIC = {"alias": "a", "fusion": {"technique": "min_max"}}
"""A plan that weighs the legs alike for all queries."""
EVEN = {"feature": "digits", "bm25": 1.0, "sparse": 1.0, "dense": 1.0}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "needs the index or alias"),
        ({"alias": "a", "dpeth": 1}, "unknown key 'dpeth' in the plan"),
        ({"alias": "a", "depth": "many"}, "depth in the plan must be int"),
        ({"alias": "a", "depth": True}, "depth in the plan must be int"),
        ({"alias": "a", "depth": 0}, "depth must be from 1"),
        ({"alias": "a", "fusion": {"technique": "magic"}}, "must be one of auto, min_max"),
        ({**STATIC, "per_query": {"feature": "digits", "bm25": 1}}, "a weight above 0 for"),
        ({"alias": "a", "per_query": {"feature": "colour"}}, "feature in .* must be one of none"),
        ({"alias": "a", "fusion": []}, r"\[fusion\] must be a table"),
        ({"alias": "a", "rerank": {"depth": 500}}, "rerank.depth"),
        (
            {**STATIC, "per_query": {**EVEN, "at_least": 5, "below": 3}},
            "below must be above at_least",
        ),
        ({**STATIC, "per_query": {**EVEN, "bm25": 1e-10}}, "too far apart"),
        ({**STATIC, "per_query": {**EVEN, "dense": float("inf")}}, "too far apart"),
        ({"alias": "a", "bm25": {"weight": -1}}, "must not be negative"),
        ({"alias": "a", "bm25": {"weight": float("inf")}}, "must be a finite number"),
        (
            {"alias": "a", **{leg: {"weight": 0} for leg in ("bm25", "sparse", "dense")}},
            "at least one leg",
        ),
        (
            {
                "alias": "a",
                "fusion": {"technique": "z_score", "combination": "geometric_mean"},
            },
            "z_score",
        ),
        (
            {"alias": "a", "fusion": {"technique": "auto", "combination": "harmonic_mean"}},
            '"auto" goes with combination = "arithmetic_mean" only',
        ),
        (
            {
                "alias": "a",
                "fusion": {"technique": "auto"},
                "per_query": {"feature": "digits", "bm25": 1.0, "sparse": 1.0, "dense": 1.0},
            },
            r"leave \[per_query\] out",
        ),
    ],
)
def test_a_plan_that_cannot_run_is_refused_with_the_reason(
    table: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        FunnelPlan.from_dict(table)


@given(
    own=st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
    theirs=st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
    alike=st.sets(st.integers(0, 2)),
)
def test_a_kind_of_queries_has_its_own_weights_in_at_most_five_places(
    own: list[float], theirs: list[float], alike: set[int]
) -> None:
    theirs = [own[n] if n in alike else weight for n, weight in enumerate(theirs)]
    legs = dict(zip(LEGS, own, strict=True))
    bm25, sparse, dense = theirs
    rule = PerQuery(feature="digits", at_least=1, bm25=bm25, sparse=sparse, dense=dense)
    plan = FunnelPlan.from_dict(
        {**STATIC, **{leg: {"weight": weight} for leg, weight in legs.items()}}
    )
    plan = replace(plan, per_query=rule)
    assert len(plan.weights) <= 5
    assert sum(plan.weights) == pytest.approx(1.0, abs=1e-4)
    for text, wanted in (("fox", own), ("fox 2", theirs)):
        placed = dict(zip(plan.placed(text), plan.weights, strict=True))
        assert len(placed) == len(plan.weights)
        got = np.array([placed[leg] for leg in LEGS])
        assert got / got.sum() == pytest.approx(np.array(wanted) / sum(wanted), rel=1e-3)
        assert plan.for_query(text).weights == pytest.approx(got / got.sum(), abs=1e-3)


def test_where_the_weights_of_a_kind_are_those_of_all_no_place_is_added() -> None:
    plan = FunnelPlan.from_dict(
        {
            **STATIC,
            "per_query": {"feature": "words", "below": 3, "bm25": 2, "sparse": 1, "dense": 2},
        }
    )
    assert plan.weights == FunnelPlan(alias="a").weights
    assert plan.placed("one") == plan.placed("one two three") == LEGS


def test_a_rule_for_a_kind_of_queries_goes_with_the_legs_that_it_weighs() -> None:
    rule = {"feature": "words", "below": 3, "bm25": 4, "sparse": 1, "dense": 2}
    plan = FunnelPlan.from_dict({**STATIC, "per_query": rule})
    fewer = plan.with_legs("bm25", "dense")
    assert fewer.for_query("one").weights == pytest.approx((2 / 3, 1 / 3), abs=1e-6)
    assert fewer.for_query("one two three").weights == (0.5, 0.5)
    assert plan.with_legs(*LEGS) == plan.with_every_leg() == plan
    assert fewer.with_every_leg().per_query == PerQuery()
    assert plan.with_legs("sparse").placed("one") == ("sparse",)
    alone = FunnelPlan.from_dict({**STATIC, "per_query": rule, "sparse": {"weight": 0}})
    assert alone.placed("one") == ("bm25", "empty 1", "dense")
    assert alone.placed("one two three") == ("bm25", "dense", "empty 1")


def test_under_auto_trust_multiplies_the_weights_of_the_legs() -> None:
    plain = {"alias": "films", "trust": {"dense": 3.0, "decided": True}}
    auto = FunnelPlan.from_dict(plain)
    assert auto.weights == pytest.approx((1 / 4.5, 0.5 / 4.5, 3 / 4.5), abs=1e-6)
    static = FunnelPlan.from_dict({**plain, **STATIC})
    assert static.weights == FunnelPlan(alias="films").weights


def test_what_was_measured_is_no_part_of_what_was_asked_for() -> None:
    asked = FunnelPlan(alias="films")
    measured = FunnelPlan.from_dict(
        {
            "alias": "films",
            "fusion": {"technique": "auto", "full_match": 0.9},
            "trust": {"dense": 3.0, "decided": True, "reason": "…"},
        }
    )
    thin = FunnelPlan.from_dict(
        {
            "alias": "films",
            "fusion": {"technique": "rrf"},
            "trust": {"decided": True, "thin": True, "reason": "…"},
        }
    )
    assert measured.undecided() == thin.undecided() == asked


@pytest.mark.parametrize("wrong", [{"trust": {"bm25": 0.0}}, {"fusion": {"full_match": -1.0}}])
def test_trust_and_a_full_match_have_bounds(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidPlanError, match=r"above 0|0 or above"):
        FunnelPlan.from_dict({"alias": "films", **wrong})
