"""Texts to one vector a token, for late interaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.encoders.batching import length_batches
from opensearch_funnel.encoders.session import Session, padded
from opensearch_funnel.encoders.tokens import Ids, PairLayout, TextTokenizer

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenEncoder:
    """A late-interaction model, ready to run; safe to call from several threads.

    A text is as good for a query as the sum, over the query's vectors, of the best inner product
    with one of the text's (MaxSim).

    Source: Khattab and Zaharia, ColBERT (arXiv 2004.12832), equation 3.

    Example:
        >>> from opensearch_funnel.encoders.opening import open_encoder
        >>> encoder = open_encoder("my-colbert")  # doctest: +SKIP
        >>> encoder.encode_query("hotel in paris").shape  # doctest: +SKIP
        (32, 128)
    """

    name: str
    fingerprint: str
    max_tokens: int
    dimension: int
    session: Session
    tokenizer: TextTokenizer
    layout: PairLayout
    query_marker: int | None
    """Id of the token that says "this is a query"; None for none."""
    document_marker: int | None
    filler: int | None
    """Id of ``[MASK]``, which fills a query up; None if queries stay as they are."""
    query_tokens: int
    skipped: frozenset[int]
    """Ids of tokens that get no vector in a document."""
    query_prefix: str = ""
    document_prefix: str = ""

    def encode_query(self, text: str) -> Vectors:
        """Return the vectors of a query, ``(tokens, dimension)``, each of length 1.

        What fills a query up is not attended to, but has vectors of its own: terms that the
        model would have liked to read (query augmentation).
        """
        most = self.query_tokens or self.max_tokens
        own = self._rows([self.query_prefix + text], marker=self.query_marker, most=most)[0]
        row = list(own)
        if self.filler is not None:
            row += [self.filler] * (most - len(own))
        mask = np.zeros((1, len(row)), dtype=np.int64)
        mask[0, : len(own)] = 1
        vectors: Vectors = self._run(np.array([row], dtype=np.int64), mask)[0]
        return vectors

    def encode_documents(
        self, texts: Sequence[str], *, progress: Progress = SILENT
    ) -> list[Vectors]:
        """Return the vectors of each document, ``(its tokens, dimension)``, in the order given."""
        prefixed = [self.document_prefix + text for text in texts]
        rows = self._rows(prefixed, marker=self.document_marker, most=self.max_tokens)
        made: list[Vectors] = [np.zeros((0, self.dimension), dtype=np.float32) for _ in rows]
        with progress.task(f"encoding with {self.name}", total=len(rows)) as advance:
            for batch in length_batches(
                [len(r) for r in rows], token_budget=self.session.token_budget
            ):
                taken = [rows[i] for i in batch]
                ids, mask = padded(taken, padding=self.tokenizer.padding_id)
                vectors = self._run(ids, mask)
                for line, place in enumerate(batch):
                    keep = [t for t, i in enumerate(taken[line]) if i not in self.skipped]
                    made[place] = vectors[line, keep]
                advance(len(batch))
        return made

    def _rows(self, texts: Sequence[str], *, marker: int | None, most: int) -> list[Ids]:
        """Return ids with the model's own tokens around them, the marker after the first."""
        before = [*self.layout.before, *([] if marker is None else [marker])]
        after = self.layout.after
        room = most - len(before) - len(after)
        plain = self.tokenizer.encode_plain(texts)
        return [[*before, *ids[: max(room, 0)], *after] for ids in plain]

    def _run(self, ids: NDArray[np.int64], mask: NDArray[np.int64]) -> Vectors:
        feeds = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        made: Vectors = self.session.run(feeds)["token_vectors"]
        return made


def max_sim(query: Vectors, document: Vectors) -> float:
    """Return the MaxSim score of a document for a query.

    Args:
        query: ``(query tokens, dimension)``.
        document: ``(document tokens, dimension)``; a document without vectors scores 0.

    Example:
        >>> one, other = np.eye(2, dtype=np.float32)
        >>> max_sim(np.stack([one, other]), np.stack([one, one]))
        1.0
    """
    if not len(document):
        return 0.0
    return float((query @ document.T).max(axis=1).sum())
