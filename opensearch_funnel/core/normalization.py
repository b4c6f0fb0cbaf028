"""Put the raw scores of one leg on a scale that other legs share, as the engine does it.

Each function takes the scores of everything that a leg retrieved, all shards one after the
other, and returns as many. The engine computes in 32-bit floats and adds up from left to right;
so do these, because the last digit decides between documents that are nearly alike. Read from
neural-search 3.6.0 and compared with it on a node (``tests/engine/test_parity.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

SMALLEST = np.float32(0.001)
"""What the engine writes where a document would get nothing: it was found, after all."""
_ONE = np.float32(1.0)
_RANK_DIGITS = 10**10


def min_max(scores: Scores) -> Scores:
    """Stretch scores over 0 to 1.

    The worst hit gets 0.001 and not 0; where all are equal, each gets 1.

    Example:
        >>> min_max(np.array([4.0, 3.0, 2.0], dtype=np.float32)).tolist()
        [1.0, 0.5, 0.0010000000474974513]
        >>> min_max(np.array([7.5], dtype=np.float32)).tolist()
        [1.0]
    """
    if not scores.size:
        return scores
    low, high = scores.min(), scores.max()
    if low == high:
        return np.ones_like(scores)
    stretched: Scores = (scores - low) / (high - low)
    return np.where(stretched == 0, SMALLEST, stretched)


def l2(scores: Scores) -> Scores:
    """Divide scores by the length of the vector that they make; 0 where that length is 0.

    Example:
        >>> l2(np.array([3.0, 4.0], dtype=np.float32)).tolist()
        [0.6000000238418579, 0.800000011920929]
    """
    if not scores.size:
        return scores
    squares = np.add.accumulate(scores * scores, dtype=np.float32)
    length = np.float32(np.sqrt(np.float64(squares[-1])))
    return scores / length if length else np.zeros_like(scores)


def z_score(scores: Scores) -> Scores:
    """Say how many standard deviations each score lies above the mean.

    The engine's own ways, which show in short legs: a score below the mean gets 0.001; one that
    equals the mean gets the **raw** maximum of the leg, so a leg with one hit keeps its raw
    score; without any spread, what is left gets the raw minimum.

    Example:
        >>> z_score(np.array([5.0, 3.0, 1.0], dtype=np.float32)).tolist()
        [1.0, 5.0, 0.0010000000474974513]
        >>> z_score(np.array([12.5], dtype=np.float32)).tolist()
        [12.5]
    """
    if not scores.size:
        return scores
    mean = np.float32(_mean(scores))
    deviation = np.float32(_deviation(scores))
    # Without spread the quotient is not read: dividing by 1 only keeps numpy quiet.
    distance: Scores = (scores - mean) / (deviation or _ONE)
    above = np.where(distance <= 0, SMALLEST, distance)
    spread = above if deviation else np.full_like(scores, scores.min())
    return np.where(scores == mean, scores.max(), spread)


def reciprocal_ranks(ranks: Sequence[int], *, rank_constant: int) -> Scores:
    """Return ``1 / (rank_constant + rank)``, cut to ten decimals as the engine does.

    Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009) adds these up.

    Args:
        ranks: from 1.
        rank_constant: how slowly a rank loses weight; larger is flatter.

    Example:
        >>> [round(float(score), 6) for score in reciprocal_ranks([1, 2], rank_constant=60)]
        [0.016393, 0.016129]
    """
    rounded = [
        (2 * _RANK_DIGITS + below) // (2 * below) / _RANK_DIGITS
        for below in (rank_constant + rank for rank in ranks)
    ]
    return np.array(rounded, dtype=np.float32)


BY_SCORE: dict[str, Callable[[Scores], Scores]] = {
    "auto": min_max,
    "min_max": min_max,
    "l2": l2,
    "z_score": z_score,
}
"""The normalization of each technique that looks at scores and not at ranks."""


def _mean(scores: Scores) -> float:
    """Return the mean in two passes, in 64 bits: the engine's statistics library does so."""
    wide = scores.astype(np.float64)
    rough = _total(wide) / wide.size
    return rough + _total(wide - rough) / wide.size


def _deviation(scores: Scores) -> float:
    """Return the sample standard deviation; 0 for one score."""
    if scores.size == 1:
        return 0.0
    away = scores.astype(np.float64) - _mean(scores)
    variance = (_total(away * away) - _total(away) ** 2 / away.size) / (away.size - 1)
    return float(np.sqrt(variance))


def _total(values: NDArray[np.float64]) -> float:
    """Add up from left to right: ``np.sum`` adds in pairs, and rounds differently."""
    return float(np.add.accumulate(values)[-1])
