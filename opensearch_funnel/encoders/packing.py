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
from opensearch_funnel.encoders.graph.heads import Head
from opensearch_funnel.encoders.manifest import (
    Kind,
    Manifest,
    ModelFile,
    Pooling,
    Precision,
    Source,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What a packed model is."""

    kind: Kind
    pooling: Pooling
    precision: Precision
    max_tokens: int
    licence: str
    query_prefix: str = ""
    document_prefix: str = ""
    unit_length: bool = True


def pack(checkpoint: Path, folder: Path, packing: Packing) -> Manifest:
    """Write ``model.onnx`` and ``tokenizer.json``; needs neither torch nor a model runtime.

    Args:
        checkpoint: a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``.
        folder: where to; made if it is not there.
        packing: which head the graph gets, and what it multiplies in: ``int8`` makes a file of
            a quarter of the size.

    Returns:
        The manifest, which belongs beside the folder as ``<its name>.toml``.

    Raises:
        ModelError: the checkpoint cannot be read or is of another kind; nothing is written then.
        MissingExtraError: ``onnx`` is not installed.
    """
    tokenizer = tokenizer_of(checkpoint)
    weights = read_checkpoint(checkpoint)
    head = Head(
        kind=packing.kind,
        pooling=packing.pooling,
        special=special_tokens(tokenizer),
        unit_length=packing.unit_length,
    )
    save_graph(build_graph(weights, head, precision=packing.precision), folder / "model.onnx")
    with atomic_file(folder / "tokenizer.json") as stream:
        stream.write(tokenizer.read_bytes())
    return packed_manifest(folder, packing, dimension=_dimension(weights, packing.kind))


def tokenizer_of(checkpoint: Path) -> Path:
    """Return the tokenizer of a checkpoint.

    Raises:
        ModelError: there is none.
    """
    tokenizer = checkpoint / "tokenizer.json"
    if not tokenizer.is_file():
        raise ModelError(f"{checkpoint} has no tokenizer.json")
    return tokenizer


def _dimension(checkpoint: Checkpoint, kind: Kind) -> int:
    if kind == "cross_encoder":
        return 1
    if kind == "dense":
        return checkpoint.architecture.hidden
    if kind == "token_vectors" and checkpoint.projection is not None:
        return int(checkpoint.projection.shape[1])
    return len(checkpoint.word)


def packed_manifest(folder: Path, packing: Packing, *, dimension: int) -> Manifest:
    """Describe a folder with ``model.onnx`` and ``tokenizer.json``."""
    files = [folder / name for name in ("model.onnx", "tokenizer.json")]
    return Manifest(
        name=folder.name,
        kind=packing.kind,
        pooling=packing.pooling,
        query_prefix=packing.query_prefix,
        document_prefix=packing.document_prefix,
        max_tokens=packing.max_tokens,
        dimension=dimension,
        licence=packing.licence,
        precisions=(packing.precision,),
        unit_length=packing.unit_length,
        files=tuple(
            ModelFile(name=path.name, sha256=sha256_of(path), size=path.stat().st_size)
            for path in files
        ),
        sources=(Source(kind="folder", address=folder.name, entries={}),),
        folder=folder.parent,
    )
