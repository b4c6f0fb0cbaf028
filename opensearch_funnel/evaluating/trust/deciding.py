"""From what probes measured to how far a plan trusts each of its legs, with the reason in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from opensearch_funnel.core.plan import FunnelPlan, Fusion, LegName, Trust
from opensearch_funnel.evaluating.trust.guard import Guarded, guarded, with_trust
from opensearch_funnel.evaluating.trust.probed import Probed
from opensearch_funnel.evaluating.trust.quality import (
    beyond_chance,
    quality_ratios,
    soundness,
    trust_of,
)

RULE = 2
"""Another number for another way to measure: what the old one measured is not used again."""
FEWEST_PROBES = 20
"""With fewer the legs are fused by reciprocal ranks, which need no trust."""
FEWEST_CUT = 50
"""With fewer nothing is said about which leg is better."""
_BOUND = 0.05
_BOUND_OF_OWN_WORDS = 0.10
"""Documents that are asked for by their own words flatter BM25: fusing may cost more there."""
_DIGITS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the legs of a plan found for probes.

    Attributes:
        own: documents asked for by their own words, a title or a sentence.
        cut: documents without a part of them, asked for by it.
        cut_by: what was taken out, in the plural.
        documents: how many the index has, which tells chance; 0 where that is not known.
        full_match: what the sparse leg gives a document that holds all of a query; 0 without one.
        index: what tells the index from any other, its uuid.
    """

    own: Sequence[Probed]
    cut: Sequence[Probed] = ()
    cut_by: str = "titles"
    documents: int = 0
    full_match: float = 0.0
    index: str = ""

    @property
    def enough_cut(self) -> bool:
        """Whether there are enough of them to say which leg is better."""
        return len(self.cut) >= FEWEST_CUT


def trusted_plan(plan: FunnelPlan, measured: Measured) -> FunnelPlan:
    """Return a plan that trusts each leg as far as it was found to be right on its index.

    What a leg keeps of its trust is told by how well it finds documents by their own words, and
    by how well a title, or where there are too few the first sentence, finds the rest of its
    document. The most trusted leg is trusted by 1.
    Then the fused order is held against the best leg's on the same probes, and the other legs
    are trusted less where it is worse (``guard``). With too few probes the plan fuses by
    reciprocal ranks.

    Args:
        plan: fused by ``auto``; what it says of trust is replaced.
        measured: hits of all its legs, and of no other.
    """
    legs = plan.active_legs
    count = len(measured.own)
    if count < FEWEST_PROBES:
        reason = f"reciprocal ranks: {count} probes, at least {FEWEST_PROBES} are needed"
        thin = Trust(decided=True, thin=True, reason=reason, index=measured.index)
        fusion = Fusion(technique="rrf", rank_constant=plan.fusion.rank_constant)
        return replace(plan, fusion=fusion, trust=thin)
    ranks = np.mean([probe.reciprocal_ranks for probe in measured.own], axis=0).tolist()
    health = [beyond_chance(found, documents=measured.documents) for found in ranks]
    cut = measured.cut if measured.enough_cut else ()
    sound = soundness(health)
    values = np.array([probe.ndcgs for probe in cut]).reshape(-1, len(legs))
    ratios = quality_ratios(values, sound=sound)
    trusts = dict(zip(legs, trust_of(health, ratios), strict=True))
    fusion = replace(plan.fusion, full_match=round(measured.full_match, _DIGITS))
    first = with_trust(replace(plan, fusion=fusion, trust=Trust()), trusts)
    bound = _BOUND if cut else _BOUND_OF_OWN_WORDS
    kept = guarded(first, cut or measured.own, bound=bound, sound=sound)
    reason = _reason(kept, found=dict(zip(legs, ranks, strict=True)), measured=measured)
    trust = replace(kept.plan.trust, decided=True, reason=reason, index=measured.index)
    return replace(kept.plan, trust=trust)


def _reason(kept: Guarded, *, found: dict[LegName, float], measured: Measured) -> str:
    trust = kept.plan.trust
    legs = sorted(found, key=lambda leg: (-trust.of(leg), leg))
    told = ", ".join(f"{leg} {trust.of(leg):.2f}" for leg in legs)
    cut, by = measured.cut, measured.cut_by
    if measured.enough_cut:
        means = np.mean([probe.ndcgs for probe in cut], axis=0).tolist()
        reached = dict(zip(found, means, strict=True))
        quality = (
            f"{by} find the rest of their documents at nDCG@10 {_listed(reached, legs)} "
            f"({len(cut)} probes)"
        )
    else:
        quality = (
            f"which leg is better is not told ({len(cut)} {by} say what the rest of their "
            f"documents does not, {FEWEST_CUT} are needed)"
        )
    own = (
        f"their own words find documents at a reciprocal rank of {_listed(found, legs)} "
        f"({len(measured.own)} probes)"
    )
    return f"{told}: {quality}; {own}; {_guard_reason(kept, by_cut=measured.enough_cut)}"


def _guard_reason(kept: Guarded, *, by_cut: bool) -> str:
    bound = f"{_BOUND:.2f}" if by_cut else f"{_BOUND_OF_OWN_WORDS:.2f}"
    flattered = "" if by_cut else ", by documents' own words, which flatters BM25"
    if kept.share == 1:
        worse = kept.fused < kept.reached
        how = f"within {bound} of {kept.best} alone" if worse else f"{kept.best} alone"
        than = how if worse else f"and {how} {kept.reached:.2f}"
        return f"fused {kept.fused:.2f}, {than}{flattered}"
    return (
        f"fused {kept.fused:.2f}, {kept.best} alone {kept.reached:.2f}{flattered}: the others are "
        f"trusted {kept.share:.2g} times as much as that, which gives {kept.mended:.2f}"
    )


def _listed(values: dict[LegName, float], legs: Sequence[LegName]) -> str:
    return ", ".join(f"{values[leg]:.2f}" for leg in legs)
