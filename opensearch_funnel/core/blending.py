"""Mix what rerankers say with the order that they were given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import StageUnavailableError

HALF_AT = 10
"""The place, from 0, at which the order's share is half of the first place's.

A fused score falls fast and then slowly, and so does this. Even steps from 1 to 0 let a reranker
that errs lift a hit from far down: on ``scifact`` claims that no model was trained on they lost up
to 0.022 nDCG@10 more at the same blend (docs/decisions/0012)."""


def stretched(scores: Sequence[float]) -> NDArray[np.float64]:
    """Stretch a reranker's scores over 0 (the worst of them) to 1 (the best).

    Raises:
        StageUnavailableError: a score is not finite.

    Example:
        >>> stretched([-3.0, 5.0, 1.0]).tolist()
        [0.0, 1.0, 0.5]
    """
    given = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(given).all():
        raise StageUnavailableError("the reranker gave a score that is not a number")
    spread = np.ptp(given) if given.size else 0.0
    return (given - given.min()) / spread if spread > 0 else np.ones_like(given)


def order_shares(places: Sequence[int]) -> NDArray[np.float64]:
    """Turn places of an order, from 0, into numbers from 1 down.

    Example:
        >>> order_shares([0, 10]).tolist()
        [1.0, 0.5]
    """
    return HALF_AT / (HALF_AT + np.asarray(places, dtype=np.float64))


def blended(
    opinions: Sequence[Sequence[float]], *, places: Sequence[int], share: float
) -> NDArray[np.float64]:
    """Mix rerankers' scores with the order that hits came in.

    Args:
        opinions: the scores of each reranker, for the same hits; any finite scale. All have the
            same say.
        places: where each hit was before any of them, from 0.
        share: of that order, from 0 (not at all) to 1 (only that).

    Returns:
        Scores between 0 and 1.

    Raises:
        StageUnavailableError: a score is not finite.

    Example:
        >>> blended([[-3.0, 5.0]], places=[0, 10], share=0.0).tolist()
        [0.0, 1.0]
        >>> blended([[-3.0, 5.0]], places=[0, 10], share=1.0).tolist()
        [1.0, 0.5]
        >>> blended([[-3.0, 5.0], [7.0, 6.0]], places=[0, 10], share=0.0).tolist()
        [0.5, 0.5]
    """
    model = np.mean([stretched(scores) for scores in opinions], axis=0)
    mixed: NDArray[np.float64] = (1.0 - share) * model + share * order_shares(places)
    return mixed
