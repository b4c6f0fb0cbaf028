"""Texts to unit vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.batching import length_batches
from opensearch_funnel.encoders.manifest import Pooling
from opensearch_funnel.encoders.session import Array, Session, padded
from opensearch_funnel.encoders.tokens import Ids, TextTokenizer

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseEncoder:
    """A dense model, ready to run; safe to call from several threads.

    Example:
        >>> from opensearch_funnel.encoders.opening import open_encoder
        >>> encoder = open_encoder("bge-small-en-v1.5")  # doctest: +SKIP
        >>> encoder.encode_query("hotel in paris").shape  # doctest: +SKIP
        (384,)
    """

    name: str
    fingerprint: str
    max_tokens: int
    dimension: int
    pooling: Pooling
    unit_length: bool = True
    """Whether vectors are made of length 1."""
    session: Session
    tokenizer: TextTokenizer
    query_prefix: str = ""
    document_prefix: str = ""

    def encode_query(self, text: str) -> Vectors:
        """Return the vector of a query, ``(dimension,)``."""
        vectors = self._embed(self.query_rows([text]), SILENT)
        return vectors.reshape(self.dimension)

    def encode_documents(self, texts: Sequence[str], *, progress: Progress = SILENT) -> Vectors:
        """Return one vector a document, ``(documents, dimension)``."""
        return self._embed(self.document_rows(texts), progress)

    def query_rows(self, texts: Sequence[str]) -> list[Ids]:
        """Return the token ids of each query, for ``embed_batch``."""
        return self.tokenizer.encode([self.query_prefix + text for text in texts])

    def document_rows(self, texts: Sequence[str]) -> list[Ids]:
        """Return the token ids of each document, for ``embed_batch``."""
        return self.tokenizer.encode([self.document_prefix + text for text in texts])

    def embed_batch(self, rows: Sequence[Ids]) -> Vectors:
        """Run the model once and return the vector of each row, ``(rows, dimension)``."""
        ids, mask = padded(rows, padding=self.tokenizer.padding_id)
        made = self.session.run(
            {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        )
        return self._vectors(made, mask)

    def _embed(self, rows: list[Ids], progress: Progress) -> Vectors:
        vectors = np.zeros((len(rows), self.dimension), dtype=np.float32)
        with progress.task(f"encoding with {self.name}", total=len(rows)) as advance:
            for batch in length_batches(
                [len(r) for r in rows], token_budget=self.session.token_budget
            ):
                vectors[batch] = self.embed_batch([rows[i] for i in batch])
                advance(len(batch))
        return vectors

    def _vectors(self, made: dict[str, Array], mask: NDArray[np.int64]) -> Vectors:
        if "vectors" in made:
            ready: Vectors = made["vectors"]
            if ready.shape[1] == self.dimension:
                return ready
            pooled = ready[:, : self.dimension]
        else:
            # A graph made elsewhere ends with the states of all tokens.
            pooled = self._pooled(made["last_hidden_state"], mask)[:, : self.dimension]
        return _unit(pooled) if self.unit_length else np.ascontiguousarray(pooled)

    def _pooled(self, hidden: Vectors, mask: NDArray[np.int64]) -> Vectors:
        if self.pooling == "cls":
            return hidden[:, 0]
        weights = mask[..., None].astype(np.float32)
        mean: Vectors = (hidden * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1)
        return mean


def _unit(vectors: Vectors) -> Vectors:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: Vectors = vectors / np.maximum(length, np.finfo(np.float32).tiny)
    return unit
