"""Matrix products and table look-ups in the precision that a graph is built for.

``int8`` here means: weights in 8 bits with one scale a column, activations in 8 bits with one
scale a token, sums in 32 bits, all the rest in float32. As no scale spans two texts, a text gets
the same numbers alone and in any batch.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.encoders.graph.architecture import Floats, Layer
from opensearch_funnel.encoders.graph.draft import FUSED, Draft, integers

_LARGEST = 127
_LEVELS = 255
# ONNX Runtime's fast kernels take unsigned activations, so zero is in the middle, or low for
# those that hardly ever fall below it: gelu's lowest value is -0.17.
_MIDDLE, _LOW_ZERO = 128, 32
_FLOAT = 1  # onnx.TensorProto.FLOAT


class Arithmetic(Protocol):
    """How a graph multiplies: everything that differs between precisions."""

    def rows(self, draft: Draft, table: Floats, indices: str) -> str:
        """Look rows up: ``[...] -> [..., columns]``."""
        ...

    def product(self, draft: Draft, x: str, weight: Floats, *, one_sided: bool = False) -> str:
        """Multiply ``[texts, tokens, in]`` by a weight ``[in, out]``, without a bias.

        ``one_sided`` says that ``x`` comes from an activation that is hardly ever below zero.
        """
        ...

    def attention(self, draft: Draft, x: str, layer: Layer, *, heads: int, lengths: str) -> str:
        """Attend from each token to the first ``lengths`` tokens of its text."""
        ...

    def best_logits(self, draft: Draft, x: str, weight: Floats, *, chunk: int) -> str:
        """Return the largest product over the tokens of each text.

        ``[texts, tokens, in]`` by ``[in, out]``, then the maximum over tokens: ``[texts, out]``.
        The weight comes first in the product, so that the maximum runs along memory; it is cut
        into parts of ``chunk`` columns, so that the logits of a part stay in the cache.
        """
        ...


class Float32:
    """Single precision: equal to the reference up to rounding."""

    def rows(self, draft: Draft, table: Floats, indices: str) -> str:
        """Look rows up as they are."""
        return draft.node("Gather", draft.constant(table), indices)

    def product(self, draft: Draft, x: str, weight: Floats, *, one_sided: bool = False) -> str:
        """Multiply in float32."""
        del one_sided
        return draft.node("MatMul", x, draft.constant(weight))

    def attention(self, draft: Draft, x: str, layer: Layer, *, heads: int, lengths: str) -> str:
        """Use the fused operator: projections, softmax and weighted sum in one."""
        parts = (layer.query, layer.key, layer.value)
        weight = draft.constant(np.concatenate([p.weight for p in parts], axis=1))
        bias = draft.constant(np.concatenate([p.bias for p in parts]))
        return draft.node("Attention", x, weight, bias, lengths, domain=FUSED, num_heads=heads)

    def best_logits(self, draft: Draft, x: str, weight: Floats, *, chunk: int) -> str:
        """Multiply in float32, part by part."""
        columns = draft.node("Transpose", x, perm=[0, 2, 1])
        last = draft.constant(integers(-1))
        best = []
        for start in range(0, weight.shape[1], chunk):
            part = draft.constant(weight[:, start : start + chunk].T)
            logits = draft.node("MatMul", part, columns)
            best.append(draft.node("ReduceMax", logits, last, keepdims=0))
        return draft.node("Concat", *best, axis=1)


class Quantised(NamedTuple):
    """A table of 8-bit numbers; each row or column times its scale gives the values."""

    values: NDArray[np.int8]
    scales: Floats


def quantise(table: Floats, *, axis: int) -> Quantised:
    """Round a table to 8 bits, symmetrically.

    Args:
        table: two-dimensional.
        axis: the axis that one scale spans: 0 gives a scale a column, 1 a scale a row.

    Returns:
        Values in -127..127 and the scales; an axis of zeros has the scale 1.

    Example:
        >>> values, scales = quantise(np.array([[1.0, -2.0], [0.5, 0.0]], np.float32), axis=1)
        >>> values.tolist(), (scales * 127).tolist()
        ([[64, -127], [127, 0]], [2.0, 0.5])
    """
    scales = np.abs(table).max(axis=axis, keepdims=True) / np.float32(_LARGEST)
    scales = np.where(scales > 0, scales, np.float32(1)).astype(np.float32)
    values = np.rint(table / scales).clip(-_LARGEST, _LARGEST).astype(np.int8)
    return Quantised(values, scales.squeeze(axis))


class _Rounded(NamedTuple):
    """8-bit activations in a graph: ``(values - zero) * scale`` gives the numbers back."""

    values: str
    scale: str
    zero: int


class Int8:
    """Eight-bit weights and activations: about three times as fast, a quarter of the size."""

    def rows(self, draft: Draft, table: Floats, indices: str) -> str:
        """Look 8-bit rows up and scale them."""
        values, scales = quantise(table, axis=1)
        found = draft.node("Gather", draft.constant(values), indices)
        scale = draft.node("Gather", draft.constant(scales[:, None]), indices)
        return draft.node("Mul", draft.node("Cast", found, to=_FLOAT), scale)

    def product(self, draft: Draft, x: str, weight: Floats, *, one_sided: bool = False) -> str:
        """Round each token's activations to 8 bits, multiply, scale back."""
        zero = _LOW_ZERO if one_sided else _MIDDLE
        rounded = self._rounded_tokens(draft, x, width=weight.shape[0], zero=zero)
        return self._scaled_product(draft, rounded, weight)

    def attention(self, draft: Draft, x: str, layer: Layer, *, heads: int, lengths: str) -> str:
        """Project in 8 bits, attend in float32."""
        width = layer.query.weight.shape[0]
        rounded = self._rounded_tokens(draft, x, width=width, zero=_MIDDLE)
        parts = (layer.query, layer.key, layer.value)
        projected = [self._scaled_product(draft, rounded, p.weight) for p in parts]
        bias = draft.constant(np.concatenate([p.bias for p in parts]))
        return draft.node(
            "MultiHeadAttention", *projected, bias, lengths, domain=FUSED, num_heads=heads
        )

    def best_logits(self, draft: Draft, x: str, weight: Floats, *, chunk: int) -> str:
        """Multiply part by part and take the maximum of the 32-bit sums.

        All tokens of a text share one scale here, so the largest sum is the largest logit.
        """
        values, scales = quantise(weight, axis=0)
        columns = draft.node("Transpose", x, perm=[0, 2, 1])
        scale = self._scale(draft, columns, axes=(1, 2), below=_LARGEST, above=_LARGEST)
        rounded = self._rounded(draft, columns, scale, zero=np.int8(0))
        zero, last = draft.constant(np.uint8(_MIDDLE)), draft.constant(integers(-1))
        best = []
        for start in range(0, weight.shape[1], chunk):
            # The first factor must be unsigned for the fast kernels: here that is the weight.
            part = values[:, start : start + chunk].T.astype(np.int16) + _MIDDLE
            sums = draft.node("MatMulInteger", draft.constant(part.astype(np.uint8)), rounded, zero)
            best.append(draft.node("ReduceMax", sums, last, keepdims=0))
        largest = draft.node("Cast", draft.node("Concat", *best, axis=1), to=_FLOAT)
        flat = draft.node("Reshape", scale, draft.constant(integers(-1, 1)))
        return draft.node("Mul", draft.node("Mul", largest, draft.constant(scales)), flat)

    def _rounded_tokens(self, draft: Draft, x: str, *, width: int, zero: int) -> _Rounded:
        """Round ``[texts, tokens, in]`` with one scale a token."""
        scale = self._scale(draft, x, axes=(-1,), below=zero, above=_LEVELS - zero)
        # One scale a token needs tokens on the first axis: both reshapes copy nothing.
        flat = draft.node("Reshape", x, draft.constant(integers(-1, width)))
        rounded = self._rounded(draft, flat, scale, zero=np.uint8(zero))
        return _Rounded(draft.node("Reshape", rounded, draft.node("Shape", x)), scale, zero)

    def _rounded(self, draft: Draft, x: str, scale: str, *, zero: np.uint8 | np.int8) -> str:
        """Round with one scale for each entry of the first axis."""
        scales = draft.node("Reshape", scale, draft.constant(integers(-1)))
        zeros = draft.node(
            "Expand", draft.constant([zero], zero.dtype), draft.node("Shape", scales)
        )
        return draft.node("QuantizeLinear", x, scales, zeros, axis=0)

    def _scale(self, draft: Draft, x: str, *, axes: tuple[int, ...], below: int, above: int) -> str:
        """Return the step that fits all of ``x`` into so many steps below and above zero."""
        over = draft.constant(integers(*axes))
        highest = draft.node("ReduceMax", x, over, keepdims=1)
        lowest = draft.node("ReduceMin", x, over, keepdims=1)
        return draft.node(
            "Max",
            draft.node("Mul", highest, draft.constant(np.float32(1 / above))),
            draft.node("Mul", lowest, draft.constant(np.float32(-1 / below))),
            # Never zero, so that a row of zeros stays one.
            draft.constant(np.float32(1e-9)),
        )

    def _scaled_product(self, draft: Draft, x: _Rounded, weight: Floats) -> str:
        values, scales = quantise(weight, axis=0)
        product = draft.node(
            "MatMulIntegerToFloat",
            x.values,
            draft.constant(values),
            draft.constant(np.float32(1)),
            draft.constant(scales),
            draft.constant(np.uint8(x.zero)),
            domain=FUSED,
        )
        return draft.node("Mul", product, x.scale)
