import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan


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


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "needs the index or alias"),
        ({"alias": "a", "dpeth": 1}, "unknown key 'dpeth' in the plan"),
        ({"alias": "a", "depth": "many"}, "depth in the plan must be int"),
        ({"alias": "a", "depth": True}, "depth in the plan must be int"),
        ({"alias": "a", "depth": 0}, "depth must be from 1"),
        ({"alias": "a", "fusion": {"technique": "magic"}}, "must be one of min_max"),
        ({"alias": "a", "fusion": []}, r"\[fusion\] must be a table"),
        ({"alias": "a", "rerank": {"depth": 500}}, "rerank.depth"),
        ({"alias": "a", "bm25": {"weight": -1}}, "must not be negative"),
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
    ],
)
def test_a_plan_that_cannot_run_is_refused_with_the_reason(
    table: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidPlanError, match=message):
        FunnelPlan.from_dict(table)
