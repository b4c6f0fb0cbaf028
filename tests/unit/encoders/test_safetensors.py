"""The reader takes what the format allows and refuses what points outside the file."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.graph.safetensors import read_safetensors


def write(path: Path, header: Any, body: bytes = b"") -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)
    return path


def tensor(kind: str, shape: list[int], offsets: list[int]) -> dict[str, Any]:
    return {"dtype": kind, "shape": shape, "data_offsets": offsets}


def test_values_and_shapes_come_back(tmp_path: Path) -> None:
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    header = {"__metadata__": {"a": "b"}, "w": tensor("F32", [2, 3], [0, 24])}
    read = read_safetensors(write(tmp_path / "m.safetensors", header, values.tobytes()))
    assert list(read) == ["w"]
    np.testing.assert_array_equal(read["w"], values)


@pytest.mark.parametrize(("kind", "dtype"), [("F16", np.float16), ("BF16", None)])
def test_half_precision_is_widened(tmp_path: Path, kind: str, dtype: Any) -> None:
    values = np.array([1.0, -2.5, 0.15625], dtype=np.float32)
    if dtype is None:
        body = (values.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    else:
        body = values.astype(dtype).tobytes()
    header = {"w": tensor(kind, [3], [0, 6])}
    read = read_safetensors(write(tmp_path / "m.safetensors", header, body))
    assert read["w"].dtype == np.float32
    np.testing.assert_array_equal(read["w"], values)


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"[]",
        {"w": tensor("F32", [2], [0, 80])},
        {"w": tensor("F32", [3], [0, 8])},
        {"w": tensor("F32", [-2], [0, 8])},
        {"w": tensor("F32", [2], [-8, 0])},
        {"w": tensor("F32", [2**62, 2**62], [0, 8])},
        {"w": tensor("F32", [2.0], [0, 8])},  # type: ignore[list-item]
        {"w": tensor("PY", [2], [0, 8])},
        {"w": {"shape": [2]}},
        {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0]}},
        {"w": 3},
    ],
    ids=str,
)
def test_a_header_that_lies_is_refused(tmp_path: Path, header: Any) -> None:
    path = write(tmp_path / "m.safetensors", header, bytes(8))
    with pytest.raises(ModelError, match=r"m\.safetensors is not a valid safetensors file"):
        read_safetensors(path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        (2**63).to_bytes(8, "little") + b"{}",
        (1000).to_bytes(8, "little") + b"{}",
        pickle.dumps({"w": [1.0]}),
    ],
    ids=["empty", "one byte", "endless header", "truncated header", "pickle"],
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError):
        read_safetensors(path)


def test_a_missing_file_is_a_model_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        read_safetensors(tmp_path / "none.safetensors")
