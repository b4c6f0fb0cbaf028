"""The legs of a plan that search what a model made."""

from __future__ import annotations

from opensearch_funnel.core.plan import DenseLeg, FunnelPlan, LegName, SparseLeg


def model_legs(plan: FunnelPlan) -> dict[LegName, SparseLeg | DenseLeg]:
    """Return those of a plan's active legs that have a model.

    Example:
        >>> list(model_legs(FunnelPlan(alias="films").with_legs("bm25", "dense")))
        ['dense']
    """
    legs: dict[LegName, SparseLeg | DenseLeg] = {"sparse": plan.sparse, "dense": plan.dense}
    return {leg: found for leg, found in legs.items() if leg in plan.active_legs}
