"""A trained checkpoint into what is shipped: a graph, its tokenizer, and their manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.fetch import atomic_file, sha256_of
from opensearch_funnel.encoders.graph.architecture import Checkpoint
from opensearch_funnel.encoders.graph.building import (
    build_graph,
    read_checkpoint,
    save_graph,
    special_tokens,
)
from opensearch_funnel.encoders.manifests import Kind, Pooling, Precision

POOLINGS: dict[Kind, Pooling] = {"splade": "max", "dense": "mean", "cross_encoder": "pair"}
"""How each kind pools unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What a packed model is."""

    kind: Kind
    pooling: Pooling
    precision: Precision
    max_tokens: int
    licence: str


def pack(checkpoint: Path, folder: Path, packing: Packing) -> str:
    """Write ``model.onnx`` and ``tokenizer.json``; needs neither torch nor a model runtime.

    Args:
        checkpoint: a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``.
        folder: where to; made if it is not there.
        packing: which head the graph gets, and what it multiplies in: ``int8`` makes a file of
            a quarter of the size.

    Returns:
        The content of the manifest ``<folder's name>.toml``, which belongs beside the folder.

    Raises:
        ModelError: the checkpoint cannot be read or is of another kind; nothing is written then.
        MissingExtraError: ``onnx`` is not installed.
    """
    tokenizer = checkpoint / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelError(f"{checkpoint} has no tokenizer.json")
    weights = read_checkpoint(checkpoint)
    graph = build_graph(
        weights,
        kind=packing.kind,
        pooling=packing.pooling,
        precision=packing.precision,
        special=special_tokens(tokenizer),
    )
    save_graph(graph, folder / "model.onnx")
    with atomic_file(folder / "tokenizer.json") as stream:
        stream.write(tokenizer.read_bytes())
    return _manifest(folder, packing, dimension=_dimension(weights, packing.kind))


def _dimension(checkpoint: Checkpoint, kind: Kind) -> int:
    if kind == "cross_encoder":
        return 1
    if kind == "dense":
        return checkpoint.architecture.hidden
    return len(checkpoint.word)


def _manifest(folder: Path, packing: Packing, *, dimension: int) -> str:
    lines = [
        f'kind = "{packing.kind}"',
        f'pooling = "{packing.pooling}"',
        f"max_tokens = {packing.max_tokens}",
        f"dimension = {dimension}",
        f'licence = "{packing.licence}"',
        f'precisions = ["{packing.precision}"]',
    ]
    for name in ("model.onnx", "tokenizer.json"):
        path = folder / name
        lines += ["", "[[files]]", f'name = "{name}"', f'sha256 = "{sha256_of(path)}"']
        lines.append(f"size = {path.stat().st_size}")
    lines += ["", "[[sources]]", 'kind = "folder"', f'address = "{folder.name}"', ""]
    return "\n".join(lines)
