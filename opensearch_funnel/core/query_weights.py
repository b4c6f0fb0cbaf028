"""How much each leg counts for one query, told by what the legs found for it.

Every query has its own best weights: one that names its answer is found by its words, another by
its meaning. Judgments that would say which are not at hand while somebody searches; the legs'
scores are. A leg whose best hit stands out from its others has found something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, log1p, sqrt

from opensearch_funnel.core.leg_hit import LegHit

PLACE = 10
"""The hit that the best one is held against."""


def query_weights(
    legs: Mapping[str, Sequence[LegHit]], *, trust: Sequence[float]
) -> tuple[float, ...]:
    """Return the share of each leg in the fused scores of one query.

    Args:
        legs: what each leg found for the query, by its name: hits that score above 0, shard by
            shard, and the best first in each.
        trust: how far each leg is trusted whatever it finds, in the order of ``legs``; none below
            0, and one above it. A leg that is not trusted at all gets no share.

    Returns:
        One number a leg, in their order; they add up to 1.

    Example:
        >>> sure = [LegHit(doc_id="a", score=9.0), LegHit(doc_id="b", score=2.0),
        ...         LegHit(doc_id="c", score=1.0)]
        >>> unsure = [LegHit(doc_id="b", score=0.8)]
        >>> [round(w, 2) for w in query_weights({"bm25": sure, "dense": unsure}, trust=(0.5, 0.5))]
        [0.69, 0.31]
    """
    grown = [
        share * (1.0 + log1p(_gap([hit.score for hit in hits])))
        for hits, share in zip(legs.values(), trust, strict=True)
    ]
    total = fsum(grown)
    return tuple(one / total for one in grown)


def _gap(scores: Sequence[float]) -> float:
    """Say how far the best score is from the tenth, or the last, in standard deviations."""
    if len(scores) < 2:  # noqa: PLR2004 - one score is far from nothing
        return 0.0
    mean = fsum(scores) / len(scores)
    deviation = sqrt(fsum((score - mean) ** 2 for score in scores) / len(scores))
    best_first = sorted(scores, reverse=True)
    gap = best_first[0] - best_first[min(PLACE, len(scores)) - 1]
    return gap / deviation if deviation > 0 else 0.0
