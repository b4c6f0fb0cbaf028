"""How far two rankings of the same thing agree, without judgments."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from opensearch_funnel.core.errors import InvalidRankingError


def overlap_at(first: Sequence[str], second: Sequence[str], *, k: int) -> float:
    """Return the share of the first ``k`` that both rankings have, whatever the order.

    Where both are shorter than ``k``, the longer one's length counts. Two empty rankings agree.

    Args:
        first: ids, best first.
        second: ids, best first.
        k: how many of each are looked at.

    Returns:
        From 0 to 1.

    Example:
        >>> overlap_at(["a", "b", "c"], ["c", "a", "x"], k=2)
        0.5
    """
    one, other = set(first[:k]), set(second[:k])
    longest = max(len(one), len(other))
    return len(one & other) / longest if longest else 1.0


def rank_biased_overlap(
    first: Sequence[str], second: Sequence[str], *, persistence: float = 0.9
) -> float:
    """Return the extrapolated rank-biased overlap: agreement that weighs the first ranks most.

    A reader goes on from one rank to the next with the probability ``persistence``; with 0.9 the
    first ten ranks have 86 % of the weight. What is behind the end of the rankings is taken to
    agree as much as what was seen. Two empty rankings agree.

    Webber, Moffat and Zobel, "A similarity measure for indefinite rankings", ACM TOIS 28 (2010),
    equation 32.

    Args:
        first: ids, best first, none twice.
        second: ids, best first, none twice; may have another length.
        persistence: above 0 and below 1.

    Returns:
        From 0 (nothing in common) to 1 (the same).

    Raises:
        InvalidRankingError: an id is in a ranking twice.

    Example:
        >>> round(rank_biased_overlap(["a", "b", "c"], ["a", "c", "b"]), 3)
        0.955
    """
    short, long = sorted((first, second), key=len)
    if len(set(short)) < len(short) or len(set(long)) < len(long):
        raise InvalidRankingError("an id is in a ranking twice: its agreement is not defined")
    if not long:
        return 1.0
    if not short:
        return 0.0
    p = persistence
    shared = _shared_at_each_depth(short, long)
    s, end = len(short), len(long)
    at_s, at_end = shared[s - 1], shared[end - 1]
    seen = sum(shared[d - 1] / d * p**d for d in range(1, end + 1))
    # What the short one might have had at the ranks that only the long one has.
    unseen = sum(at_s * (d - s) / (s * d) * p**d for d in range(s + 1, end + 1))
    behind = ((at_end - at_s) / end + at_s / s) * p**end
    return min(1.0, (1 - p) / p * (seen + unseen) + behind)


def _shared_at_each_depth(short: Sequence[str], long: Sequence[str]) -> list[int]:
    """Count what the first 1, 2, … of both have in common."""
    one: set[str] = set()
    other: set[str] = set()
    shared, counts = 0, []
    for new, also in zip_longest(short, long):
        if new == also:
            shared += 1
        else:
            shared += (new in other) + (also in one)
        one.add(new)
        other.add(also)
        counts.append(shared)
    return counts
