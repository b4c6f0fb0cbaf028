"""Why a leg counts as much as it does for one query, in words."""

from __future__ import annotations

from collections.abc import Mapping

from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.query_weights import LegEvidence


def weights_in_words(
    plan: FunnelPlan,
    *,
    weights: Mapping[str, float],
    evidence: Mapping[str, LegEvidence],
) -> dict[str, str]:
    """Return a line for each leg: its weight, and what speaks for it and against it.

    Args:
        plan: says how far each leg is trusted on its index.
        weights: of the legs for this query.
        evidence: what the legs found for it.

    Example:
        >>> sure = LegEvidence(gap=3.9, agreement=0.31, others=0.22, match=1.0)
        >>> plan, legs = FunnelPlan(alias="films"), ("bm25", "sparse", "dense")
        >>> told = weights_in_words(
        ...     plan, weights=dict.fromkeys(legs, 1 / 3), evidence=dict.fromkeys(legs, sure)
        ... )
        >>> told["dense"]
        '0.33: best hit 3.9 deviations above the tenth; agrees 0.31 with the others, they 0.22'
    """
    lines: dict[str, str] = {}
    for leg in plan.active_legs:
        told = evidence[leg]
        parts = [f"best hit {told.gap:.1f} deviations above the tenth"]
        if len(plan.active_legs) > 1:
            parts.append(f"agrees {told.agreement:.2f} with the others, they {told.others:.2f}")
        if told.match < 1:
            parts.append(f"the best document holds {told.match:.0%} of the query")
        if plan.trust.decided:
            parts.append(f"trusted {plan.trust.of(leg):.2f} on this index")
        lines[leg] = f"{weights[leg]:.2f}: " + "; ".join(parts)
    return lines
