"""Sparse weights as the index keeps them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

_DROPPED_BITS = 15
_HALF = np.uint32(1 << (_DROPPED_BITS - 1))


def stored_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """Round weights to the 9 significant bits that a ``rank_features`` field keeps.

    Lucene cuts a weight's float32 to its upper 17 bits, always downwards. A weight that is
    rounded to the nearest such value before is stored exactly: half the error, and no bias.

    Args:
        weights: token to weight.

    Returns:
        Token to rounded weight, in the same order, without those that are not above zero
        (which the field refuses).

    Source:
        ``FeatureField.java`` of Lucene: ``freq = floatToIntBits(value) >>> 15``.

    Example:
        >>> stored_weights({"paris": 1.7, "the": 0.0, "hotel": 0.7})
        {'paris': 1.69921875, 'hotel': 0.69921875}
    """
    values = np.fromiter(weights.values(), dtype=np.float32, count=len(weights))
    values = np.where(np.isfinite(values), values, np.float32(0))
    bits = (values.view(np.uint32) + _HALF) >> _DROPPED_BITS << _DROPPED_BITS
    rounded = bits.view(np.float32)
    smallest = np.finfo(np.float32).smallest_normal
    return {
        token: float(weight)
        for token, weight, value in zip(weights, rounded, values, strict=True)
        if value > 0 and weight >= smallest
    }
