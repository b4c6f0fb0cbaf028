"""The constants that the study finds beside those that the product has."""

from __future__ import annotations

from collections.abc import Mapping
from math import log

from benchmarks.fusion_study.fitting import Weighting
from benchmarks.fusion_study.found import LEGS
from opensearch_funnel.core import query_weights
from opensearch_funnel.core.plan import FunnelPlan

_DIGITS = 3


def in_the_product() -> Weighting:
    """Return the product's weighting for a default plan.

    The plan's own weights are part of it: the study's legs have none.

    Example:
        >>> in_the_product().slopes["gap"] == query_weights.GAP
        True
    """
    plan = FunnelPlan(alias="any")
    lean = {leg: query_weights.LEAN.get(leg, 0.0) + log(getattr(plan, leg).weight) for leg in LEGS}
    return Weighting(
        lean=tuple(lean[leg] - lean[LEGS[-1]] for leg in LEGS),
        slopes={
            "gap": query_weights.GAP,
            "agreement": query_weights.AGREEMENT,
            "match": query_weights.MATCH,
        },
    )


def named(weighting: Weighting) -> dict[str, float]:
    """Return the constants by name, rounded.

    Example:
        >>> named(Weighting(lean=(-0.25, 0.5, 0.0), slopes={"gap": 1.0}))
        {'lean bm25': -0.25, 'lean sparse': 0.5, 'gap': 1.0}
    """
    leans = zip(LEGS[:-1], weighting.lean, strict=False)
    return {
        **{f"lean {leg}": round(one, _DIGITS) for leg, one in leans},
        **{name: round(slope, _DIGITS) for name, slope in weighting.slopes.items()},
    }


def apart(found: Mapping[str, float], product: Mapping[str, float]) -> dict[str, float]:
    """Return how far each constant that was found is above the product's.

    Example:
        >>> apart({"gap": 1.0}, {"gap": 0.75})
        {'gap': 0.25}
    """
    return {name: round(value - product[name], _DIGITS) for name, value in found.items()}
