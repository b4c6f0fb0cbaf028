"""Graphs drawn from weights give what a plain numpy BERT gives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.graph.architecture import checkpoint_of
from opensearch_funnel.encoders.graph.building import (
    build_graph,
    read_checkpoint,
    save_graph,
    special_tokens,
)
from opensearch_funnel.encoders.graph.heads import Head
from opensearch_funnel.encoders.graph.int8 import quantise
from opensearch_funnel.encoders.manifest import Kind, Pooling, Precision
from opensearch_funnel.encoders.session import Session, open_session, padded

TEXTS = [[2, 5, 6, 7, 3], [2, 3], [2, 8, 9, 10, 11, 12, 13, 14, 3], [2, 5, 3]]
TOLERANCE = 2e-5


@pytest.fixture
def drawn(tiny_model: Path, tmp_path: Path) -> Any:
    def draw(kind: Kind, pooling: Pooling, precision: Precision = "fp32") -> Session:
        model = build_graph(
            read_checkpoint(tiny_model),
            Head(
                kind=kind,
                pooling=pooling,
                special=special_tokens(tiny_model / "tokenizer.json"),
            ),
            precision=precision,
        )
        path = tmp_path / f"{kind}-{precision}.onnx"
        save_graph(model, path)
        return open_session(path, threads=1)

    return draw


def feeds(rows: list[list[int]], *, k: int = 20) -> dict[str, Any]:
    ids, mask = padded(rows, padding=0)
    types = np.array([[int(i >= 2) for i in range(ids.shape[1])]] * len(rows))
    return {
        "input_ids": ids,
        "attention_mask": mask,
        "token_type_ids": types,
        "k": np.array([k], dtype=np.int64),
    }


def weights_by_id(made: dict[str, Any], row: int) -> Any:
    dense = np.zeros(20, dtype=np.float64)
    dense[made["ids"][row]] = made["weights"][row]
    return dense


def test_sparse_weights_are_those_of_the_paper(drawn: Any, numpy_bert: Any) -> None:
    made = drawn("splade", "max").run(feeds(TEXTS))
    for row, ids in enumerate(TEXTS):
        expected = numpy_bert.splade(ids)
        expected[:5] = 0  # special tokens never become terms
        np.testing.assert_allclose(weights_by_id(made, row), expected, atol=TOLERANCE)


def test_weights_come_heaviest_first_and_k_cuts(drawn: Any) -> None:
    session = drawn("splade", "max")
    everything, few = session.run(feeds(TEXTS)), session.run(feeds(TEXTS, k=3))
    assert (np.diff(everything["weights"], axis=1) <= 0).all()
    np.testing.assert_array_equal(few["ids"], everything["ids"][:, :3])


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_vectors_are_those_of_the_reference(drawn: Any, numpy_bert: Any, pooling: Pooling) -> None:
    made = drawn("dense", pooling).run(feeds(TEXTS))["vectors"]
    for row, ids in enumerate(TEXTS):
        expected = numpy_bert.vector(ids, pooling=pooling)
        np.testing.assert_allclose(made[row], expected, atol=TOLERANCE)


def test_scores_are_those_of_the_reference(drawn: Any, numpy_bert: Any) -> None:
    given = feeds(TEXTS)
    made = drawn("cross_encoder", "pair").run(given)["scores"]
    for row, ids in enumerate(TEXTS):
        types = given["token_type_ids"][row, : len(ids)].tolist()
        assert made[row] == pytest.approx(numpy_bert.score(ids, types), abs=TOLERANCE)


@pytest.mark.parametrize(
    ("kind", "pooling", "result"),
    [
        ("splade", "max", "weights"),
        ("dense", "mean", "vectors"),
        ("cross_encoder", "pair", "scores"),
    ],
)
@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_text_has_the_same_numbers_alone_and_in_a_batch(
    drawn: Any, kind: Kind, pooling: Pooling, result: str, precision: Precision
) -> None:
    session = drawn(kind, pooling, precision)
    together = session.run(feeds(TEXTS))[result]
    for row, ids in enumerate(TEXTS):
        alone = session.run(feeds([ids]))[result][0]
        np.testing.assert_allclose(alone, together[row], atol=1e-5)


def test_int8_stays_close_to_float32(drawn: Any) -> None:
    exact = drawn("dense", "mean").run(feeds(TEXTS))["vectors"]
    rounded = drawn("dense", "mean", "int8").run(feeds(TEXTS))["vectors"]
    assert (exact * rounded).sum(axis=1).min() > 0.995
    assert not np.array_equal(exact, rounded)


def test_int8_terms_stay_close_to_float32(drawn: Any) -> None:
    exact = drawn("splade", "max").run(feeds(TEXTS))
    rounded = drawn("splade", "max", "int8").run(feeds(TEXTS))
    for row in range(len(TEXTS)):
        a, b = weights_by_id(exact, row), weights_by_id(rounded, row)
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.995


def test_a_table_of_8_bits_is_half_a_step_off_at_most() -> None:
    table = np.random.default_rng(1).normal(size=(30, 12)).astype(np.float32)
    values, scales = quantise(table, axis=0)
    assert (np.abs(values * scales - table) <= scales / 2 + 1e-6).all()


def test_zeros_stay_zeros_in_8_bits() -> None:
    values, scales = quantise(np.zeros((3, 2), np.float32), axis=1)
    assert not values.any()
    np.testing.assert_array_equal(scales, np.ones(3, np.float32))


def changed(tiny_model: Path, **config: Any) -> Any:
    from opensearch_funnel.encoders.graph.safetensors import read_safetensors

    known = {"model_type": "bert", "num_hidden_layers": 2, "num_attention_heads": 2}
    known |= {"hidden_size": 16, "hidden_act": "gelu", "pad_token_id": 0, **config}
    return checkpoint_of(known, read_safetensors(tiny_model / "model.safetensors"))


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"model_type": "t5"}, "architecture 't5' is not one of bert"),
        ({"hidden_act": "swish"}, "activation 'swish'"),
        ({"position_embedding_type": "relative_key"}, "relative positions"),
        ({"num_hidden_layers": 3}, r"the checkpoint has no encoder\.layer\.2"),
        ({"hidden_size": 12}, "the checkpoint cannot be used"),
        ({"num_attention_heads": 3}, "no multiple of the number of heads"),
    ],
)
def test_what_cannot_be_drawn_is_said(tiny_model: Path, config: Any, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        changed(tiny_model, **config)


def test_a_missing_head_is_said(tiny_model: Path) -> None:
    headless = replace(read_checkpoint(tiny_model), vocabulary_head=None, pair_head=None)
    with pytest.raises(ModelError, match="the checkpoint has no vocabulary head"):
        build_graph(headless, Head(kind="splade", pooling="max"), precision="fp32")
    with pytest.raises(ModelError, match="the checkpoint has no classifier"):
        build_graph(headless, Head(kind="cross_encoder", pooling="pair"), precision="fp32")


def test_a_broken_graph_is_a_model_error(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    with pytest.raises(ModelError, match=r"cannot load the graph broken\.onnx"):
        open_session(tmp_path / "broken.onnx")
