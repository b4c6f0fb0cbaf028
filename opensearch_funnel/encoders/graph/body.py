"""The part that all kinds of model share: embeddings and encoder layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opensearch_funnel.encoders.graph.architecture import Affine, Checkpoint, Floats
from opensearch_funnel.encoders.graph.draft import FUSED, Draft, integers
from opensearch_funnel.encoders.graph.linear import Arithmetic

_INT32 = 6  # onnx.TensorProto.INT32, without importing onnx with this module


@dataclass(frozen=True, slots=True, kw_only=True)
class Sketch:
    """A graph on its way: what is drawn, from which weights, how it multiplies, its inputs."""

    draft: Draft
    checkpoint: Checkpoint
    arithmetic: Arithmetic
    ids: str
    """Token ids, ``[texts, tokens]``, padded on the right."""
    mask: str
    """``[texts, tokens]``, 1 for a token and 0 for padding."""
    types: str | None
    """Token types, ``[texts, tokens]``; ``None`` where every token is of type 0."""


def draw_body(sketch: Sketch) -> str:
    """Draw embeddings and layers.

    Returns:
        The last hidden state, ``[texts, tokens, hidden]``; rows of padding hold nothing of use.
    """
    draft, arithmetic = sketch.draft, sketch.arithmetic
    x = _embeddings(sketch)
    counts = draft.node("ReduceSum", sketch.mask, draft.constant(integers(1)), keepdims=0)
    lengths = draft.node("Cast", counts, to=_INT32)
    heads = sketch.checkpoint.architecture.heads
    # What the layers write into a channel says how large it may get.
    writes = [layer.output.weight for layer in sketch.checkpoint.layers]
    reach = np.max([np.abs(w).max(axis=0) for w in writes], axis=0)
    for layer in sketch.checkpoint.layers:
        mixed = arithmetic.attention(x, layer, heads=heads, lengths=lengths, reach=reach)
        x = _add_and_norm(
            sketch, mixed, x, bias=layer.attention_output.bias, norm=layer.attention_norm
        )
        narrow = arithmetic.feed_forward(
            x, layer, reach=reach, activate=lambda wide, bias: draw_activation(sketch, wide, bias)
        )
        x = _add_and_norm(sketch, narrow, x, bias=layer.output.bias, norm=layer.output_norm)
    return x


def draw_activation(sketch: Sketch, x: str, bias: Floats) -> str:
    """Add the bias and apply the model's activation; ``gelu`` is the exact one, with erf."""
    draft, activation = sketch.draft, sketch.checkpoint.architecture.activation
    if activation == "gelu":
        return draft.node("BiasGelu", x, draft.constant(bias), domain=FUSED)
    if activation == "relu":
        return draft.node("Relu", draft.node("Add", x, draft.constant(bias)))
    return draft.node("FastGelu", x, draft.constant(bias), domain=FUSED)


def draw_norm(sketch: Sketch, x: str, norm: Affine) -> str:
    """Normalise the last axis."""
    return sketch.draft.node(
        "LayerNormalization",
        x,
        sketch.draft.constant(norm.weight),
        sketch.draft.constant(norm.bias),
        axis=-1,
        epsilon=sketch.checkpoint.architecture.epsilon,
    )


def _embeddings(sketch: Sketch) -> str:
    draft, checkpoint = sketch.draft, sketch.checkpoint
    words = sketch.arithmetic.rows(checkpoint.word, sketch.ids)
    position = checkpoint.position
    if sketch.types is None:
        # All tokens are of type 0: its row is added to every position once, here.
        position = position + checkpoint.types[0]
    else:
        kinds = draft.node("Gather", draft.constant(checkpoint.types), sketch.types)
        words = draft.node("Add", words, kinds)
    end = draft.node("Shape", sketch.ids, start=1, end=2)
    start, axis = draft.constant(integers(0)), draft.constant(integers(0))
    positions = draft.node("Slice", draft.constant(position), start, end, axis)
    return _add_and_norm(sketch, words, positions, bias=None, norm=checkpoint.norm)


def _add_and_norm(sketch: Sketch, x: str, skip: str, *, bias: Floats | None, norm: Affine) -> str:
    # Plain operators: the fused one, SkipLayerNormalization, takes three times as long on a CPU.
    if bias is not None:
        x = sketch.draft.node("Add", x, sketch.draft.constant(bias))
    return draw_norm(sketch, sketch.draft.node("Add", x, skip), norm)
