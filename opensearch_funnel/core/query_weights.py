"""How much each leg counts for one query, told by what the legs found for it.

Every query has its own best weights: one that names its answer is found by its words, another by
its meaning. Judgments that would say which are not at hand while somebody searches; what the legs
found is. Three things are read from it:

- **gap**: how far a leg's best hit stands out from its tenth. A leg that found something knows it.
- **agreement**: how much a leg's order is like the others', beyond how much they are like each
  other. A leg that is alone with its opinion is more often wrong.
- **match**: how much of what the query says the best document of the sparse leg holds, against a
  document of this index that holds all of it. Where words are missed, legs that go by words are
  trusted less.

The four constants were learnt on judged queries, each set judged by constants that were learnt
without it (docs/fusion.md has the table, and what else was tried).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp, fsum, log, log1p, sqrt

from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.rank_overlap import rank_biased_overlap

GAP, AGREEMENT, MATCH = 0.88, 0.91, 0.80
"""What each piece of evidence adds to the logarithm of a leg's weight."""
LEAN: Mapping[str, float] = {"bm25": -0.29, "sparse": 0.40, "dense": 0.0}
"""What the legs of a default plan turned out to be worth, in logarithms, beside their weights."""

_PLACE = 10
"""The hit that the best one is held against."""
_READ = 100
"""Hits of each leg whose order is compared."""
_PERSISTENCE = 0.98
"""Of the reader of two orders: half of the weight lies on the first 34 hits."""
_BY_WORDS = frozenset({"bm25", "sparse"})
_LEAST_MATCH = 0.05
"""A match below this is read as this: the logarithm of nothing would be the end of a leg."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LegEvidence:
    """What speaks for and against one leg on one query.

    Attributes:
        gap: the best score less that of the tenth hit (or the last), in standard deviations of
            the leg's scores; 0 where the leg found fewer than two.
        agreement: rank-biased overlap with the other legs, on average; from 0 to 1.
        others: the same of the other legs among each other; where there is no such pair, as much
            as ``agreement``.
        match: of what the query says, the share that the best document holds, from 0 to 1; 1
            where that is not known, and for a leg that does not go by words.
    """

    gap: float
    agreement: float
    others: float
    match: float

    @property
    def strength(self) -> float:
        """What the evidence adds to the logarithm of the leg's weight."""
        return (
            GAP * log1p(self.gap)
            + AGREEMENT * (self.agreement - self.others)
            + MATCH * log(max(self.match, _LEAST_MATCH))
        )


def query_weights(
    legs: Mapping[str, Sequence[LegHit]], *, trust: Sequence[float], full_match: float = 0.0
) -> tuple[float, ...]:
    """Return the share of each leg in the fused scores of one query.

    Args:
        legs: what each leg found for the query, by its name: hits that score above 0, best first
            (``core.leg_hit.best_overall``).
        trust: how far each leg is trusted whatever it finds, in the order of ``legs``; none below
            0, and one above it. A leg that is not trusted at all gets no share.
        full_match: what the sparse leg gives a document that holds all of a query (``evidence``).

    Returns:
        One number a leg, in their order; they add up to 1.

    Example:
        >>> sure = [LegHit(doc_id="a", score=9.0), LegHit(doc_id="b", score=2.0),
        ...         LegHit(doc_id="c", score=1.0)]
        >>> unsure = [LegHit(doc_id="b", score=0.8)]
        >>> [round(w, 2) for w in query_weights({"bm25": sure, "dense": unsure}, trust=(0.5, 0.5))]
        [0.68, 0.32]
    """
    told = evidence(legs, full_match=full_match)
    grown = [
        share * exp(LEAN.get(leg, 0.0) + told[leg].strength)
        for leg, share in zip(legs, trust, strict=True)
    ]
    total = fsum(grown)
    return tuple(one / total for one in grown)


def evidence(
    legs: Mapping[str, Sequence[LegHit]], *, full_match: float = 0.0
) -> dict[str, LegEvidence]:
    """Return what speaks for and against each leg on one query.

    Args:
        legs: what each leg found, by its name, best first.
        full_match: the score that the sparse leg gives a document that holds all that a query
            says, as measured on the index; 0 where that was not measured. A sparse query's
            weights add up to 1, so that scores of long and of short queries compare.

    Example:
        >>> alike = [LegHit(doc_id="a", score=0.9), LegHit(doc_id="b", score=0.3)]
        >>> told = evidence({"sparse": alike, "dense": alike}, full_match=1.2)
        >>> told["sparse"].match, told["sparse"].agreement, told["dense"].match
        (0.75, 1.0, 1.0)
    """
    overlaps = {
        frozenset(pair): _overlap(*(legs[leg] for leg in pair)) for pair in combinations(legs, 2)
    }
    best = legs.get("sparse", ())[:1]
    match = min(1.0, best[0].score / full_match) if best and full_match > 0 else 1.0
    return {
        leg: _told(leg, hits, overlaps=overlaps, match=match if leg in _BY_WORDS else 1.0)
        for leg, hits in legs.items()
    }


def _told(
    leg: str,
    hits: Sequence[LegHit],
    *,
    overlaps: Mapping[frozenset[str], float],
    match: float,
) -> LegEvidence:
    own = [value for pair, value in overlaps.items() if leg in pair]
    rest = [value for pair, value in overlaps.items() if leg not in pair]
    agreement = fsum(own) / len(own) if own else 0.0
    return LegEvidence(
        gap=_gap([hit.score for hit in hits]),
        agreement=agreement,
        others=fsum(rest) / len(rest) if rest else agreement,
        match=match,
    )


def _overlap(first: Sequence[LegHit], second: Sequence[LegHit]) -> float:
    if not first or not second:
        return 0.0
    one, other = ([hit.doc_id for hit in hits[:_READ]] for hits in (first, second))
    return rank_biased_overlap(one, other, persistence=_PERSISTENCE)


def _gap(scores: Sequence[float]) -> float:
    """Say how far the best score is from the tenth, or the last, in standard deviations.

    Args:
        scores: best first.
    """
    if len(scores) < 2:  # noqa: PLR2004 - one score is far from nothing
        return 0.0
    mean = fsum(scores) / len(scores)
    deviation = sqrt(fsum((score - mean) ** 2 for score in scores) / len(scores))
    gap = scores[0] - scores[min(_PLACE, len(scores)) - 1]
    return gap / deviation if deviation > 0 else 0.0
