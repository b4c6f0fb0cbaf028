"""Refuse a graph file that would read other files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import MissingExtraError, ModelError


def load_self_contained(path: Path) -> Any:
    """Read an ``.onnx`` file whose weights are all inside it.

    A graph may name other files as the home of its weights, by any path: such a one is refused,
    wherever in it the name is.

    Args:
        path: the file.

    Returns:
        The ``onnx.ModelProto``.

    Raises:
        ModelError: the file is no ONNX model, or keeps weights elsewhere.
        MissingExtraError: ``onnx`` is not installed.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingExtraError("onnx", extra="cpu") from error
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's errors have no common class
        raise ModelError(f"{path.name} is not a readable ONNX file: {error}") from error
    bodies = [model.graph, *model.functions]
    if any(t.data_location == onnx.TensorProto.EXTERNAL for b in bodies for t in _tensors(b)):
        raise ModelError(f"{path.name} keeps weights in other files: use a graph that has them all")
    return model


def _tensors(body: Any) -> Iterator[Any]:
    """Go through every tensor of a graph or function, those of inner graphs included."""
    yield from getattr(body, "initializer", ())
    for sparse in getattr(body, "sparse_initializer", ()):
        yield from (sparse.values, sparse.indices)
    for node in body.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
                yield from (sparse.values, sparse.indices)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
