"""Fuse the legs of a case by given weights, and measure what comes out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.fusion_study.cases import CUT, DISCOUNTS, Case
from benchmarks.fusion_study.found import LEGS
from benchmarks.fusion_study.signals import Floats

_RANK_CONSTANT = 60.0
_BELOW_ALL = -1.0


def fused(case: Case, weights: Floats | Sequence[float]) -> Floats:
    """Return nDCG@10 of each query, fused by min-max.

    Args:
        case: the queries.
        weights: of each leg, ``(queries, legs)``, or the same ones for all queries.
    """
    shares = np.broadcast_to(np.asarray(weights, dtype=np.float32), (len(case.ideal), len(LEGS)))
    return _ndcg(case, np.einsum("qdl,ql->qd", case.normalized, shares))


def reciprocal(case: Case) -> Floats:
    """Return nDCG@10 of each query, fused by reciprocal ranks, all legs alike."""
    return _ndcg(case, (1.0 / (_RANK_CONSTANT + case.ranks)).sum(axis=2))


def alone(case: Case, leg: str) -> Floats:
    """Return nDCG@10 of each query by one leg."""
    ranks = case.ranks[:, :, LEGS.index(leg)]
    return _ndcg(case, np.where(np.isfinite(ranks), 1.0 / ranks, _BELOW_ALL))


def best_mix(case: Case, *, steps: int = 4) -> Floats:
    """Return the best nDCG@10 that any mix of the legs has, each query with its own mix.

    Args:
        case: the queries.
        steps: weights are multiples of one part of so many.
    """
    mixes = [
        (one, other, steps - one - other)
        for one in range(steps + 1)
        for other in range(steps + 1 - one)
    ]
    best: Floats = np.max([fused(case, [part / steps for part in mix]) for mix in mixes], axis=0)
    return best


def _ndcg(case: Case, scores: NDArray[np.floating]) -> Floats:
    # A document that nobody found, or that only an unasked leg did, comes last.
    ranked = np.where(case.found, scores, _BELOW_ALL)
    best = np.argsort(-ranked, axis=1, kind="stable")[:, :CUT]
    gains = np.take_along_axis(case.gains, best, axis=1)
    gains = np.where(np.take_along_axis(ranked, best, axis=1) > _BELOW_ALL, gains, 0.0)
    reached: Floats = gains.astype(np.float64) @ DISCOUNTS[: gains.shape[1]]
    return np.asarray(reached / case.ideal)
