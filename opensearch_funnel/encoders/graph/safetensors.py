"""Read ``.safetensors``: a length, a JSON header, then raw little-endian arrays."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import ModelError

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype("<u2"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
}
_LENGTH = 8
_LARGEST_HEADER = 100 << 20


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Read every tensor of a file.

    Half precision (F16, BF16) is widened to float32. Nothing in the format can run code; what
    could go wrong is a header that points outside the file, so every bound is checked.

    Args:
        path: a ``.safetensors`` file.

    Returns:
        Name to array, in the shapes of the file.

    Raises:
        ModelError: the file is truncated or its header is wrong.

    Source:
        The format's description in the ``safetensors`` project.
    """
    try:
        return _read(np.memmap(path, dtype=np.uint8, mode="r"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path.name} is not a valid safetensors file: {error}") from error


def _read(content: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
    if content.size < _LENGTH:
        raise ValueError("too short")
    length = int.from_bytes(content[:_LENGTH].tobytes(), "little")
    if length > min(_LARGEST_HEADER, content.size - _LENGTH):
        raise ValueError("the header is longer than the file")
    header = json.loads(content[_LENGTH : _LENGTH + length].tobytes().decode())
    body = content[_LENGTH + length :]
    header.pop("__metadata__", None)
    return {name: _tensor(body, name=name, entry=entry) for name, entry in header.items()}


def _tensor(body: NDArray[np.uint8], *, name: str, entry: dict[str, Any]) -> NDArray[Any]:
    kind, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _DTYPES:
        raise ValueError(f"tensor {name} has the unknown type {kind}")
    if any(not isinstance(n, int) or n < 0 for n in (*shape, start, end)):
        raise ValueError(f"tensor {name} has a negative or broken size")
    # math.prod has no overflow: huge dimensions cannot wrap round to a small size.
    if end > body.size or end - start != math.prod(shape) * _DTYPES[kind].itemsize:
        raise ValueError(f"tensor {name} lies outside the file")
    # A copy, as offsets need not be aligned.
    values = np.frombuffer(body[start:end].tobytes(), dtype=_DTYPES[kind]).reshape(shape)
    if kind == "BF16":
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32) if kind == "F16" else values
