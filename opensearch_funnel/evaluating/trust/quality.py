"""What the ranks of probes say of each leg: whether it works, and how it compares with others.

Two kinds of probes tell two things. Documents that are asked for by their own words tell whether a
leg works at all: one that is broken, stale or of another language does not find them. They do not
tell which leg is the better one, because nobody searches by a document's own words, which flatters
BM25. Titles that are to find the rest of their documents do: on all judged sets where that was
tried, they put the legs in the order in which real queries do.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import fsum

import numpy as np
from numpy.typing import NDArray

Table = NDArray[np.float64]
"""One row a probe, one column a leg."""

LEAST_HEALTH = 0.02
"""What a leg that finds nothing keeps: it may work for queries that no probe is like."""
_HALF_HEALTH = 0.05
"""The mean reciprocal rank at which a leg counts half."""
_PRIOR = 10
"""Probes that all legs answer equally well, added to those that were tried."""
_LEAST_PRIOR = 0.01
"""What these count for at least: where hardly anything is found nothing is told."""
_SPREAD = 0.25
"""How unlike legs are as a rule, in logarithms: differences that are less sure count less."""
_RESAMPLES, _SEED = 200, 1


def health_factor(found: float) -> float:
    """Return what is left of a leg's trust, by how well it finds documents by their own words.

    Args:
        found: mean reciprocal rank of the documents beyond chance, from 0 to 1.

    Example:
        >>> [round(health_factor(one), 2) for one in (0.98, 0.5, 0.002, 0.0)]
        [0.95, 0.91, 0.04, 0.02]
    """
    return max(found / (found + _HALF_HEALTH), LEAST_HEALTH)


def beyond_chance(found: float, *, documents: int) -> float:
    """Return a mean reciprocal rank as it would be of a leg that has no luck.

    In a small index a leg that orders documents at random finds some of them far up.

    Args:
        found: mean reciprocal rank, from 0 to 1.
        documents: of the index.

    Returns:
        0 for what chance gives, 1 for 1.

    Example:
        >>> beyond_chance(0.05, documents=100), beyond_chance(1.0, documents=100)
        (0.0, 1.0)
        >>> round(beyond_chance(0.5, documents=5000), 3)
        0.499
    """
    if documents <= 1:
        return found
    chance = fsum(1 / rank for rank in range(1, documents + 1)) / documents
    return max(found - chance, 0.0) / (1 - chance)


def soundness(health: Sequence[float]) -> tuple[float, ...]:
    """Return how far what titles say of each leg is to be believed, the soundest leg by 1.

    Documents without their title are encoded anew. A leg whose stored fields are broken would
    find such a document among wrong ones, and seem to be the best.

    Args:
        health: mean reciprocal rank of each leg, beyond chance.

    Example:
        >>> [round(one, 2) for one in soundness((0.95, 0.0))]
        [1.0, 0.02]
    """
    factors = [health_factor(found) for found in health]
    return tuple(one / max(factors) for one in factors)


def quality_ratios(values: Table, *, sound: Sequence[float]) -> tuple[float, ...]:
    """Return how much better each leg is than the others, as far as that is sure.

    The ratio of a leg's mean to the others' geometric mean, drawn towards 1 by as much as it
    might be chance (its bootstrap standard error against how unlike legs are as a rule).

    Args:
        values: nDCG of each leg on each probe, ``(probes, legs)``.
        sound: how far each leg's are to be believed (``soundness``).

    Returns:
        One number above 0 a leg; 1 for a leg like the others, or one that is not sound.

    Example:
        >>> few, many = (np.array([[1.0, 0.0], [0.5, 0.5]] * n) for n in (2, 200))
        >>> for some in (few, many):
        ...     print([round(one, 2) for one in quality_ratios(some, sound=(1.0, 1.0))])
        [1.14, 0.88]
        [1.69, 0.59]
        >>> [round(one, 2) for one in quality_ratios(many, sound=(0.02, 1.0))]
        [1.02, 0.98]
    """
    if not len(values):
        return (1.0,) * int(values.shape[1])
    weights = np.asarray(sound, dtype=np.float64)
    logs = _log_ratios(values.sum(axis=0), count=len(values), weights=weights)
    picks = np.random.default_rng(_SEED).integers(len(values), size=(_RESAMPLES, len(values)))
    drawn = _log_ratios(values[picks].sum(axis=1), count=len(values), weights=weights)
    errors = drawn.std(axis=0, ddof=1)
    shrunk = weights * logs * _SPREAD**2 / (_SPREAD**2 + errors**2)
    return tuple(map(float, np.exp(shrunk)))


def trust_of(health: Sequence[float], ratios: Sequence[float]) -> tuple[float, ...]:
    """Return how far each leg is trusted, the most trusted one by 1.

    Args:
        health: mean reciprocal rank of each leg, beyond chance.
        ratios: of each leg (``quality_ratios``).

    Example:
        >>> [round(one, 2) for one in trust_of((0.95, 0.95, 0.0), (1.2, 1.0, 1.0))]
        [1.0, 0.83, 0.02]
    """
    grown = [health_factor(h) * ratio for h, ratio in zip(health, ratios, strict=True)]
    return tuple(one / max(grown) for one in grown)


def _log_ratios(sums: Table, *, count: int, weights: Table) -> Table:
    """Return the logarithm of each leg's mean less the mean of that over the legs.

    Args:
        sums: over the probes, one a leg in the last dimension.
        count: of the probes.
        weights: how much each leg counts in what is said of all.
    """
    middle = np.average(sums, axis=-1, weights=weights)[..., None] / count
    middle = np.maximum(middle, _LEAST_PRIOR)
    logs = np.log((sums + _PRIOR * middle) / (count + _PRIOR))
    centred: Table = logs - np.average(logs, axis=-1, weights=weights)[..., None]
    return centred
