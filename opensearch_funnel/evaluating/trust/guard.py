"""The guard rail: on its own index, what a plan fuses must not be worse than its best leg alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import exp, log
from typing import Any

import numpy as np

from opensearch_funnel.core.fusion import fused_ids
from opensearch_funnel.core.plan import FunnelPlan, LegName
from opensearch_funnel.evaluating.trust.probed import CUTOFF, Probed, ndcg_at

LEAST_SHARE = 0.001
"""The legs beside the best one never lose more than this of their trust here."""
_STEPS = 10
_DIGITS = 4
_LEAST_TRUST = 10.0**-_DIGITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A plan whose fused order is not worse than its best leg, by more than a bound.

    Attributes:
        plan: the plan.
        best: its best leg on the probes.
        reached: nDCG@10 of that leg.
        fused: nDCG@10 of the plan as it was given.
        share: what the other legs kept of their trust; 1 where nothing was to mend.
        mended: nDCG@10 of ``plan``.
    """

    plan: FunnelPlan
    best: LegName
    reached: float
    fused: float
    share: float
    mended: float


def guarded(
    plan: FunnelPlan, probes: Sequence[Probed], *, bound: float, sound: Sequence[float]
) -> Guarded:
    """Trust the legs beside the best one less, until the fused order keeps the bound.

    Of all shares that do, about the largest one is taken (within 1 %).

    Args:
        plan: with trust as it was measured, fused by ``auto``.
        probes: what its legs found; one at least.
        bound: how much less nDCG@10 the fused order may have than the best leg.
        sound: how far what probes say of each leg is to be believed (``soundness``): the best
            leg is a sound one.
    """
    legs = plan.active_legs
    means = np.mean([probe.ndcgs for probe in probes], axis=0)
    place = int(np.argmax(means * np.asarray(sound)))
    best, reached = legs[place], float(means[place])
    others = [leg for leg in legs if leg != best]

    def at(share: float) -> FunnelPlan:
        trusts = {leg: plan.trust.of(leg) for leg in legs}
        return with_trust(plan, trusts | {leg: trusts[leg] * share for leg in others})

    def value(share: float) -> float:
        return fused_ndcg(at(share), probes)

    fused = value(1.0)
    share = 1.0 if fused >= reached - bound else _largest(value, least=reached - bound)
    mended = fused if share == 1 else value(share)
    return Guarded(
        plan=plan if share == 1 else at(share),
        best=best,
        reached=reached,
        fused=fused,
        share=share,
        mended=mended,
    )


def with_trust(plan: FunnelPlan, trusts: dict[LegName, float]) -> FunnelPlan:
    """Return a plan that trusts its legs like this: the most trusted one by 1, none by nothing.

    Example:
        >>> with_trust(FunnelPlan(alias="films"), {"bm25": 0.5, "dense": 0.1}).trust.dense
        0.2
    """
    most = max(trusts.values())
    rounded: dict[str, Any] = {
        leg: max(round(one / most, _DIGITS), _LEAST_TRUST) for leg, one in trusts.items()
    }
    return replace(plan, trust=replace(plan.trust, **rounded))


def fused_ndcg(plan: FunnelPlan, probes: Sequence[Probed]) -> float:
    """Return the mean nDCG@10 of a plan's fused order on probes."""
    return float(np.mean([_ndcg(plan, probe) for probe in probes]))


def _ndcg(plan: FunnelPlan, probe: Probed) -> float:
    order = fused_ids(probe.found, weights=plan.weights, fusion=plan.fusion)[:CUTOFF]
    return ndcg_at(order.index(probe.target) + 1) if probe.target in order else 0.0


def _largest(value: Callable[[float], float], *, least: float) -> float:
    """Return about the largest share whose value is not below the least one, by bisection."""
    low, high = log(LEAST_SHARE), 0.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if value(exp(middle)) >= least else (low, middle)
    return exp(low)
