"""Whether a difference between two systems is more than the luck of the queries that were drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from opensearch_funnel.evaluating.measures import Values

SAMPLES = 20_000
"""How many patterns of signs are drawn; one in 20,000 is the smallest p that can come out."""
EXACT_UP_TO = 14
"""With so many queries that differ, all 2^n patterns are tried."""
_CHUNK_VALUES = 4_000_000
_SEED = 20_241_122
# Equal rankings give equal values; what is closer than this differs by rounding only.
_TIE = 1e-9


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How many queries one system won, tied and lost against another."""

    wins: int
    ties: int
    losses: int

    @property
    def changed(self) -> float:
        """The share of queries that are no tie; 0 for no queries."""
        every = self.wins + self.ties + self.losses
        return (self.wins + self.losses) / every if every else 0.0

    def __str__(self) -> str:
        return f"{self.wins}/{self.ties}/{self.losses}"


def outcomes(differences: Values) -> Outcomes:
    """Count wins, ties and losses.

    Args:
        differences: of each query, the system's value minus that of the reference.

    Example:
        >>> found = outcomes({"q1": 0.5, "q2": 0.0, "q3": -0.1, "q4": 0.2})
        >>> str(found), found.changed
        ('2/1/1', 0.75)
    """
    wins = sum(difference > _TIE for difference in differences.values())
    losses = sum(difference < -_TIE for difference in differences.values())
    return Outcomes(wins, len(differences) - wins - losses, losses)


def randomisation_p(differences: Values, *, samples: int = SAMPLES, seed: int = _SEED) -> float:
    """Return how often chance alone makes a mean difference at least this large, either way.

    If two systems were the same, either of a query's two values could have been either's: the sign
    of each difference is flipped at random (Fisher's paired randomisation test; Smucker, Allan and
    Carterette, CIKM 2007). With few queries that differ all patterns are tried, and p is exact;
    otherwise patterns are drawn, and the one that was measured counts as one more. Seeded: the
    same values always give the same p.

    Args:
        differences: of each query, the system's value minus that of the reference.
        samples: how many patterns to draw.
        seed: of the draws.

    Returns:
        The two-sided p; 1 where no query differs.

    Example:
        >>> randomisation_p({"q1": 0.5, "q2": 0.25})  # the same or more in 2 of 4 patterns
        0.5
        >>> randomisation_p({"q1": 0.0})
        1.0
    """
    ordered = np.asarray([differences[query_id] for query_id in sorted(differences)], np.float64)
    # A zero stays zero whatever its sign.
    each = ordered[np.abs(ordered) > _TIE]
    if not len(each):
        return 1.0
    # Sums of the same numbers in another order differ in their last digits: that is a tie.
    measured = abs(float(each.sum())) - 1e-12 * float(np.abs(each).sum())
    if len(each) <= EXACT_UP_TO:
        patterns = np.arange(2 ** len(each))[:, None] >> np.arange(len(each)) & 1
        return float(np.mean(np.abs(_flipped_sums(each, patterns)) >= measured))
    rng = np.random.default_rng(seed)
    chunk = max(1, _CHUNK_VALUES // len(each))
    starts = [*range(0, samples, chunk), samples]
    as_large = sum(
        int(
            np.count_nonzero(
                np.abs(_flipped_sums(each, _drawn(rng, end - start, len(each)))) >= measured
            )
        )
        for start, end in pairwise(starts)
    )
    return (as_large + 1) / (samples + 1)


def cohens_d(differences: Values) -> float | None:
    """Return the mean difference in units of the differences' own standard deviation.

    Args:
        differences: of each query, the system's value minus that of the reference.

    Returns:
        Cohen's d of paired values; 0 where no query differs, ``None`` where it has no value: for
        one query, or where every query differs by the same.

    Example:
        >>> cohens_d({"q1": 0.0, "q2": 1.0, "q3": 2.0}), cohens_d({"q1": 1.0})
        (1.0, None)
    """
    each = np.asarray(list(differences.values()), np.float64)
    if not np.any(np.abs(each) > _TIE):
        return 0.0
    deviation = float(np.std(each, ddof=1)) if len(each) > 1 else 0.0
    return float(np.mean(each)) / deviation if deviation > _TIE else None


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p values for having looked several times (Holm, 1979; no assumption on dependence).

    Args:
        p_values: of every test whose outcome is looked at.

    Returns:
        The corrected p of each: below 0.05, the chance of even one false discovery among all
        tests is below 0.05.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda one: p_values[one])):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def _drawn(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    return rng.integers(2, size=(rows, columns), dtype=np.int8)


def _flipped_sums(each: np.ndarray, flips: np.ndarray) -> np.ndarray:
    """Return the sum of the values for each row of flips, where 1 turns a sign round."""
    sums: np.ndarray = each.sum() - 2.0 * (flips @ each)
    return sums
