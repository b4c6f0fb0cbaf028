"""The score that the engine gives a vector: by a field's space type, always above 0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import InputError

_DEFAULT = "l2"
_KNOWN = ("innerproduct", "cosinesimil", "l2")


def vector_score(
    query: NDArray[np.float32], document: NDArray[np.float32], *, space_type: str
) -> float:
    """Return what a document's vector scores for a query's.

    Args:
        query: ``(dimension,)``.
        document: ``(dimension,)``.
        space_type: of the field (``space_type_of``).

    Raises:
        InputError: no field of the funnel has such a type.

    Source:
        ``KNNVectorSimilarityFunction`` and ``SpaceType.scoreTranslation`` of the k-NN plugin.

    Example:
        >>> one, other = np.float32([1, 0]), np.float32([0.6, 0.8])
        >>> for space in ("innerproduct", "cosinesimil", "l2"):
        ...     print(round(vector_score(one, other, space_type=space), 4))
        1.6
        0.8
        0.5556
        >>> vector_score(one, -one, space_type="innerproduct")
        0.5
    """
    one, other = query.astype(np.float64), document.astype(np.float64)
    product = float(one @ other)
    if space_type == "innerproduct":
        return 1 + product if product >= 0 else 1 / (1 - product)
    if space_type == "cosinesimil":
        lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
        return (1 + product / lengths) / 2 if lengths > 0 else 0.0
    if space_type == "l2":
        return float(1 / (1 + np.sum((one - other) ** 2)))
    raise InputError(f"no space type {space_type!r}; there are: {', '.join(_KNOWN)}")


def space_type_of(mapping: Mapping[str, Any], *, field: str) -> str:
    """Return the space type of a vector field.

    Args:
        mapping: of the index.
        field: its name, with dots.

    Example:
        >>> method = {"type": "knn_vector", "method": {"space_type": "cosinesimil"}}
        >>> mapping = {"properties": {"funnel": {"properties": {"dense_a": method}}}}
        >>> space_type_of(mapping, field="funnel.dense_a")
        'cosinesimil'
    """
    found: Mapping[str, Any] = mapping
    for part in field.split("."):
        found = found.get("properties", {}).get(part, {})
    said = found.get("space_type") or found.get("method", {}).get("space_type")
    return str(said or _DEFAULT)
