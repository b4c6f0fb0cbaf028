"""Weights come back out of exported graphs, and graphs that reach elsewhere are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.graph.exported import read_exported
from opensearch_funnel.encoders.graph.foreign import load_self_contained

HIDDEN, INNER, HEADS = 16, 32, 2
PRODUCTS = {
    "attention/self/query": (HIDDEN, HIDDEN),
    "attention/self/key": (HIDDEN, HIDDEN),
    "attention/self/value": (HIDDEN, HIDDEN),
    "attention/output/dense": (HIDDEN, HIDDEN),
    "intermediate/dense": (HIDDEN, INNER),
    "output/dense": (INNER, HIDDEN),
}
Weights = dict[str, NDArray[Any]]


class Exported:
    """Lays nodes and weights out under the names that PyTorch's exporter gives them."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(5)
        self.weights: Weights = {}
        self.nodes = [helper.make_node("Erf", ["x"], ["erf"], name="/encoder/layer.0/act/Erf")]
        self.expected: Weights = {}
        for table, rows in (("word", 20), ("position", 12), ("token_type", 2)):
            self.table(f"embeddings.{table}_embeddings.weight", rows)
        self.norm("embeddings.LayerNorm")
        for name, shape in PRODUCTS.items():
            self.product(f"encoder/layer.0/{name}", shape)
        self.norm("encoder.layer.0.attention.output.LayerNorm")
        self.norm("encoder.layer.0.output.LayerNorm")
        for name, value in (("epsilon", 1e-6), ("heads", [HEADS]), ("size", [HIDDEN // HEADS])):
            tensor = numpy_helper.from_array(np.array(value))
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        norm, attention = "/embeddings/LayerNorm/Add", "/encoder/layer.0/attention/self/Concat"
        self.nodes.append(helper.make_node("Add", ["x", "epsilon"], ["y"], name=norm))
        parts = ["b", "t", "heads", "size"]
        self.nodes.append(helper.make_node("Concat", parts, ["s"], name=attention, axis=0))

    def table(self, name: str, rows: int) -> None:
        values = self.random.integers(0, 255, (rows, HIDDEN)).astype(np.uint8)
        self.weights[f"{name}_quantized"] = values
        self.weights[f"{name}_scale"] = np.array(0.01, np.float32)
        self.weights[f"{name}_zero_point"] = np.array(128, np.uint8)
        self.expected[name] = (values.astype(np.float32) - 128) * np.float32(0.01)

    def norm(self, name: str) -> None:
        for part in ("weight", "bias"):
            self.weights[f"{name}.{part}"] = self.random.normal(size=HIDDEN).astype(np.float32)

    def product(self, path: str, shape: tuple[int, int]) -> None:
        name = f"onnx::MatMul_{len(self.weights)}"
        values = self.random.integers(-127, 127, shape).astype(np.int8)
        scales = self.random.uniform(0.01, 0.02, shape[1]).astype(np.float32)
        self.weights[f"{name}_quantized"] = values
        self.weights[f"{name}_scale"] = scales
        self.weights[f"{name}_zero_point"] = np.zeros(shape[1], np.int8)
        self.weights[f"{path.replace('/', '.')}.bias"] = np.zeros(shape[1], np.float32)
        self.expected[path] = values * scales
        self.nodes.append(
            helper.make_node(
                "MatMulInteger", ["x", f"{name}_quantized"], [path], name=f"/{path}/MatMul_quant"
            )
        )

    def save(self, path: Path, *, without: str = "\n") -> Path:
        nodes = [node for node in self.nodes if without not in node.name]
        constants = [
            numpy_helper.from_array(np.asarray(array), name)
            for name, array in self.weights.items()
            if without not in name
        ]
        graph = helper.make_graph(nodes, "exported", [], [], constants)
        path.write_bytes(helper.make_model(graph).SerializeToString())
        return path


def test_every_weight_comes_back(tmp_path: Path) -> None:
    exported = Exported()
    checkpoint = read_exported(exported.save(tmp_path / "model.onnx"))
    (layer,) = checkpoint.layers
    found = {
        "embeddings.word_embeddings.weight": checkpoint.word,
        "embeddings.position_embeddings.weight": checkpoint.position,
        "embeddings.token_type_embeddings.weight": checkpoint.types,
        "encoder/layer.0/attention/self/query": layer.query.weight,
        "encoder/layer.0/attention/self/key": layer.key.weight,
        "encoder/layer.0/attention/self/value": layer.value.weight,
        "encoder/layer.0/attention/output/dense": layer.attention_output.weight,
        "encoder/layer.0/intermediate/dense": layer.intermediate.weight,
        "encoder/layer.0/output/dense": layer.output.weight,
    }
    assert found.keys() == exported.expected.keys()
    for name, weight in found.items():
        np.testing.assert_array_equal(weight, exported.expected[name].astype(np.float32))
    assert checkpoint.architecture.heads == HEADS
    assert checkpoint.architecture.epsilon == pytest.approx(1e-6)


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("Erf", "no exact gelu"),
        ("word_embeddings", "no weight embeddings.word_embeddings.weight"),
        ("self/Concat", "no split into attention heads"),
        ("LayerNorm/Add", "no LayerNorm after the embeddings"),
        ("self/query", "the checkpoint has no encoder.layer.0.attention.self.query.weight"),
    ],
)
def test_what_is_not_found_is_said(tmp_path: Path, missing: str, reason: str) -> None:
    path = Exported().save(tmp_path / "model.onnx", without=missing)
    with pytest.raises(ModelError, match=reason):
        read_exported(path)


def elsewhere() -> Any:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../../../etc/passwd")
    return tensor


def as_weight(tensor: Any) -> Any:
    return helper.make_graph([], "g", [], [], [tensor])


def as_constant(tensor: Any) -> Any:
    return helper.make_graph([helper.make_node("Constant", [], ["y"], value=tensor)], "g", [], [])


def inside_a_branch(tensor: Any) -> Any:
    inner = as_constant(tensor)
    node = helper.make_node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)
    return helper.make_graph([node], "g", [], [])


@pytest.mark.parametrize("place", [as_weight, as_constant, inside_a_branch])
def test_weights_in_other_files_are_refused(tmp_path: Path, place: Callable[[Any], Any]) -> None:
    model = helper.make_model(place(elsewhere()))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="keeps weights in other files"):
        load_self_contained(tmp_path / "model.onnx")


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(ModelError, match=r"model\.onnx is not a readable ONNX file"):
        load_self_contained(tmp_path / "model.onnx")


def test_a_graph_of_ours_is_self_contained(tmp_path: Path) -> None:
    Exported().save(tmp_path / "model.onnx")
    assert isinstance(load_self_contained(tmp_path / "model.onnx"), onnx.ModelProto)
