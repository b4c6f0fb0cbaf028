"""Matrix products and table look-ups: what differs between precisions, and the plain one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from opensearch_funnel.encoders.graph.architecture import Floats, Layer
from opensearch_funnel.encoders.graph.draft import FUSED, Draft, integers

Activate = Callable[[str, Floats], str]
"""Draw bias and activation: the value and the bias to the new value."""


class Arithmetic(Protocol):
    """How a graph multiplies.

    ``reach`` (``[hidden]``) says how large each channel of the hidden state may get, relative to
    the others; biases are added elsewhere unless said.
    """

    def rows(self, table: Floats, indices: str) -> str:
        """Look rows up: ``[...] -> [..., columns]``."""
        ...

    def attention(self, x: str, layer: Layer, *, heads: int, lengths: str, reach: Floats) -> str:
        """Attend from each token to the first ``lengths`` tokens of its text, output included."""
        ...

    def feed_forward(self, x: str, layer: Layer, *, reach: Floats, activate: Activate) -> str:
        """Go through the wide part of a layer and back."""
        ...

    def best_logits(self, x: str, weight: Floats, *, chunk: int) -> str:
        """Return the largest product over the tokens of each text.

        ``[texts, tokens, in]`` by ``[in, out]``, then the maximum over tokens: ``[texts, out]``.
        The weight comes first in the product, so that the maximum runs along memory; it is cut
        into parts of ``chunk`` columns, so that the logits of a part stay in the cache.
        """
        ...


@dataclass(frozen=True, slots=True)
class Float32:
    """Single precision: equal to the reference up to rounding."""

    draft: Draft

    def rows(self, table: Floats, indices: str) -> str:
        """Look rows up as they are."""
        return self.draft.node("Gather", self.draft.constant(table), indices)

    def attention(self, x: str, layer: Layer, *, heads: int, lengths: str, reach: Floats) -> str:
        """Use the fused operator: projections, softmax and weighted sum in one."""
        del reach
        parts = (layer.query, layer.key, layer.value)
        weight = self.draft.constant(np.concatenate([p.weight for p in parts], axis=1))
        bias = self.draft.constant(np.concatenate([p.bias for p in parts]))
        mixed = self.draft.node(
            "Attention", x, weight, bias, lengths, domain=FUSED, num_heads=heads
        )
        return self._product(mixed, layer.attention_output.weight)

    def feed_forward(self, x: str, layer: Layer, *, reach: Floats, activate: Activate) -> str:
        """Multiply twice."""
        del reach
        wide = self._product(x, layer.intermediate.weight)
        return self._product(activate(wide, layer.intermediate.bias), layer.output.weight)

    def best_logits(self, x: str, weight: Floats, *, chunk: int) -> str:
        """Multiply part by part."""
        columns = self.draft.node("Transpose", x, perm=[0, 2, 1])
        last = self.draft.constant(integers(-1))
        best = []
        for start in range(0, weight.shape[1], chunk):
            part = self.draft.constant(weight[:, start : start + chunk].T)
            logits = self.draft.node("MatMul", part, columns)
            best.append(self.draft.node("ReduceMax", logits, last, keepdims=0))
        return self.draft.node("Concat", *best, axis=1)

    def _product(self, x: str, weight: Floats) -> str:
        return self.draft.node("MatMul", x, self.draft.constant(weight))
