"""Matrix products in 8 bits.

Weights have 8 bits with one scale a column, activations 8 bits with one scale a token; sums have
32 bits, all the rest is float32. As no scale spans two texts, a text gets the same numbers alone
and in any batch.

A few channels of a BERT hold values ten times as large as all others. They would take nearly all
of a token's 8 bits, so they are split into equal parts, each multiplied by the same weights (Zhao
et al., outlier channel splitting, ICML 2019). Which ones these are is seen in the weights: the
large entries of what the layers write back. No data is needed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.encoders.graph.architecture import Floats, Layer
from opensearch_funnel.encoders.graph.draft import FUSED, Draft, integers
from opensearch_funnel.encoders.graph.linear import Activate

_LARGEST = 127
_LEVELS = 255
# ONNX Runtime's fast kernels take unsigned activations, so zero is in the middle, or low after
# an activation function: none of those in use falls below -0.17.
_MIDDLE, _LOW_ZERO, _LOWEST_ACTIVE = 128, 32, -0.17
_FLOAT = 1  # onnx.TensorProto.FLOAT


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


class Split(NamedTuple):
    """Which channels are held in several equal parts."""

    order: NDArray[np.int64]
    """The channel of each column: all of them, then the further parts of those that are split."""
    shares: Floats
    """What each column holds of its channel: 1, or one part of it."""

    @property
    def again(self) -> NDArray[np.int64]:
        """The channels of the further parts."""
        return self.order[self.order.max() + 1 :]


def split_channels(reach: Floats) -> Split:
    """Choose the channels to split, by how far they stand out.

    Args:
        reach: how large each channel may get, in any unit.

    Example:
        >>> split = split_channels(np.array([1, 1, 4, 1, 1], np.float32))
        >>> split.order.tolist(), split.shares.tolist()
        ([0, 1, 2, 3, 4, 2, 2, 2], [1.0, 1.0, 0.25, 1.0, 1.0, 0.25, 0.25, 0.25])
    """
    times = reach / max(float(np.median(reach)), 1e-9)
    parts = np.select([times >= 8, times >= 3], [8, 4], 1)  # noqa: PLR2004 - the whole rule
    channels = np.arange(parts.size, dtype=np.int64)
    order = np.concatenate([channels, np.repeat(channels, parts - 1)])
    return Split(order, (1 / parts[order]).astype(np.float32))


class _Rounded(NamedTuple):
    """8-bit activations in a graph: ``(values - zero) * scale`` gives the numbers back."""

    values: str
    scale: str
    zero: int


@dataclass(frozen=True, slots=True)
class Int8:
    """Eight-bit weights and activations: two to three times as fast, a quarter of the size."""

    draft: Draft

    def rows(self, table: Floats, indices: str) -> str:
        """Look 8-bit rows up and scale them."""
        values, scales = quantise(table, axis=1)
        found = self.draft.node("Gather", self.draft.constant(values), indices)
        scale = self.draft.node("Gather", self.draft.constant(scales[:, None]), indices)
        return self.draft.node("Mul", self.draft.node("Cast", found, to=_FLOAT), scale)

    def attention(self, x: str, layer: Layer, *, heads: int, lengths: str, reach: Floats) -> str:
        """Project in 8 bits, attend in float32."""
        split = split_channels(reach)
        rounded = self._round_tokens(self._in_parts(x, split), width=split.order.size)
        parts = (layer.query, layer.key, layer.value)
        projected = [self._product(rounded, p.weight[split.order]) for p in parts]
        bias = self.draft.constant(np.concatenate([p.bias for p in parts]))
        mixed = self.draft.node(
            "MultiHeadAttention", *projected, bias, lengths, domain=FUSED, num_heads=heads
        )
        output = layer.attention_output.weight
        return self._product(self._round_tokens(mixed, width=output.shape[0]), output)

    def feed_forward(self, x: str, layer: Layer, *, reach: Floats, activate: Activate) -> str:
        """Multiply twice; the wide part comes out of the first product already in parts."""
        split = split_channels(reach)
        rounded = self._round_tokens(self._in_parts(x, split), width=split.order.size)
        # A neuron that feeds a loud channel is loud itself, and has a large weight for it.
        inner = split_channels(np.abs(layer.output.weight).max(axis=1))
        wide = self._product(rounded, layer.intermediate.weight[split.order][:, inner.order])
        active = activate(wide, layer.intermediate.bias[inner.order])
        if inner.again.size:
            active = self.draft.node("Mul", active, self.draft.constant(inner.shares))
        rounded = self._round_tokens(active, width=inner.order.size, active=True)
        return self._product(rounded, layer.output.weight[inner.order])

    def best_logits(self, x: str, weight: Floats, *, chunk: int) -> str:
        """Multiply part by part and take the maximum of the 32-bit sums.

        All tokens of a text share one scale here, so the largest sum is the largest logit.
        """
        values, scales = quantise(weight, axis=0)
        columns = self.draft.node("Transpose", x, perm=[0, 2, 1])
        scale = self._scale(columns, axes=(1, 2), below=_LARGEST, above=_LARGEST)
        rounded = self._round(columns, scale, zero=np.int8(0))
        zero, last = self.draft.constant(np.uint8(_MIDDLE)), self.draft.constant(integers(-1))
        best = []
        for start in range(0, weight.shape[1], chunk):
            # The first factor must be unsigned for the fast kernels: here that is the weight.
            part = values[:, start : start + chunk].T.astype(np.int16) + _MIDDLE
            sums = self.draft.node(
                "MatMulInteger", self.draft.constant(part.astype(np.uint8)), rounded, zero
            )
            best.append(self.draft.node("ReduceMax", sums, last, keepdims=0))
        largest = self.draft.node("Cast", self.draft.node("Concat", *best, axis=1), to=_FLOAT)
        flat = self.draft.node("Reshape", scale, self.draft.constant(integers(-1, 1)))
        return self.draft.node(
            "Mul", self.draft.node("Mul", largest, self.draft.constant(scales)), flat
        )

    def _in_parts(self, x: str, split: Split) -> str:
        """Split channels of a value."""
        if not split.again.size:
            return x
        shares = split.shares[: split.order.max() + 1]
        x = self.draft.node("Mul", x, self.draft.constant(shares))
        again = self.draft.node("Gather", x, self.draft.constant(split.again), axis=2)
        return self.draft.node("Concat", x, again, axis=-1)

    def _product(self, x: _Rounded, weight: Floats) -> str:
        """Multiply and scale back, without a bias."""
        values, scales = quantise(weight, axis=0)
        product = self.draft.node(
            "MatMulIntegerToFloat",
            x.values,
            self.draft.constant(values),
            self.draft.constant(np.float32(1)),
            self.draft.constant(scales),
            self.draft.constant(np.uint8(x.zero)),
            domain=FUSED,
        )
        return self.draft.node("Mul", product, x.scale)

    def _round_tokens(self, x: str, *, width: int, active: bool = False) -> _Rounded:
        """Round ``[texts, tokens, width]`` with one scale a token.

        ``active`` says that ``x`` comes from the activation function.
        """
        zero = _LOW_ZERO if active else _MIDDLE
        lowest = _LOWEST_ACTIVE if active else None
        scale = self._scale(x, axes=(-1,), below=zero, above=_LEVELS - zero, lowest=lowest)
        # One scale a token needs tokens on the first axis: both reshapes copy nothing.
        flat = self.draft.node("Reshape", x, self.draft.constant(integers(-1, width)))
        rounded = self._round(flat, scale, zero=np.uint8(zero))
        shape = self.draft.node("Shape", x)
        return _Rounded(self.draft.node("Reshape", rounded, shape), scale, zero)

    def _round(self, x: str, scale: str, *, zero: np.uint8 | np.int8) -> str:
        """Round with one scale for each entry of the first axis."""
        scales = self.draft.node("Reshape", scale, self.draft.constant(integers(-1)))
        count = self.draft.node("Shape", scales)
        zeros = self.draft.node("Expand", self.draft.constant([zero], zero.dtype), count)
        return self.draft.node("QuantizeLinear", x, scales, zeros, axis=0)

    def _scale(
        self,
        x: str,
        *,
        axes: tuple[int, ...],
        below: int,
        above: int,
        lowest: float | None = None,
    ) -> str:
        """Return the step that fits ``x`` into so many steps below and above zero.

        ``lowest`` is the lowest value that ``x`` can have, where that is known.
        """
        over = self.draft.constant(integers(*axes))
        highest = self.draft.node("ReduceMax", x, over, keepdims=1)
        step = self.draft.node("Mul", highest, self.draft.constant(np.float32(1 / above)))
        if lowest is not None:
            return self.draft.node("Max", step, self.draft.constant(np.float32(-lowest / below)))
        least = self.draft.node("ReduceMin", x, over, keepdims=1)
        other = self.draft.node("Mul", least, self.draft.constant(np.float32(-1 / below)))
        # Never zero, so that a row of zeros stays one.
        return self.draft.node("Max", step, other, self.draft.constant(np.float32(1e-9)))
