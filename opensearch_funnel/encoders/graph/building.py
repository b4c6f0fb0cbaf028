"""From a model's files to a graph file that ONNX Runtime opens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from opensearch_funnel.core.errors import MissingExtraError, ModelError
from opensearch_funnel.encoders.fetch import atomic_file
from opensearch_funnel.encoders.graph.architecture import Checkpoint, checkpoint_of
from opensearch_funnel.encoders.graph.body import Sketch, draw_body
from opensearch_funnel.encoders.graph.draft import Draft
from opensearch_funnel.encoders.graph.exported import read_exported
from opensearch_funnel.encoders.graph.foreign import load_self_contained
from opensearch_funnel.encoders.graph.heads import (
    Head,
    draw_score,
    draw_terms,
    draw_token_vectors,
    draw_vector,
)
from opensearch_funnel.encoders.graph.int8 import Int8
from opensearch_funnel.encoders.graph.linear import Float32
from opensearch_funnel.encoders.graph.safetensors import read_safetensors
from opensearch_funnel.encoders.graph.variants import dynamic_int8, halved
from opensearch_funnel.encoders.manifest import PROJECTION, Manifest, Precision
from opensearch_funnel.settings import load_settings

GRAPH_VERSION = 4
"""Grows when the same weights are drawn differently, so that no stale graph is used."""

_TEXTS = (np.int64, ["texts", "tokens"])


def cached_graph(manifest: Manifest, folder: Path, *, precision: Precision) -> Path:
    """Return the graph of a model, building it if this machine has not done so before.

    Args:
        manifest: which model.
        folder: its verified files.
        precision: what to compute in.

    Returns:
        A file in ``FUNNEL_HOME/graphs`` named by the fingerprint, or the model's own ``.onnx``.

    Raises:
        ModelError: the checkpoint cannot be turned into a graph.
        MissingExtraError: ``onnx`` is not installed.
    """
    weights = folder / manifest.weights.name
    is_foreign = weights.suffix == ".onnx" and not manifest.redraw
    if is_foreign and precision in (_own_precision(manifest), "bf16"):
        load_self_contained(weights)
        return weights
    name = f"{manifest.fingerprint(precision)}-v{GRAPH_VERSION}.onnx"
    path = load_settings().home / "graphs" / name
    if not path.is_file():
        model = _foreign(weights, precision) if is_foreign else _drawn(manifest, folder, precision)
        save_graph(model, path)
    return path


def _own_precision(manifest: Manifest) -> Precision:
    """Return what a graph that is used as it is computes in."""
    return "fp32" if "fp32" in manifest.precisions else manifest.precisions[0]


def _foreign(weights: Path, precision: Precision) -> Any:
    if precision == "fp16":
        return halved(load_self_contained(weights))
    return dynamic_int8(weights)


def _drawn(manifest: Manifest, folder: Path, precision: Precision) -> Any:
    weights = folder / manifest.weights.name
    if weights.suffix == ".onnx":
        checkpoint = read_exported(weights)
    else:
        checkpoint = read_checkpoint(folder, weights=weights.name)
    head = Head(
        kind=manifest.kind,
        pooling=manifest.pooling,
        special=special_tokens(folder / "tokenizer.json"),
        unit_length=manifest.unit_length,
    )
    return build_graph(checkpoint, head, precision=precision)


def read_checkpoint(folder: Path, *, weights: str = "model.safetensors") -> Checkpoint:
    """Read a checkpoint as ``transformers`` saves it.

    Args:
        folder: holds ``config.json`` and the weights.
        weights: name of the ``.safetensors`` file.

    Raises:
        ModelError: a file is missing, broken, or of another architecture.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot read config.json of the model: {error}") from error
    tensors = read_safetensors(folder / weights)
    if (folder / PROJECTION).is_file():
        tensors |= read_safetensors(folder / PROJECTION)
    return checkpoint_of(config, tensors)


def special_tokens(tokenizer: Path) -> list[int]:
    """Return the ids of the tokens that stand for no text: padding, separators, unknown.

    Args:
        tokenizer: a ``tokenizer.json``.
    """
    content = json.loads(tokenizer.read_text(encoding="utf-8"))
    return sorted(t["id"] for t in content.get("added_tokens", []) if t.get("special"))


def build_graph(checkpoint: Checkpoint, head: Head, *, precision: Precision) -> Any:
    """Draw the whole graph of a model.

    Inputs are ``input_ids`` and ``attention_mask`` (int64, ``[texts, tokens]``, padded on the
    right), for pairs ``token_type_ids`` too, for terms ``k`` (int64, ``[1]``). Results are
    ``ids`` and ``weights``, ``vectors``, ``scores``, or ``token_vectors``.

    Args:
        checkpoint: the weights.
        head: which head to draw.
        precision: what to multiply in; ``bf16`` is the float32 graph, run by a provider that
            rounds as it multiplies.

    Returns:
        The ``onnx.ModelProto``.

    Raises:
        ModelError: the checkpoint lacks the head that the kind needs.
        MissingExtraError: ``onnx`` is not installed.
    """
    try:
        import onnx  # noqa: F401 - the modules that draw import parts of it
    except ImportError as error:
        raise MissingExtraError("onnx", extra="cpu") from error
    model = _model(checkpoint, head, precision=precision)
    return halved(model) if precision == "fp16" else model


def _model(checkpoint: Checkpoint, head: Head, *, precision: Precision) -> Any:
    inputs: dict[str, Any] = {"input_ids": _TEXTS, "attention_mask": _TEXTS}
    if head.kind == "cross_encoder":
        inputs["token_type_ids"] = _TEXTS
    draft = Draft()
    sketch = Sketch(
        draft=draft,
        checkpoint=checkpoint,
        arithmetic=Int8(draft) if precision == "int8" else Float32(draft),
        ids="input_ids",
        mask="attention_mask",
        types="token_type_ids" if head.kind == "cross_encoder" else None,
    )
    hidden = draw_body(sketch)
    if head.kind == "dense":
        vectors = draw_vector(sketch, hidden, pooling=head.pooling, unit_length=head.unit_length)
        return draft.model(inputs, {"vectors": vectors})
    if head.kind == "token_vectors":
        if checkpoint.projection is None:
            raise ModelError("the checkpoint has no linear.weight: it is no ColBERT model")
        made = draw_token_vectors(sketch, hidden, checkpoint.projection)
        return draft.model(inputs, {"token_vectors": made})
    if head.kind == "cross_encoder":
        if checkpoint.pair_head is None:
            raise ModelError("the checkpoint has no classifier: it is no cross-encoder")
        return draft.model(inputs, {"scores": draw_score(sketch, hidden, checkpoint.pair_head)})
    if checkpoint.vocabulary_head is None:
        raise ModelError("the checkpoint has no vocabulary head: it is no SPLADE model")
    inputs["k"] = (np.int64, ["1"])
    ids, weights = draw_terms(sketch, hidden, checkpoint.vocabulary_head, special=head.special)
    return draft.model(inputs, {"ids": ids, "weights": weights})


def save_graph(model: Any, path: Path) -> None:
    """Write a graph to a file that appears only when it is whole.

    Raises:
        ModelError: the folder cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as stream:
            stream.write(model.SerializeToString())
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror or error}") from error
