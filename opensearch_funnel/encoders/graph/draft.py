"""An ONNX graph while it is being drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

FUSED = "com.microsoft"
"""The operators that ONNX Runtime adds to the standard."""

_OPSET = 21
_FUSED_OPSET = 1
_IR_VERSION = 10


class Draft:
    """Collects nodes and constants; every value has a name of its own.

    Example:
        >>> draft = Draft()
        >>> doubled = draft.node("Add", "x", "x")
        >>> model = draft.model({"x": (np.float32, ["n"])}, {"y": doubled})
        >>> [node.op_type for node in model.graph.node]
        ['Add', 'Identity']
    """

    def __init__(self) -> None:
        self._nodes: list[Any] = []
        self._constants: list[Any] = []
        self._count = 0

    def constant(self, values: Any, dtype: Any = None) -> str:
        """Add an array that never changes and return its name."""
        from onnx import numpy_helper

        name = self._next("c")
        array = np.ascontiguousarray(values, dtype=dtype).reshape(np.shape(values))
        self._constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """Add an operator with one result and return the result's name.

        Args:
            operator: for example ``MatMul``.
            inputs: names of values; empty for an optional input that is left out.
            domain: empty for the standard, ``FUSED`` for ONNX Runtime's.
            attributes: the operator's.
        """
        return self.nodes(operator, *inputs, results=1, domain=domain, **attributes)[0]

    def nodes(
        self, operator: str, *inputs: str, results: int, domain: str = "", **attributes: Any
    ) -> tuple[str, ...]:
        """Add an operator with several results and return their names."""
        from onnx import helper

        names = tuple(self._next("v") for _ in range(results))
        self._nodes.append(
            helper.make_node(operator, list(inputs), list(names), domain=domain, **attributes)
        )
        return names

    def model(
        self, inputs: Mapping[str, tuple[Any, Sequence[str]]], outputs: Mapping[str, str]
    ) -> Any:
        """Close the graph.

        Args:
            inputs: name to element type and names of the dimensions.
            outputs: the name a user sees to the value it stands for.

        Returns:
            The ``onnx.ModelProto``.
        """
        from onnx import helper

        for name, value in outputs.items():
            self._nodes.append(helper.make_node("Identity", [value], [name]))
        given = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), list(dimensions)
            )
            for name, (dtype, dimensions) in inputs.items()
        ]
        # Element types of results are inferred when the graph is loaded.
        made = [helper.make_empty_tensor_value_info(name) for name in outputs]
        graph = helper.make_graph(self._nodes, "funnel", given, made, self._constants)
        opsets = [helper.make_opsetid("", _OPSET), helper.make_opsetid(FUSED, _FUSED_OPSET)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=_IR_VERSION, producer_name="opensearch-funnel"
        )

    def _next(self, letter: str) -> str:
        self._count += 1
        return f"{letter}{self._count}"


def integers(*values: int) -> NDArray[np.int64]:
    """Return int64 values as ONNX wants axes and shapes.

    Example:
        >>> integers(1, 2).tolist()
        [1, 2]
    """
    return np.array(values, dtype=np.int64)
