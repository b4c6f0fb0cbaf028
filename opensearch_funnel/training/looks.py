"""Looks at a model while it learns: rerank what BM25 finds for queries that it never trains on."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Sequence

from opensearch_funnel.training.bm25 import TextIndex
from opensearch_funnel.training.corpora import Document, Judged

ScorePairs = Callable[[list[tuple[str, str]]], Sequence[float]]
"""One score for each (query, document text), higher for better."""

_DEPTH = 50
_CUTOFF = 10


def ndcg_at_10(order: Sequence[str], *, relevant: Collection[str]) -> float:
    """Measure one ranking against binary grades (Järvelin and Kekäläinen 2002).

    Example:
        >>> ndcg_at_10(["x", "a"], relevant={"a"}) == 1 / math.log2(3)
        True
    """
    gain = sum(
        1 / math.log2(rank + 1)
        for rank, doc_id in enumerate(order[:_CUTOFF], start=1)
        if doc_id in relevant
    )
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(_CUTOFF, len(relevant)) + 1))
    return gain / best if best else 0.0


class Look:
    """A fixed sample of judged queries and the corpus that they search.

    Args:
        name: what the figures are called.
        documents: the corpus.
        index: BM25 over ``Document.indexed``, in the order of ``documents``.
        judged: queries that are not trained on.
        queries: how many of them to take; the same ones every time.
    """

    def __init__(
        self,
        name: str,
        *,
        documents: Sequence[Document],
        index: TextIndex,
        judged: Sequence[Judged],
        queries: int,
    ) -> None:
        self.name = name
        self._documents = documents
        self._index = index
        # Not for secrets: a sample that every run draws alike.
        self._judged = random.Random(7).sample(judged, min(queries, len(judged)))  # noqa: S311

    def measure(self, score: ScorePairs) -> dict[str, float]:
        """Rerank the top 50 of every query and compare with BM25's own order.

        Args:
            score: the model.

        Returns:
            ``queries``; mean nDCG@10 ``bm25`` and ``reranked``; the ``gain``; and ``gain_95``, half
            the width of its paired 95 % interval (normal approximation).
        """
        before, after = [], []
        for query in self._judged:
            hits = [self._documents[place] for place in self._index.search(query.text, k=_DEPTH)]
            found = [hit.doc_id for hit in hits]
            before.append(ndcg_at_10(found, relevant=query.relevant))
            scores = score([(query.text, hit.indexed) for hit in hits]) if hits else []
            order = sorted(range(len(hits)), key=lambda place: (-scores[place], place))
            after.append(ndcg_at_10([found[place] for place in order], relevant=query.relevant))
        count = len(after)
        gains = [a - b for a, b in zip(after, before, strict=True)]
        mean = sum(gains) / count
        deviation = math.sqrt(sum((gain - mean) ** 2 for gain in gains) / max(count - 1, 1))
        figures = {
            "bm25": sum(before) / count,
            "reranked": sum(after) / count,
            "gain": mean,
            "gain_95": 1.96 * deviation / math.sqrt(count),
        }
        return {"queries": count, **{name: round(value, 4) for name, value in figures.items()}}
