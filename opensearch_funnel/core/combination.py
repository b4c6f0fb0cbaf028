"""Combine the normalised scores of several legs into one score a document, as the engine does it.

Arrays have one row a document and one column a leg; a leg that did not find a document counts
as 0 there. Arithmetic is in 32-bit floats from the first leg to the last, like the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.normalization import Scores


def arithmetic_mean(scores: Scores, weights: Scores) -> Scores:
    """Return the weighted mean over **all** legs: what a leg did not find counts as 0.

    Example:
        >>> rows = np.array([[1.0, 0.5], [1.0, 0.0]], dtype=np.float32)
        >>> arithmetic_mean(rows, np.array([0.5, 0.5], dtype=np.float32)).tolist()
        [0.75, 0.5]
    """
    return weighted_sum(scores, weights) / _sum(np.broadcast_to(weights, scores.shape))


def geometric_mean(scores: Scores, weights: Scores) -> Scores:
    """Return the weighted geometric mean over the legs that found a document.

    A leg without it is left out, so that one good leg alone can outrank two fair ones.

    Example:
        >>> rows = np.array([[0.25, 1.0], [0.9, 0.0]], dtype=np.float32)
        >>> geometric_mean(rows, np.array([0.5, 0.5], dtype=np.float32)).round(6).tolist()
        [0.5, 0.8999999761581421]
    """
    found = scores > 0
    counted = _sum(np.where(found, weights, np.float32(0)))
    logarithms = np.log(np.where(found, scores, np.float32(1)).astype(np.float64))
    exponent = np.zeros(len(scores), dtype=np.float32)
    for leg, weight in enumerate(weights):
        # Each product is added in 64 bits, and each sum is kept in 32.
        exponent = (exponent + np.float64(weight) * logarithms[:, leg]).astype(np.float32)
    mean = np.exp(_divided(exponent, counted).astype(np.float64)).astype(np.float32)
    return np.where(counted > 0, mean, np.float32(0))


def harmonic_mean(scores: Scores, weights: Scores) -> Scores:
    """Return the weighted harmonic mean over the legs that found a document.

    Example:
        >>> rows = np.array([[1.0, 0.5], [0.5, 0.0]], dtype=np.float32)
        >>> harmonic_mean(rows, np.array([0.5, 0.5], dtype=np.float32)).tolist()
        [0.6666666865348816, 0.5]
    """
    found = scores > 0
    counted = _sum(np.where(found, weights, np.float32(0)))
    harmonics = _sum(np.where(found, weights / np.where(found, scores, np.float32(1)), 0))
    return _divided(counted, harmonics)


def weighted_sum(scores: Scores, weights: Scores) -> Scores:
    """Return the weighted sum: how reciprocal ranks are combined.

    Example:
        >>> rows = np.array([[1.0, 0.5]], dtype=np.float32)
        >>> weighted_sum(rows, np.array([0.5, 0.5], dtype=np.float32)).tolist()
        [0.75]
    """
    return _sum(scores * weights)


COMBINED_BY: dict[str, Callable[[Scores, Scores], Scores]] = {
    "arithmetic_mean": arithmetic_mean,
    "geometric_mean": geometric_mean,
    "harmonic_mean": harmonic_mean,
}
"""The combination techniques, by the engine's names."""


def shares(scores: Scores, weights: Sequence[float]) -> NDArray[np.float64]:
    """Return how much of a document's fused score is due to each leg: rows that add up to 1.

    A leg's share is its weight times its normalised score, over the sum of these. For the
    arithmetic mean and for reciprocal ranks that is what the leg added. The geometric and the
    harmonic mean are no sums: there the same share says which leg pulled more, and is a
    convention of this package. A row of zeros has no shares.

    Example:
        >>> shares(np.array([[1.0, 0.5]], dtype=np.float32), [0.5, 0.5]).round(4).tolist()
        [[0.6667, 0.3333]]
    """
    parts = scores.astype(np.float64) * np.asarray(weights, dtype=np.float64)
    totals = parts.sum(axis=1, keepdims=True)
    divided: NDArray[np.float64] = np.divide(
        parts, totals, out=np.zeros_like(parts), where=totals > 0
    )
    return divided


def _sum(columns: Scores) -> Scores:
    """Add up the columns from left to right, in 32 bits."""
    total = np.zeros(len(columns), dtype=np.float32)
    for leg in range(columns.shape[1]):
        total = total + columns[:, leg].astype(np.float32)
    return total


def _divided(above: Scores, below: Scores) -> Scores:
    """Divide; 0 where there is nothing to divide by."""
    quotient: Scores = np.divide(above, below, out=np.zeros_like(above), where=below > 0)
    return quotient
