"""The encoders from a manifest to terms, vectors and scores, on tiny random models."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.core.progress import Advance
from opensearch_funnel.core.stage import PairScorer
from opensearch_funnel.encoders.cross_encoder import CrossEncoder
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.manifest import Manifest
from opensearch_funnel.encoders.opening import (
    open_cross_encoder,
    open_dense,
    open_encoder,
    open_splade,
)
from opensearch_funnel.encoders.splade import SpladeEncoder
from opensearch_funnel.encoders.tokens import open_tokenizer

TEXTS = [
    "hotel paris",
    "",
    "the sea . the fish " * 40,
    "a b c d e 1 2 ?",
    "🙂 hotel",
    "\ud800 sea",
    "   ",
    "fish",
]


@pytest.fixture
def splade(tiny_model: Path, make_manifest: Any) -> SpladeEncoder:
    return open_splade(make_manifest(tiny_model))


@pytest.fixture
def dense(tiny_model: Path, make_manifest: Any) -> DenseEncoder:
    more = 'query_prefix = "the "'
    encoder = open_dense(make_manifest(tiny_model, kind="dense", pooling="mean", more=more))
    assert isinstance(encoder, DenseEncoder)
    return encoder


@pytest.fixture
def cross_encoder(tiny_model: Path, make_manifest: Any) -> CrossEncoder:
    return open_cross_encoder(make_manifest(tiny_model, kind="cross_encoder", pooling="pair"))


def test_terms_are_those_of_the_reference(
    splade: SpladeEncoder, numpy_bert: Any, tiny_model: Path
) -> None:
    tokenizer = open_tokenizer(tiny_model / "tokenizer.json", max_tokens=splade.max_tokens)
    (ids,) = tokenizer.encode(["hotel paris ?"])
    expected = {
        splade.vocabulary[i]: weight
        for i, weight in enumerate(numpy_bert.splade(ids))
        if weight > 0 and i >= 5
    }
    assert splade.encode_query("hotel paris ?") == pytest.approx(expected, abs=2e-5)


def test_special_tokens_are_never_terms_and_weights_fall(splade: SpladeEncoder) -> None:
    for weights in splade.encode_documents(TEXTS):
        assert not [token for token in weights if token.startswith("[")]
        assert list(weights.values()) == sorted(weights.values(), reverse=True)
        assert all(weight > 0 for weight in weights.values())


def test_a_text_without_tokens_has_no_terms(splade: SpladeEncoder) -> None:
    assert splade.encode_query("") == {}
    assert splade.encode_documents(["   ", ""]) == [{}, {}]
    assert splade.encode_documents([]) == []


def test_documents_keep_their_order_and_equal_single_ones(splade: SpladeEncoder) -> None:
    together = splade.encode_documents(TEXTS)
    for text, weights in zip(TEXTS, together, strict=True):
        assert splade.encode_query(text) == pytest.approx(weights, abs=1e-5)


def test_a_stream_gives_the_same_as_a_list(splade: SpladeEncoder) -> None:
    assert list(splade.stream_documents(iter(TEXTS))) == splade.encode_documents(TEXTS)


class Counting:
    """Counts what is reported."""

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = None

    @contextmanager
    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> Iterator[Advance]:
        assert label
        assert unit == "documents"
        self.total = total
        yield self._advance

    def say(self, line: str) -> None:
        raise AssertionError(line)

    def _advance(self, units: int) -> None:
        self.done += units


def test_every_document_is_reported(splade: SpladeEncoder, dense: DenseEncoder) -> None:
    for encode in (splade.encode_documents, dense.encode_documents):
        progress = Counting()
        encode(TEXTS, progress=progress)
        assert (progress.done, progress.total) == (len(TEXTS), len(TEXTS))


def test_top_k_keeps_the_heaviest(splade: SpladeEncoder) -> None:
    everything = splade.encode_query("hotel paris ?")
    few = replace(splade, top_k=2).encode_query("hotel paris ?")
    assert list(few.items()) == list(everything.items())[:2]


def test_what_is_behind_the_limit_changes_nothing(splade: SpladeEncoder) -> None:
    start = "hotel paris " * 16
    assert splade.encode_query(start + "fish " * 500) == splade.encode_query(start + "sea")


def test_threads_may_share_an_encoder(splade: SpladeEncoder) -> None:
    expected = splade.encode_documents(TEXTS)
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: splade.encode_documents(TEXTS), range(12)):
            assert made == expected


def test_vectors_have_length_one_and_keep_their_order(dense: DenseEncoder) -> None:
    vectors = dense.encode_documents(TEXTS)
    assert vectors.shape == (len(TEXTS), 16)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for text, vector in zip(TEXTS, vectors, strict=True):
        np.testing.assert_allclose(dense.encode_documents([text])[0], vector, atol=1e-5)
    assert dense.encode_documents([]).shape == (0, 16)


def test_the_query_prefix_is_for_queries_only(dense: DenseEncoder) -> None:
    query = dense.encode_query("hotel")
    assert query.shape == (16,)
    np.testing.assert_allclose(query, dense.encode_documents(["the hotel"])[0], atol=1e-5)
    assert not np.allclose(query, dense.encode_documents(["hotel"])[0], atol=1e-3)


def test_scores_are_those_of_the_reference(
    cross_encoder: CrossEncoder, numpy_bert: Any, tiny_model: Path
) -> None:
    from tokenizers import Tokenizer

    scorer: PairScorer = cross_encoder
    texts = ["fish .", "", "the hotel paris"]
    tokenizer = Tokenizer.from_file(str(tiny_model / "tokenizer.json"))
    for text, score in zip(texts, scorer.score("a hotel", texts), strict=True):
        pair = tokenizer.encode("a hotel", text)
        assert score == pytest.approx(numpy_bert.score(pair.ids, pair.type_ids), abs=2e-5)


def test_scores_keep_their_order_and_do_not_depend_on_neighbours(
    cross_encoder: CrossEncoder,
) -> None:
    scores = cross_encoder.score("hotel", TEXTS)
    assert all(isinstance(score, float) for score in scores)
    for text, score in zip(TEXTS, scores, strict=True):
        assert cross_encoder.score("hotel", [text]) == pytest.approx([score], abs=1e-5)
    assert cross_encoder.score("hotel", []) == []


def test_a_long_query_leaves_half_of_the_room_to_the_text(cross_encoder: CrossEncoder) -> None:
    query = "hotel " * 500
    sea, fish = cross_encoder.score(query, ["sea", "fish"])
    assert sea != fish
    assert cross_encoder.score(query + "fish", ["sea"]) == [sea]


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_the_graph_is_built_once_under_the_fingerprint(
    tiny_model: Path, make_manifest: Any, home: Path, precision: str
) -> None:
    manifest: Manifest = make_manifest(tiny_model)
    fingerprint = open_encoder(manifest, precision=precision).fingerprint
    (graph,) = (home / "graphs").iterdir()
    assert graph.name.startswith(manifest.fingerprint(precision) + "-")
    assert fingerprint == manifest.fingerprint(precision)
    before = graph.stat().st_mtime_ns
    open_encoder(manifest, precision=precision)
    assert graph.stat().st_mtime_ns == before


def test_a_stale_or_broken_graph_in_the_cache_is_built_again(
    tiny_model: Path, make_manifest: Any, home: Path
) -> None:
    manifest: Manifest = make_manifest(tiny_model)
    expected = open_splade(manifest).encode_query("hotel")
    (graph,) = (home / "graphs").iterdir()
    graph.write_bytes(graph.read_bytes()[:1000])
    assert open_splade(manifest).encode_query("hotel") == expected


def test_a_model_of_another_kind_is_refused(tiny_model: Path, make_manifest: Any) -> None:
    manifest = make_manifest(tiny_model)
    with pytest.raises(ModelError, match="model tiny is no dense model: see funnel models list"):
        open_dense(manifest)
    with pytest.raises(ModelError, match="model tiny is no cross_encoder model"):
        open_cross_encoder(manifest)
    with pytest.raises(ModelError, match="model tiny is no splade model"):
        open_splade(make_manifest(tiny_model, kind="dense", pooling="cls"))


@pytest.mark.parametrize("package", ["onnxruntime", "onnx", "tokenizers"])
@pytest.mark.usefixtures("home")
def test_a_missing_package_names_the_extra(
    tiny_model: Path, make_manifest: Any, package: str
) -> None:
    make_manifest(tiny_model)
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        "from opensearch_funnel.core.errors import MissingExtraError\n"
        "from opensearch_funnel.encoders.opening import open_encoder\n"
        "try: open_encoder('tiny')\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == f"{package} is not installed: pip install 'opensearch-funnel[cpu]'\n"


def test_opening_a_name_imports_nothing_heavy_before() -> None:
    program = (
        "import sys, opensearch_funnel.encoders.opening, opensearch_funnel.cli.models\n"
        "heavy = {'onnx', 'onnxruntime', 'tokenizers', 'jgo', 'huggingface_hub', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
