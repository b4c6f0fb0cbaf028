"""The project's models as the service runs them: requests that come together share batches."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from threading import Lock

import numpy as np
from cachetools import LRUCache

from opensearch_funnel.core.stage import Vector
from opensearch_funnel.encoders.cross_encoder import CrossEncoder, Pair
from opensearch_funnel.encoders.dense import DenseEncoder, Vectors
from opensearch_funnel.encoders.hosted import HostedEncoder
from opensearch_funnel.encoders.splade import SpladeEncoder, Weights
from opensearch_funnel.encoders.tokens import Ids
from opensearch_funnel.service.shared_batches import SharedBatches

KEPT_TOKENS = 10_000_000
"""Of texts that were scored, over all of them: about 40 MB for each reranker."""
_DIGEST_BYTES = 16

Observe = Callable[[int], None]
"""Hears how many rows each batch of a model had."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Texts as vectors.

    Attributes:
        vectors: one row a text, each of length 1.
        tokens: how many tokens the model read.
    """

    vectors: Vectors
    tokens: int


class BatchedReranker:
    """A cross-encoder as a ``PairScorer``; the tokens of a text are kept for its next query."""

    def __init__(
        self, encoder: CrossEncoder, *, observe: Observe | None = None, kept: int = KEPT_TOKENS
    ) -> None:
        """Make the scorer.

        Args:
            encoder: the model.
            observe: hears how many pairs each batch had.
            kept: how many tokens are kept, over all texts.
        """
        self._encoder = encoder
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self._batches = SharedBatches[Pair, float](
            lambda pairs: encoder.score_batch(pairs).tolist(),
            token_budget=encoder.session.token_budget,
            observe=observe,
        )
        self._lock = Lock()
        self._kept: LRUCache[bytes, array[int]] = LRUCache(kept, getsizeof=_size)

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return one logit a text, in the order given; the same as the encoder's own."""
        if not texts:
            return []
        question = self._encoder.query_ids(query)
        pairs = [self._encoder.pair(question, ids) for ids in self._document_ids(texts)]
        return self._batches.run(pairs, lengths=[len(ids) for ids, _ in pairs])

    def _document_ids(self, texts: Sequence[str]) -> list[Ids]:
        # By digest: a text that is kept by nobody else must not be kept by its tokens.
        keys = [_digest(text) for text in texts]
        with self._lock:
            found = {key: self._kept.get(key) for key in keys}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if found[key] is None}
        if missing:
            made = self._encoder.document_ids(list(missing.values()))
            tokens = {key: array("i", ids) for key, ids in zip(missing, made, strict=True)}
            found.update(tokens)
            with self._lock:
                for key, ids in tokens.items():
                    if _size(ids) <= self._kept.maxsize:
                        self._kept[key] = ids
        return [list(found[key] or ()) for key in keys]


class BatchedDense:
    """A dense model that encodes the texts of several requests together.

    Documents have batches of their own: a query does not wait in line behind those of a bulk.
    """

    def __init__(self, encoder: DenseEncoder, *, observe: Observe | None = None) -> None:
        self._encoder = encoder
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self._queries, self._documents = (
            SharedBatches[Ids, Vector](
                lambda rows: list(encoder.embed_batch(rows)),
                token_budget=encoder.session.token_budget,
                observe=observe,
            )
            for _ in range(2)
        )

    @property
    def dimension(self) -> int:
        """How long a vector is."""
        return self._encoder.dimension

    def encode_query(self, text: str) -> Vector:
        """Return the query's embedding, of shape ``(dimension,)``."""
        vector: Vector = self.embed([text], as_queries=True).vectors[0]
        return vector

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a document, ``(documents, dimension)``, each of length 1."""
        return self.embed(texts, as_queries=False).vectors

    def embed(self, texts: Sequence[str], *, as_queries: bool) -> Embedded:
        """Return the vectors of texts, in the order given.

        Args:
            texts: what to encode.
            as_queries: whether they are what is searched with, or what is searched.
        """
        encoder = self._encoder
        rows = encoder.query_rows(texts) if as_queries else encoder.document_rows(texts)
        lengths = [len(row) for row in rows]
        batches = self._queries if as_queries else self._documents
        vectors = batches.run(rows, lengths=lengths)
        return Embedded(np.asarray(vectors).reshape(len(texts), self.dimension), sum(lengths))


class HostedDense:
    """A hosted model as the service asks it: its provider batches."""

    def __init__(self, encoder: HostedEncoder) -> None:
        self._encoder = encoder
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self.dimension = encoder.dimension

    def encode_query(self, text: str) -> Vector:
        """Return the query's embedding, of shape ``(dimension,)``."""
        return self._encoder.encode_query(text)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Return one vector a document, ``(documents, dimension)``."""
        return self._encoder.encode_documents(texts)

    def embed(self, texts: Sequence[str], *, as_queries: bool) -> Embedded:
        """Return the vectors of texts, in the order given, and the tokens that were billed."""
        vectors, tokens = self._encoder.embed(texts, as_queries=as_queries)
        return Embedded(vectors, tokens)


class BatchedSparse:
    """A SPLADE model that encodes the texts of several requests together.

    Documents have batches of their own: a query does not wait in line behind those of a bulk.
    """

    def __init__(self, encoder: SpladeEncoder, *, observe: Observe | None = None) -> None:
        self._encoder = encoder
        self.name, self.fingerprint = encoder.name, encoder.fingerprint
        self._queries, self._documents = (
            SharedBatches[Ids, Weights](
                weigh, token_budget=encoder.session.token_budget, observe=observe
            )
            for weigh in (encoder.weigh_queries, encoder.weigh_batch)
        )
        self._indices = {token: i for i, token in enumerate(encoder.vocabulary)}

    @property
    def indices(self) -> Mapping[str, int]:
        """The place of each token in the model's vocabulary."""
        return self._indices

    def encode_query(self, text: str) -> Weights:
        """Return the weight of each term that the query means; empty for an empty text."""
        return self.weigh([text], as_queries=True)[0]

    def encode_documents(self, texts: Sequence[str]) -> list[Weights]:
        """Return the weighted terms of each document, in the order given."""
        return self.weigh(texts, as_queries=False)

    def weigh(self, texts: Sequence[str], *, as_queries: bool) -> list[Weights]:
        """Return the weighted terms of texts, in the order given, heaviest first.

        Args:
            texts: what to encode.
            as_queries: whether they are what is searched with, or what is searched.
        """
        encoder = self._encoder
        rows = encoder.query_rows(texts) if as_queries else encoder.document_rows(texts)
        batches = self._queries if as_queries else self._documents
        return batches.run(rows, lengths=[len(row) for row in rows])


def _size(ids: array[int]) -> int:
    # An entry costs something, too, also where a text has no tokens at all.
    return len(ids) + 32


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES).digest()
