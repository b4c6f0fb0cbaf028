"""What can be read, without judgments, from what the legs found for one query.

What the product reads is read by the product's own code (``core.query_weights.evidence``); the
rest was tried and is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.query_weights import evidence
from opensearch_funnel.core.rank_overlap import rank_biased_overlap

Floats = NDArray[np.float64]

PRODUCT = ("gap", "agreement", "others", "match")
"""What the product reads."""
TRIED = ("gap2", "z", "agreement_first", "others_first", "words", "coverage")
"""The gap to the second hit, the best hit's z-score, agreement of the first hits alone, the number
of the query's words, and how much of their mass BM25's best document has."""
SIGNALS = (*PRODUCT, *TRIED)

_FIRST, _FIRST_PERSISTENCE = 50, 0.9


def signals_of(
    legs: Mapping[str, Sequence[LegHit]], *, text: str, full_match: float, full_coverage: float
) -> Floats:
    """Return every signal of one query.

    Args:
        legs: what each leg found, best first.
        text: what was asked.
        full_match: the sparse leg's score of a document that holds all of a query.
        full_coverage: BM25's score of such a document, for the words' mass of this query.

    Returns:
        ``(signals, legs)``, in the order of ``SIGNALS``; what is one number a query stands
        there once for each leg.
    """
    told = evidence(legs, full_match=full_match)
    rows = {name: [getattr(told[leg], name) for leg in legs] for name in PRODUCT}
    scores = {leg: np.array([hit.score for hit in hits]) for leg, hits in legs.items()}
    rows["gap2"] = [_stands_out(scores[leg], place=1) for leg in legs]
    rows["z"] = [_stands_out(scores[leg], place=None) for leg in legs]
    rows["agreement_first"], rows["others_first"] = _first_agreements(legs)
    rows["words"] = [float(len(text.split()))] * len(legs)
    bm25 = scores["bm25"]
    share = min(1.0, float(bm25[0]) / full_coverage) if len(bm25) and full_coverage > 0 else 0.0
    rows["coverage"] = [share] * len(legs)
    return np.array([rows[name] for name in SIGNALS])


def _stands_out(scores: Floats, *, place: int | None) -> float:
    """Say how far the best score is from another one, or the mean, in standard deviations."""
    if len(scores) < 2:  # noqa: PLR2004 - one score is far from nothing
        return 0.0
    deviation = float(scores.std())
    reference = float(scores.mean()) if place is None else float(scores[place])
    return (float(scores[0]) - reference) / deviation if deviation > 0 else 0.0


def _first_agreements(legs: Mapping[str, Sequence[LegHit]]) -> tuple[list[float], list[float]]:
    """Return each leg's agreement with the others, and theirs with each other: first hits alone."""
    ids = {leg: [hit.doc_id for hit in hits[:_FIRST]] for leg, hits in legs.items()}
    overlaps = {
        frozenset(pair): rank_biased_overlap(
            ids[pair[0]], ids[pair[1]], persistence=_FIRST_PERSISTENCE
        )
        if ids[pair[0]] and ids[pair[1]]
        else 0.0
        for pair in combinations(legs, 2)
    }
    own = [np.mean([v for pair, v in overlaps.items() if leg in pair]) for leg in legs]
    rest = [np.mean([v for pair, v in overlaps.items() if leg not in pair]) for leg in legs]
    return [float(one) for one in own], [float(one) for one in rest]
