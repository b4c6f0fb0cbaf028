"""Mix a reranker's opinion with the order that it was given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import StageUnavailableError


def blended(scores: Sequence[float], *, share: float) -> NDArray[np.float64]:
    """Mix a reranker's scores with the order that it was given.

    Args:
        scores: the reranker's, for hits in fused order; any finite scale.
        share: of the fused order, from 0 (not at all) to 1 (only that).

    Returns:
        Scores between 0 and 1: the reranker's stretched over that range, the fused order as
        even steps.

    Raises:
        StageUnavailableError: a score is not finite.

    Example:
        >>> blended([-3.0, 5.0], share=0.0).tolist()
        [0.0, 1.0]
        >>> blended([-3.0, 5.0], share=1.0).tolist()
        [1.0, 0.5]
    """
    given = np.asarray(scores, dtype=np.float64)
    if not np.isfinite(given).all():
        raise StageUnavailableError("the reranker gave a score that is not a number")
    spread = np.ptp(given) if given.size else 0.0
    model = (given - given.min()) / spread if spread > 0 else np.ones_like(given)
    steps = 1.0 - np.arange(given.size) / max(given.size, 1)
    return (1.0 - share) * model + share * steps
