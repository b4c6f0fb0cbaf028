"""Forms that published models come in: each against a plain reference."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.opening import (
    open_cross_encoder,
    open_dense,
    open_encoder,
    open_splade,
)
from opensearch_funnel.encoders.token_vectors import TokenEncoder, max_sim
from opensearch_funnel.encoders.tokens import open_tokenizer
from tests.unit.encoders.conftest import (
    HIDDEN,
    SPECIAL,
    WORDS,
    NumpyBert,
    tiny_tensors,
    write_safetensors,
)

COLBERT = """
[token_vectors]
query_marker = "b"
document_marker = "c"
query_tokens = 9
skipped = [".", "?"]
"""


@pytest.fixture
def folder(tiny_model: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may change."""
    return Path(shutil.copytree(tiny_model, tmp_path / "model"))


def with_tensors(folder: Path, more: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Put other tensors into a model's file; return all of them."""
    tensors = {**tiny_tensors(), **more}
    write_safetensors(folder / "model.safetensors", tensors)
    return tensors


def with_table(folder: Path, table: object) -> Path:
    (folder / "idf.json").write_text(json.dumps(table), encoding="utf-8")
    return folder


TABLE = {token: float(i) for i, token in enumerate((*SPECIAL, *WORDS))}


def test_queries_without_inference_weigh_what_the_table_says(
    folder: Path, make_manifest: Any
) -> None:
    plain = open_splade(make_manifest(folder))
    documents = plain.encode_documents(["the fish"])
    with_table(folder, TABLE)
    encoder = open_splade(make_manifest(folder, more='query_weights = "idf"'))
    assert encoder.encode_query("hotel fish hotel 🙂") == {
        "fish": TABLE["fish"],
        "hotel": TABLE["hotel"],
    }
    assert encoder.encode_query("") == {}
    assert encoder.encode_documents(["the fish"]) == documents
    assert encoder.fingerprint != plain.fingerprint


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ([1, 2], "no object from token to weight"),
        ({"hotel": 1.0}, "knows 1 of 20 tokens: it is another tokenizer's"),
        (TABLE | {"fish": "much"}, "gives 'fish' the weight 'much'"),
        (TABLE | {"fish": float("nan")}, "gives 'fish' the weight nan"),
    ],
)
def test_a_table_that_cannot_be_used_says_why(
    folder: Path, make_manifest: Any, table: object, reason: str
) -> None:
    with_table(folder, table)
    with pytest.raises(ModelError, match=reason):
        open_splade(make_manifest(folder, more='query_weights = "idf"'))


def test_of_two_logits_the_difference_is_the_score(folder: Path, make_manifest: Any) -> None:
    random = np.random.default_rng(3)
    weight = random.normal(0, 0.4, (2, HIDDEN)).astype(np.float32)
    bias = random.normal(0, 0.4, 2).astype(np.float32)
    tensors = with_tensors(folder, {"classifier.weight": weight, "classifier.bias": bias})
    encoder = open_cross_encoder(make_manifest(folder, kind="cross_encoder", pooling="pair"))
    (ids, types) = encoder.pair(encoder.query_ids("hotel"), encoder.document_ids(["a fish"])[0])
    bert = NumpyBert(tensors)
    pooled = np.tanh(bert.linear(bert.hidden(ids, types)[:1], "bert.pooler.dense"))
    no, yes = (pooled @ weight.T + bias)[0]
    assert encoder.score("hotel", ["a fish"]) == pytest.approx([yes - no], abs=2e-5)


def test_three_logits_are_refused(folder: Path, make_manifest: Any) -> None:
    zeros = np.zeros((3, HIDDEN), dtype=np.float32)
    with_tensors(folder, {"classifier.weight": zeros, "classifier.bias": zeros[:, 0]})
    with pytest.raises(ModelError, match="gives 3 scores, not one or two"):
        open_cross_encoder(make_manifest(folder, kind="cross_encoder", pooling="pair"))


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_vectors_keep_their_length_where_the_model_is_made_so(
    folder: Path, make_manifest: Any, numpy_bert: NumpyBert, pooling: str
) -> None:
    manifest = make_manifest(folder, kind="dense", pooling=pooling, more="unit_length = false")
    encoder = open_dense(manifest)
    assert isinstance(encoder, DenseEncoder)
    texts = ["hotel", "the sea the fish . a b c"]
    for text, made in zip(texts, encoder.encode_documents(texts), strict=True):
        states = numpy_bert.hidden(ids := encoder.tokenizer.encode([text])[0], [0] * len(ids))
        expected = states[0] if pooling == "cls" else states.mean(axis=0)
        np.testing.assert_allclose(made, expected, atol=2e-5)


@pytest.mark.parametrize("unit_length", [True, False])
def test_a_shorter_vector_is_the_beginning_of_the_long_one(
    folder: Path, make_manifest: Any, unit_length: bool
) -> None:
    more = f"unit_length = {str(unit_length).lower()}"
    whole = open_dense(make_manifest(folder, kind="dense", pooling="mean", more=more))
    long = whole.encode_query("hotel fish")[:4]
    manifest = make_manifest(
        folder, kind="dense", pooling="mean", more=f"{more}\ncut_from = {HIDDEN}"
    )
    path = manifest.folder / "tiny.toml"
    path.write_text(path.read_text().replace(f"dimension = {HIDDEN}", "dimension = 4"))
    encoder = open_dense("tiny")
    expected = long / np.linalg.norm(long) if unit_length else long
    np.testing.assert_allclose(encoder.encode_query("hotel fish"), expected, atol=1e-6)
    assert encoder.fingerprint != whole.fingerprint


@pytest.fixture
def colbert(folder: Path, make_manifest: Any) -> tuple[TokenEncoder, NumpyBert]:
    projection = np.random.default_rng(5).normal(0, 0.4, (8, HIDDEN)).astype(np.float32)
    tensors = with_tensors(folder, {"linear.weight": projection})
    manifest = make_manifest(folder, kind="token_vectors", pooling="none", more=COLBERT)
    path = manifest.folder / "tiny.toml"
    path.write_text(path.read_text().replace(f"dimension = {HIDDEN}", "dimension = 8"))
    encoder = open_encoder("tiny")
    assert isinstance(encoder, TokenEncoder)
    return encoder, NumpyBert(tensors)


def unit(states: NDArray[np.float64], bert: NumpyBert) -> NDArray[np.float64]:
    vectors = states @ bert.tensors["linear.weight"].T.astype(np.float64)
    made: NDArray[np.float64] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return made


def test_a_document_has_a_vector_for_each_token_but_the_skipped(
    colbert: tuple[TokenEncoder, NumpyBert], tiny_model: Path
) -> None:
    encoder, bert = colbert
    tokenizer = open_tokenizer(tiny_model / "tokenizer.json", max_tokens=32)
    texts = ["hotel . paris ?", "", "the sea the fish " * 20]
    made = encoder.encode_documents(texts)
    for text, vectors in zip(texts, made, strict=True):
        (plain,) = tokenizer.encode_plain([text])
        start, end, marker = (tokenizer.id_of(token) for token in ("[CLS]", "[SEP]", "c"))
        ids = [start, marker, *plain[:29], end]
        skipped = {tokenizer.id_of("."), tokenizer.id_of("?")}
        kept = [place for place, i in enumerate(ids) if i not in skipped]
        expected = unit(bert.hidden([i for i in ids if i is not None], [0] * len(ids)), bert)
        np.testing.assert_allclose(vectors, expected[kept], atol=2e-5)
    alone = [encoder.encode_documents([text])[0] for text in texts]
    for vectors, single in zip(made, alone, strict=True):
        np.testing.assert_allclose(vectors, single, atol=2e-6)


def test_a_query_is_filled_up_and_what_fills_it_is_not_attended_to(
    colbert: tuple[TokenEncoder, NumpyBert],
) -> None:
    encoder, bert = colbert
    made = encoder.encode_query("hotel paris")
    assert made.shape == (9, 8)
    tokenizer = encoder.tokenizer
    own = [tokenizer.id_of(t) for t in ("[CLS]", "b", "hotel", "paris", "[SEP]")]
    expected = unit(bert.hidden([i for i in own if i is not None], [0] * len(own)), bert)
    np.testing.assert_allclose(made[:5], expected, atol=2e-5)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert encoder.encode_query("the sea " * 40).shape == (9, 8)


def test_the_best_match_of_each_query_token_is_summed() -> None:
    query = np.array([[1, 0], [0, 1]], dtype=np.float32)
    document = np.array([[0.5, 0.5], [0.25, 0.75]], dtype=np.float32)
    assert max_sim(query, document) == 0.5 + 0.75
    assert max_sim(query, document[:0]) == 0


def test_a_marker_that_the_tokenizer_lacks_is_named(folder: Path, make_manifest: Any) -> None:
    with_tensors(folder, {"linear.weight": np.ones((8, HIDDEN), dtype=np.float32)})
    more = COLBERT.replace('"b"', '"[Q]"')
    with pytest.raises(ModelError, match=r"its tokenizer has no token '\[Q\]'"):
        open_encoder(make_manifest(folder, kind="token_vectors", pooling="none", more=more))


def test_a_model_without_a_projection_gives_no_token_vectors(
    folder: Path, make_manifest: Any
) -> None:
    with pytest.raises(ModelError, match=r"no linear\.weight: it is no ColBERT model"):
        open_encoder(make_manifest(folder, kind="token_vectors", pooling="none", more=COLBERT))
