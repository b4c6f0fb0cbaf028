"""A checkpoint into one graph: drawn here where that is possible, traced by torch elsewhere."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from opensearch_funnel.core.errors import MissingExtraError, ModelError
from opensearch_funnel.encoders.graph.architecture import is_drawable
from opensearch_funnel.encoders.graph.building import (
    build_graph,
    read_checkpoint,
    save_graph,
    special_tokens,
)
from opensearch_funnel.encoders.graph.foreign import load_self_contained
from opensearch_funnel.encoders.graph.heads import Head
from opensearch_funnel.encoders.manifest import Manifest, Parity
from opensearch_funnel.encoders.packing import Packing, pack, packed_manifest, tokenizer_of
from opensearch_funnel.encoders.session import open_session
from opensearch_funnel.encoders.tokens import TextTokenizer, open_tokenizer
from opensearch_funnel.exporting.by_torch import export_graph
from opensearch_funnel.exporting.parity import TOLERANCE, greatest_difference
from opensearch_funnel.exporting.reference import Reference, family_of, open_reference


def export(checkpoint: Path, folder: Path, packing: Packing) -> Manifest:
    """Write ``model.onnx`` and ``tokenizer.json``, compare them with torch, and describe them.

    The BERT family needs no torch; where torch is not installed its graph is not compared, and
    the manifest has no parity. Every other architecture needs the extra ``export``.

    Args:
        checkpoint: a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``.
        folder: where to; made if it is not there.
        packing: what the model is.

    Returns:
        The manifest, which belongs beside the folder as ``<its name>.toml``.

    Raises:
        ModelError: the checkpoint cannot be read, is of another kind, or its graph is off by more
            than 1e-4; nothing is left then.
        MissingExtraError: the architecture needs torch, which is not installed.
    """
    drawable = is_drawable(family_of(checkpoint))
    head = Head(
        kind=packing.kind,
        pooling=packing.pooling,
        special=special_tokens(tokenizer_of(checkpoint)),
        unit_length=packing.unit_length,
    )
    there = folder.exists()
    try:
        reference = open_reference(checkpoint, head)
    except MissingExtraError:
        if not drawable:
            raise
        return pack(checkpoint, folder, packing)
    try:
        if drawable:
            made = pack(checkpoint, folder, packing)
            exact = build_graph(read_checkpoint(checkpoint), head, precision="fp32")
        else:
            made = _traced(checkpoint, folder, packing, reference=reference)
            exact = load_self_contained(folder / "model.onnx")
        tokenizer = open_tokenizer(folder / "tokenizer.json", max_tokens=packing.max_tokens)
        parity = _compared(exact, reference, tokenizer=tokenizer)
    except BaseException:
        if not there:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    return replace(made, parity=parity)


def _compared(exact: Any, reference: Reference, *, tokenizer: TextTokenizer) -> Parity:
    with TemporaryDirectory(prefix="funnel-parity-") as place:
        path = Path(place) / "exact.onnx"
        save_graph(exact, path)
        off = greatest_difference(open_session(path), reference, tokenizer=tokenizer)
    if not off <= TOLERANCE:
        raise ModelError(f"the graph is off by {off:.1e} from {reference.against}")
    return Parity(against=reference.against, greatest=off)


def _traced(checkpoint: Path, folder: Path, packing: Packing, *, reference: Reference) -> Manifest:
    if packing.precision != "fp32":
        raise ModelError(
            f"a graph that torch traces is fp32; make {packing.precision} of it with:"
            " funnel models quantize"
        )
    folder.mkdir(parents=True, exist_ok=True)
    export_graph(reference, folder / "model.onnx")
    shutil.copyfile(tokenizer_of(checkpoint), folder / "tokenizer.json")
    return packed_manifest(folder, packing, dimension=reference.dimension)
