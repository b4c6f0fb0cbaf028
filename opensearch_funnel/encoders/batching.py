"""Which texts go through a model together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TOKEN_BUDGET = 768
"""Padded tokens of one batch on a CPU: larger ones fall out of its cache."""
GPU_TOKEN_BUDGET = 16_384
"""Padded tokens of one batch on a GPU, which wants a lot to do at once."""


def length_batches(
    lengths: Sequence[int], *, token_budget: int = TOKEN_BUDGET
) -> list[NDArray[np.int64]]:
    """Group texts of similar length, so that little is computed for padding.

    Args:
        lengths: tokens of each text.
        token_budget: the most tokens of one batch, padding counted; a text that is longer goes
            alone.

    Returns:
        Positions of texts, each exactly once, longest texts first.

    Example:
        >>> [batch.tolist() for batch in length_batches([3, 9, 2, 8], token_budget=18)]
        [[1, 3], [0, 2]]
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches, start = [], 0
    while start < order.size:
        longest = max(1, lengths[order[start]])
        end = start + max(1, token_budget // longest)
        batches.append(order[start:end])
        start = end
    return batches
