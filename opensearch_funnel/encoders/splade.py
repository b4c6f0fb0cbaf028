"""Texts to weighted terms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.progress import SILENT, Advance, Progress
from opensearch_funnel.encoders.batching import length_batches
from opensearch_funnel.encoders.session import Session, padded
from opensearch_funnel.encoders.tokens import Ids, TextTokenizer

Weights = dict[str, float]
"""Token to weight, heaviest first."""

TOP_K = 512
WINDOW = 2048
"""Texts that are sorted by length together when documents are streamed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpladeEncoder:
    """A SPLADE model, ready to run; safe to call from several threads.

    Example:
        >>> from opensearch_funnel.encoders.opening import open_encoder
        >>> encoder = open_encoder("splade-tiny")  # doctest: +SKIP
        >>> list(encoder.encode_query("hotel in paris"))[:2]  # doctest: +SKIP
        ['paris', 'hotel']
    """

    name: str
    fingerprint: str
    max_tokens: int
    top_k: int
    session: Session
    tokenizer: TextTokenizer
    vocabulary: tuple[str, ...]
    query_prefix: str = ""
    document_prefix: str = ""
    query_table: NDArray[np.float32] | None = None
    """The weight of each token in a query, ``(vocabulary,)``, where no model weighs it."""

    def encode_query(self, text: str) -> Weights:
        """Weigh the terms of a query: by the model, or where there is a table, by that alone.

        Returns:
            At most ``top_k`` tokens with weights above zero, heaviest first; none for a text
            without tokens. Special tokens are never among them.
        """
        return self.weigh_queries(self.query_rows([text]))[0]

    def encode_documents(
        self, texts: Sequence[str], *, progress: Progress = SILENT
    ) -> list[Weights]:
        """Weigh the terms of each document, in the order given."""
        with progress.task(f"encoding with {self.name}", total=len(texts)) as advance:
            return list(self._windows(texts, advance))

    def stream_documents(self, texts: Iterable[str]) -> Iterator[Weights]:
        """Weigh documents one window after the other, so that any number fits in memory."""
        return self._windows(texts, lambda _: None)

    def _windows(self, texts: Iterable[str], advance: Advance) -> Iterator[Weights]:
        texts = iter(texts)
        while window := list(islice(texts, WINDOW)):
            yield from self._weigh(self.document_rows(window), advance)

    def query_rows(self, texts: Sequence[str]) -> list[Ids]:
        """Return the token ids of each query, for ``weigh_queries``."""
        prefixed = [self.query_prefix + text for text in texts]
        if self.query_table is not None:
            return self.tokenizer.encode_plain(prefixed)
        return self.tokenizer.encode(prefixed)

    def document_rows(self, texts: Sequence[str]) -> list[Ids]:
        """Return the token ids of each document, for ``weigh_batch``."""
        return self.tokenizer.encode([self.document_prefix + text for text in texts])

    def weigh_queries(self, rows: Sequence[Ids]) -> list[Weights]:
        """Return the weighted terms of each row of ``query_rows``; runs the model at most once."""
        if self.query_table is None:
            return self.weigh_batch(rows)
        return [self._looked_up(row, self.query_table) for row in rows]

    def _looked_up(self, row: Ids, table: NDArray[np.float32]) -> Weights:
        ids = np.unique(np.asarray(row, dtype=np.int64))
        weights = table[ids]
        order = np.argsort(-weights, kind="stable")[: self.top_k]
        return {
            self.vocabulary[i]: float(weight)
            for i, weight in zip(ids[order].tolist(), weights[order], strict=True)
            if weight > 0
        }

    def weigh_batch(self, rows: Sequence[Ids]) -> list[Weights]:
        """Run the model once and return the weighted terms of each row."""
        ids, mask = padded(rows, padding=self.tokenizer.padding_id)
        k = np.array([min(self.top_k, len(self.vocabulary))], dtype=np.int64)
        made = self.session.run({"input_ids": ids, "attention_mask": mask, "k": k})
        counts = (made["weights"] > 0).sum(axis=1)
        result: list[Weights] = []
        for row, own in enumerate(rows):
            # The model has something to say about no text at all; the funnel has not.
            count = counts[row] if len(own) > self.tokenizer.own_tokens else 0
            tokens = (self.vocabulary[t] for t in made["ids"][row, :count].tolist())
            result.append(dict(zip(tokens, made["weights"][row, :count].tolist(), strict=True)))
        return result

    def _weigh(self, rows: list[Ids], advance: Advance) -> list[Weights]:
        result: list[Weights] = [{} for _ in rows]
        for batch in length_batches([len(r) for r in rows], token_budget=self.session.token_budget):
            for i, weights in zip(batch, self.weigh_batch([rows[i] for i in batch]), strict=True):
                result[i] = weights
            advance(len(batch))
        return result
