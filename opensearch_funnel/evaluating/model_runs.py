"""What a model finds by itself: exact search in memory, and how fast it encodes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.errors import MissingExtraError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.encoders.cross_encoder import CrossEncoder
from opensearch_funnel.encoders.dense import DenseEncoder
from opensearch_funnel.encoders.hosted import HostedEncoder
from opensearch_funnel.encoders.opening import Encoder
from opensearch_funnel.encoders.splade import SpladeEncoder, Weights
from opensearch_funnel.encoders.token_vectors import TokenEncoder
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.training.bm25 import TextIndex

DEPTH = 100
"""How many documents each query gets."""
RERANKED = 50
"""How many of a plain BM25 a cross-encoder puts in order."""

Scores = NDArray[np.float32]
ScoreAll = Callable[[str], Scores]
"""From a query to the score of every document, ``(documents,)``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """What one model found for the queries of a data set, and what that took.

    Attributes:
        run: query id → document ids, best first.
        documents_s: documents encoded a second; for a cross-encoder, pairs scored a second.
        query_ms: milliseconds to encode each query, or to rerank its candidates.
        bytes_per_document: of what an index keeps for it, as numbers of 4 bytes; a term's weight
            with the 4 bytes of its id.
        terms: of a document on average, for sparse models.
        doc_ids: of all documents, in the order of the vectors.
        vectors: of all documents, ``(documents, dimension)``, for dense models.
        query_vectors: of the queries, in the order of the data set, for dense models.
    """

    run: dict[str, tuple[str, ...]]
    documents_s: float
    query_ms: tuple[float, ...]
    bytes_per_document: float
    terms: float | None = None
    doc_ids: tuple[str, ...] = ()
    vectors: Scores | None = None
    query_vectors: Scores | None = None


def run_model(
    encoder: Encoder,
    dataset: Dataset,
    *,
    fields: Sequence[str] = ("title", "text"),
    progress: Progress = SILENT,
) -> ModelRun:
    """Search a data set with one model alone, exactly.

    A cross-encoder cannot search: it reranks the top 50 of a BM25 in memory, which is not the
    engine's.

    Args:
        encoder: the model.
        dataset: its documents and queries.
        fields: what is encoded, most telling first.
        progress: hears of the documents and of the queries.

    Raises:
        MissingExtraError: scipy is not installed, which sparse models are multiplied with.
    """
    documents = list(dataset.documents())
    texts = [encoded_text(d.source, fields=fields) for d in documents]
    ids = [d.doc_id for d in documents]
    if isinstance(encoder, CrossEncoder):
        return _reranked(encoder, dataset, texts=texts, ids=ids, progress=progress)
    began = time.perf_counter()
    encoded = _encoded(encoder, texts, progress=progress)
    documents_s = len(texts) / (time.perf_counter() - began)
    run: dict[str, tuple[str, ...]] = {}
    query_ms: list[float] = []
    questions: list[Any] = []
    total = len(dataset.queries)
    with progress.task(f"asking {encoder.name}", total=total, unit="queries") as advance:
        for query in dataset.queries:
            began = time.perf_counter()
            question = encoder.encode_query(query.text)
            query_ms.append((time.perf_counter() - began) * 1000)
            questions.append(question)
            scores = encoded.score(question)
            run[query.query_id] = tuple(ids[i] for i in best(scores, k=DEPTH))
            advance(1)
    return ModelRun(
        run=run,
        documents_s=documents_s,
        query_ms=tuple(query_ms),
        bytes_per_document=encoded.size / max(len(texts), 1),
        terms=encoded.terms,
        doc_ids=tuple(ids),
        vectors=encoded.vectors,
        query_vectors=None if encoded.vectors is None else np.stack(questions),
    )


def best(scores: Scores, *, k: int) -> list[int]:
    """Return the positions of the best scores above none at all; equal scores by position.

    Example:
        >>> best(np.array([0.5, 0.0, 2.0, 0.5], dtype=np.float32), k=2)
        [2, 0]
    """
    order = np.lexsort((np.arange(len(scores)), -scores))[:k]
    return [int(place) for place in order if np.isfinite(scores[place])]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    """Documents of one model, ready to be scored."""

    score: Callable[[Any], Scores]
    size: float
    """Bytes of all documents."""
    terms: float | None = None
    vectors: Scores | None = None


def _encoded(
    encoder: SpladeEncoder | DenseEncoder | HostedEncoder | TokenEncoder,
    texts: Sequence[str],
    *,
    progress: Progress,
) -> _Encoded:
    if isinstance(encoder, SpladeEncoder):
        return _sparse(encoder, encoder.encode_documents(texts, progress=progress))
    if isinstance(encoder, TokenEncoder):
        return _token_vectors(encoder.encode_documents(texts, progress=progress))
    vectors = encoder.encode_documents(texts, progress=progress)
    return _Encoded(score=lambda query: vectors @ query, size=vectors.nbytes, vectors=vectors)


def _sparse(encoder: SpladeEncoder, rows: Sequence[Weights]) -> _Encoded:
    try:
        from scipy.sparse import csr_matrix
    except ImportError as error:
        raise MissingExtraError("scipy", extra="evaluation") from error
    id_of = {token: i for i, token in enumerate(encoder.vocabulary)}
    ends = np.cumsum([0, *(len(row) for row in rows)])
    terms = np.fromiter((id_of[token] for row in rows for token in row), np.int32)
    weights = np.fromiter((weight for row in rows for weight in row.values()), np.float32)
    matrix = csr_matrix((weights, terms, ends), shape=(len(rows), len(id_of)))

    def score(query: Weights) -> Scores:
        dense = np.zeros(len(id_of), dtype=np.float32)
        for token, weight in query.items():
            dense[id_of[token]] = weight
        found: Scores = matrix @ dense
        # A document without a shared term is not found at all.
        return np.where(found > 0, found, -np.inf).astype(np.float32)

    return _Encoded(score=score, size=8.0 * len(weights), terms=len(weights) / max(len(rows), 1))


def _token_vectors(rows: Sequence[Scores]) -> _Encoded:
    starts = np.cumsum([0, *(max(len(row), 1) for row in rows)])[:-1]
    # A document without vectors keeps a place, which matches nothing.
    width = rows[0].shape[1] if rows else 1
    every = np.concatenate([row if len(row) else np.zeros((1, width), np.float32) for row in rows])

    def score(query: Scores) -> Scores:
        found: Scores = np.maximum.reduceat(query @ every.T, starts, axis=1).sum(axis=0)
        return found

    return _Encoded(score=score, size=every.nbytes)


def _reranked(
    encoder: CrossEncoder,
    dataset: Dataset,
    *,
    texts: Sequence[str],
    ids: Sequence[str],
    progress: Progress,
) -> ModelRun:
    index = TextIndex(texts)
    run: dict[str, tuple[str, ...]] = {}
    query_ms: list[float] = []
    pairs = 0
    total = len(dataset.queries)
    with progress.task(f"asking {encoder.name}", total=total, unit="queries") as advance:
        for query in dataset.queries:
            found = index.search(query.text, k=DEPTH)
            window, rest = found[:RERANKED], found[RERANKED:]
            began = time.perf_counter()
            scores = np.asarray(encoder.score(query.text, [texts[i] for i in window]))
            query_ms.append((time.perf_counter() - began) * 1000)
            pairs += len(window)
            order = [window[i] for i in np.argsort(-scores, kind="stable")]
            run[query.query_id] = tuple(ids[i] for i in (*order, *rest))
            advance(1)
    return ModelRun(
        run=run,
        documents_s=pairs / (sum(query_ms) / 1000) if pairs else 0.0,
        query_ms=tuple(query_ms),
        bytes_per_document=0.0,
    )
