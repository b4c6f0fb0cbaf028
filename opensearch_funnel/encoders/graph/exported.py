"""Read the weights back out of a BERT that somebody else exported to ONNX.

Many models are only to be had as an exported graph of small operators, its weights already in
8 bits. Such a graph is slow, and as it scales activations over a whole batch, the numbers of a
text depend on its neighbours. Here its weights are found by the names that PyTorch's exporter
leaves on the nodes, so that they can be drawn anew.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.graph.architecture import Checkpoint, checkpoint_of
from opensearch_funnel.encoders.graph.foreign import load_self_contained

_PRODUCT = re.compile(
    r"/((?:encoder/layer\.\d+|pooler)/(?:.+/)?(?:query|key|value|dense))/MatMul(?:_quant)?"
)
_SELF_ATTENTION = "/encoder/layer.0/attention/self/"


def read_exported(path: Path) -> Checkpoint:
    """Read a BERT body from an ``.onnx`` file.

    Weights may be float32 or 8-bit, per tensor or per column; 8-bit ones are widened to float32
    exactly.

    Args:
        path: a graph as PyTorch's exporter names it, without external data, whose result is the
            last hidden state.

    Raises:
        ModelError: the graph has another shape; the message says what was not found.
        MissingExtraError: ``onnx`` is not installed.
    """
    model = load_self_contained(path)
    reader = _ExportedGraph(model.graph)
    try:
        return checkpoint_of(reader.config(), reader.tensors())
    except (LookupError, ValueError) as error:
        raise ModelError(f"{path.name} is not an exported BERT: {error}") from error


class _ExportedGraph:
    """Looks nodes, constants and weights up by name."""

    def __init__(self, graph: Any) -> None:
        from onnx import numpy_helper

        self._nodes = list(graph.node)
        self._weights: dict[str, NDArray[Any]] = {
            t.name: numpy_helper.to_array(t) for t in graph.initializer
        }
        self._constants: dict[str, NDArray[Any]] = {
            node.output[0]: numpy_helper.to_array(node.attribute[0].t)
            for node in self._nodes
            if node.op_type == "Constant" and node.attribute[0].name == "value"
        }

    def config(self) -> dict[str, Any]:
        """Return what ``config.json`` would say."""
        if not any(node.op_type == "Erf" for node in self._nodes):
            raise LookupError("no exact gelu")
        word = self._weight("embeddings.word_embeddings.weight")
        layers = {
            int(match[1])
            for node in self._nodes
            if (match := re.match(r"/encoder/layer\.(\d+)/", node.name))
        }
        return {
            "model_type": "bert",
            "num_hidden_layers": len(layers),
            "num_attention_heads": self._heads(),
            "hidden_size": word.shape[1],
            "hidden_act": "gelu",
            "layer_norm_eps": self._epsilon(),
        }

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Return the weights under the names that ``transformers`` gives them."""
        named = {
            name.removesuffix("_quantized"): self._weight(name.removesuffix("_quantized"))
            for name in self._weights
            if not name.endswith(("_scale", "_zero_point"))
        }
        for node in self._nodes:
            if match := _PRODUCT.fullmatch(node.name):
                weight = self._weight(node.input[1].removesuffix("_quantized"))
                named[match[1].replace("/", ".") + ".weight"] = weight.T
        return named

    def _weight(self, name: str) -> NDArray[Any]:
        if name in self._weights:
            return self._weights[name]
        if f"{name}_quantized" not in self._weights:
            raise LookupError(f"no weight {name}")
        values = self._weights[f"{name}_quantized"].astype(np.float32)
        zero = self._weights[f"{name}_zero_point"].astype(np.float32)
        widened: NDArray[Any] = (values - zero) * self._weights[f"{name}_scale"]
        return widened

    def _heads(self) -> int:
        # The shape that splits a projection into heads ends with: heads, size of a head.
        for node in self._nodes:
            if node.op_type == "Concat" and node.name.startswith(_SELF_ATTENTION):
                parts = [self._constants.get(name) for name in node.input]
                if len(parts) == 4 and parts[2] is not None:  # noqa: PLR2004 - batch, tokens too
                    return int(parts[2].item())
        raise LookupError("no split into attention heads")

    def _epsilon(self) -> float:
        for node in self._nodes:
            if node.op_type == "Add" and node.name == "/embeddings/LayerNorm/Add":
                return next(
                    float(self._constants[i].item()) for i in node.input if i in self._constants
                )
        raise LookupError("no LayerNorm after the embeddings")
