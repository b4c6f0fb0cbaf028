"""A query and texts to scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.encoders.batching import length_batches
from opensearch_funnel.encoders.session import Session, padded
from opensearch_funnel.encoders.tokens import Ids, PairLayout, TextTokenizer

Pair = tuple[Ids, Ids]
"""Token ids of a query and a text as the model reads them, and their token types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossEncoder:
    """A cross-encoder, ready to run; a ``PairScorer``, safe to call from several threads.

    Example:
        >>> from opensearch_funnel.encoders.opening import open_encoder
        >>> encoder = open_encoder("funnel-reranker-mini")  # doctest: +SKIP
        >>> good, bad = encoder.score("hotel in paris", ["a hotel", "a fish"])  # doctest: +SKIP
    """

    name: str
    fingerprint: str
    max_tokens: int
    session: Session
    tokenizer: TextTokenizer
    layout: PairLayout
    query_prefix: str = ""
    document_prefix: str = ""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Score each text against the query, in the order given.

        A query may fill at most half of ``max_tokens``; what is left is the text's, which is cut
        at its end.

        Returns:
            One logit a text: higher is better, of any sign.
        """
        if not texts:
            return []
        question = self.query_ids(query)
        pairs = [self.pair(question, document) for document in self.document_ids(texts)]
        scores = np.zeros(len(pairs), dtype=np.float64)
        for batch in length_batches(
            [len(p[0]) for p in pairs], token_budget=self.session.token_budget
        ):
            scores[batch] = self.score_batch([pairs[i] for i in batch])
        return [float(score) for score in scores]

    def query_ids(self, query: str) -> Ids:
        """Return the token ids of a query, for ``pair``."""
        (ids,) = self.tokenizer.encode_plain([self.query_prefix + query])
        return ids

    def document_ids(self, texts: Sequence[str]) -> list[Ids]:
        """Return the token ids of each text, for ``pair``; they hold with any query."""
        return self.tokenizer.encode_plain([self.document_prefix + text for text in texts])

    def pair(self, query: Ids, document: Ids) -> Pair:
        """Put a query and a text together as the model reads them."""
        query = query[: self.max_tokens // 2]
        document = document[: max(0, self.max_tokens - self.layout.overhead - len(query))]
        parts = (self.layout.before, query, self.layout.between, document, self.layout.after)
        ids = [i for part in parts for i in part]
        types = [t for part, t in zip(parts, self.layout.types, strict=True) for _ in part]
        return ids, types

    def score_batch(self, pairs: Sequence[Pair]) -> NDArray[np.float32]:
        """Run the model once and return the score of each pair, ``(pairs,)``.

        A score does not depend on what else is in the batch.
        """
        ids, mask = padded([p[0] for p in pairs], padding=self.tokenizer.padding_id)
        types, _ = padded([p[1] for p in pairs], padding=0)
        made = self.session.run({"input_ids": ids, "attention_mask": mask, "token_type_ids": types})
        if "scores" in made:
            scores: NDArray[np.float32] = made["scores"]
            return scores.reshape(len(pairs))
        # A graph made elsewhere calls them logits: one a pair, or one each for no and yes.
        logits: NDArray[np.float32] = made["logits"].reshape(len(pairs), -1)
        return logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
