"""Each precision of a model gives the numbers of fp32, as nearly as it can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.core.errors import MissingExtraError
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.fetch import pull
from opensearch_funnel.encoders.graph.building import build_graph, read_checkpoint, save_graph
from opensearch_funnel.encoders.graph.heads import Head
from opensearch_funnel.encoders.manifest import Manifest
from opensearch_funnel.encoders.opening import open_encoder

TEXTS = ["hotel paris", "the sea the fish . a b c", ""]


def vectors_of(manifest: Manifest, precision: str) -> Any:
    encoder = open_encoder(manifest, precision=precision)
    assert isinstance(encoder, DenseEncoder)
    return encoder.encode_documents(TEXTS)


@pytest.fixture
def drawn(tiny_model: Path, make_manifest: Any) -> Manifest:
    manifest: Manifest = make_manifest(tiny_model, kind="dense", pooling="mean")
    return with_all(manifest)


def with_all(manifest: Manifest) -> Manifest:

    return replace(manifest, precisions=("fp32", "int8", "fp16", "bf16"))


@pytest.fixture
def foreign(tiny_model: Path, tmp_path: Path, make_manifest: Any) -> Manifest:
    """A graph as somebody else exports it: its result is not one that we name."""
    folder = tmp_path / "foreign"
    folder.mkdir()
    graph = build_graph(
        read_checkpoint(tiny_model), Head(kind="dense", pooling="cls"), precision="fp32"
    )
    save_graph(graph, folder / "model.onnx")
    (folder / "tokenizer.json").write_bytes((tiny_model / "tokenizer.json").read_bytes())
    manifest: Manifest = make_manifest(folder, kind="dense", pooling="cls")
    return with_all(manifest)


@pytest.mark.parametrize("whose", ["drawn", "foreign"])
@pytest.mark.parametrize(("precision", "least"), [("fp16", 0.99999), ("int8", 0.99)])
def test_vectors_point_where_those_of_fp32_do(
    request: pytest.FixtureRequest, whose: str, precision: str, least: float
) -> None:
    manifest = request.getfixturevalue(whose)
    exact, rounded = vectors_of(manifest, "fp32"), vectors_of(manifest, precision)
    assert rounded.dtype == np.float32
    assert not np.array_equal(exact, rounded)
    lengths = np.linalg.norm(rounded, axis=1)
    np.testing.assert_allclose(lengths, 1, atol=1e-3)
    assert ((exact * rounded).sum(axis=1) / lengths).min() > least


def test_a_halved_graph_is_half_as_large(drawn: Manifest, home: Path) -> None:
    pull(drawn)
    for precision in ("fp32", "fp16"):
        vectors_of(drawn, precision)
    sizes = {path.stem.split("-")[0]: path.stat().st_size for path in (home / "graphs").iterdir()}
    assert sizes[drawn.fingerprint("fp16")] < 0.7 * sizes[drawn.fingerprint("fp32")]


def test_bf16_needs_the_runtime_that_has_it(drawn: Manifest) -> None:
    import onnxruntime

    if "OpenVINOExecutionProvider" in onnxruntime.get_available_providers():
        exact, rounded = vectors_of(drawn, "fp32"), vectors_of(drawn, "bf16")
        assert (exact * rounded).sum(axis=1).min() > 0.999
        return
    with pytest.raises(MissingExtraError, match=r"opensearch-funnel\[openvino\]"):
        vectors_of(drawn, "bf16")
