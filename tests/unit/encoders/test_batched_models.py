"""What the service makes of an encoder gives the encoder's own numbers, on tiny random models."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.encoders.cross_encoder import CrossEncoder
from opensearch_funnel.encoders.dense import DenseEncoder, Vectors
from opensearch_funnel.encoders.opening import open_cross_encoder, open_dense, open_splade
from opensearch_funnel.encoders.splade import SpladeEncoder, Weights
from opensearch_funnel.encoders.tokens import Ids, TextTokenizer
from opensearch_funnel.service.batched_models import BatchedDense, BatchedReranker, BatchedSparse

TEXTS = [
    "hotel paris",
    "",
    "the sea . the fish " * 40,
    "a b c d e 1 2 ?",
    "🙂 hotel",
    "\ud800 sea",
    "fish",
    "hotel paris",
]
QUERIES = ["hotel", "the fish in the sea ?", "a b", "paris " * 40]


class CountedTokenizer(TextTokenizer):
    """Remembers what was tokenised without a pair."""

    asked: list[str] = []  # noqa: RUF012 - one test reads it

    def encode_plain(self, texts: Sequence[str]) -> list[Ids]:
        self.asked.extend(texts)
        return super().encode_plain(texts)


@pytest.fixture
def cross_encoder(tiny_model: Path, make_manifest: Any) -> CrossEncoder:
    return open_cross_encoder(make_manifest(tiny_model, kind="cross_encoder", pooling="pair"))


@pytest.mark.parametrize("kept", [0, 40, 10_000])
def test_scores_are_the_same_bit_for_bit_from_kept_tokens_too(
    cross_encoder: CrossEncoder, kept: int
) -> None:
    reranker = BatchedReranker(cross_encoder, kept=kept)
    for query in [*QUERIES, *QUERIES]:
        assert reranker.score(query, TEXTS) == cross_encoder.score(query, TEXTS)
    assert reranker.score("hotel", []) == []
    assert reranker.fingerprint == cross_encoder.fingerprint


def test_requests_in_parallel_get_their_own_scores(cross_encoder: CrossEncoder) -> None:
    sizes: list[int] = []
    reranker = BatchedReranker(cross_encoder, observe=sizes.append)
    queries = [f"{query} {i % 3}" for i, query in enumerate(QUERIES * 12)]
    alone = [cross_encoder.score(query, TEXTS) for query in queries]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda query: reranker.score(query, TEXTS), queries))
    for one, other in zip(together, alone, strict=True):
        # In 32 bits a sum may round otherwise in a batch of another size; in 8 bits it does not.
        assert one == pytest.approx(other, abs=1e-5)
    assert sum(sizes) == len(queries) * len(TEXTS)


def test_a_text_is_tokenised_once_for_all_its_queries(cross_encoder: CrossEncoder) -> None:
    given = cross_encoder.tokenizer
    counted = CountedTokenizer(
        tokenizer=given.tokenizer,
        plain=given.plain,
        max_tokens=given.max_tokens,
        padding_id=given.padding_id,
    )
    reranker = BatchedReranker(replace(cross_encoder, tokenizer=counted))
    for query in ("hotel", "sea"):
        reranker.score(query, ["fish", "paris", "fish"])
    assert counted.asked == ["hotel", "fish", "paris", "sea"]


def test_queries_and_documents_become_the_encoders_own_vectors(
    tiny_model: Path, make_manifest: Any
) -> None:
    more = 'query_prefix = "the "'
    encoder = open_dense(make_manifest(tiny_model, kind="dense", pooling="mean", more=more))
    assert isinstance(encoder, DenseEncoder)
    dense = BatchedDense(encoder)
    made = dense.embed(TEXTS, as_queries=False)
    np.testing.assert_allclose(made.vectors, encoder.encode_documents(TEXTS), atol=1e-6)
    assert made.vectors.shape == (len(TEXTS), dense.dimension)
    assert made.tokens == sum(len(row) for row in encoder.document_rows(TEXTS))
    query = dense.encode_query("fish")
    np.testing.assert_allclose(query, encoder.encode_query("fish"), atol=1e-6)
    assert not np.allclose(query, dense.embed(["fish"], as_queries=False).vectors[0])


def test_queries_and_documents_get_the_encoders_own_terms(
    tiny_model: Path, make_manifest: Any
) -> None:
    encoder = open_splade(make_manifest(tiny_model))
    sparse = BatchedSparse(encoder)
    for made, wanted in zip(
        sparse.weigh(TEXTS, as_queries=False), encoder.encode_documents(TEXTS), strict=True
    ):
        assert made == pytest.approx(wanted, abs=1e-5)
    assert sparse.encode_query("fish") == pytest.approx(encoder.encode_query("fish"), abs=1e-5)
    assert sparse.indices["hotel"] == encoder.vocabulary.index("hotel")


LONG = 30


class SlowSparse(SpladeEncoder):
    """Does not come back from a batch of long texts until it is let."""

    def weigh_batch(self, rows: Sequence[Ids]) -> list[Weights]:
        if max(map(len, rows)) > LONG:
            BEGUN.set()
            assert GO.wait(60)
        return super().weigh_batch(rows)


class SlowDense(DenseEncoder):
    """The same, for vectors."""

    def embed_batch(self, rows: Sequence[Ids]) -> Vectors:
        if max(map(len, rows)) > LONG:
            BEGUN.set()
            assert GO.wait(60)
        return super().embed_batch(rows)


BEGUN, GO = Event(), Event()


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_a_query_does_not_wait_for_the_documents_of_a_bulk(
    tiny_model: Path, make_manifest: Any, kind: str
) -> None:
    model: BatchedSparse | BatchedDense
    if kind == "sparse":
        sparse = open_splade(make_manifest(tiny_model))
        model = BatchedSparse(
            SlowSparse(**{f.name: getattr(sparse, f.name) for f in fields(sparse)})
        )
    else:
        dense = open_dense(make_manifest(tiny_model, kind="dense", pooling="mean"))
        model = BatchedDense(SlowDense(**{f.name: getattr(dense, f.name) for f in fields(dense)}))
    BEGUN.clear()
    GO.clear()
    with ThreadPoolExecutor(1) as threads:
        documents = threads.submit(model.encode_documents, ["the sea . the fish " * 40])
        try:
            assert BEGUN.wait(60)
            assert len(model.encode_query("fish")) > 0
            assert not documents.done()
        finally:
            GO.set()
        made: Any = documents.result()
        assert len(made) == 1
