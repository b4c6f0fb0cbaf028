"""A query that was made of a document, and where each leg has that document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

from opensearch_funnel.core.leg_hit import LegHit

CUTOFF = 10
"""The last rank that counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probed:
    """What the legs found for one probe.

    Attributes:
        target: the document that the query was made of.
        found: each leg's hits, by its name; the best of every shard.

    Example:
        >>> hits = [LegHit(doc_id="a", score=3.0), LegHit(doc_id="b", score=2.0)]
        >>> probe = Probed(target="b", found={"bm25": hits, "dense": []})
        >>> probe.reciprocal_ranks
        (0.5, 0.0)
        >>> [round(one, 3) for one in probe.ndcgs]
        [0.631, 0.0]
    """

    target: str
    found: Mapping[str, Sequence[LegHit]]

    @property
    def reciprocal_ranks(self) -> tuple[float, ...]:
        """One over the document's rank in each leg, 0 where it was not found.

        Among equal scores a document has the rank in their middle: a leg that gives all documents
        the same score knows none of them.
        """
        return tuple(_reciprocal_rank(hits, target=self.target) for hits in self.found.values())

    @property
    def ndcgs(self) -> tuple[float, ...]:
        """What each leg reaches in nDCG@10, where the document alone is right.

        Of equal scores the document's is taken for the best.
        """
        return tuple(_ndcg(hits, target=self.target) for hits in self.found.values())

    def replaced(self, scores: Mapping[str, float], *, depth: int) -> Probed:
        """Return what the legs would have found if they scored the document like this.

        Args:
            scores: the document's in each leg; it is not found where that is not above 0.
            depth: hits that a leg keeps.

        Example:
            >>> hits = [LegHit(doc_id="a", score=3.0), LegHit(doc_id="b", score=2.0)]
            >>> probe = Probed(target="b", found={"bm25": hits})
            >>> probe.replaced({"bm25": 5.0}, depth=2).ndcgs
            (1.0,)
            >>> probe.replaced({"bm25": 0.0}, depth=2).ndcgs
            (0.0,)
        """
        place = next(
            (hit for hits in self.found.values() for hit in hits if hit.doc_id == self.target), None
        )
        shard = place.shard if place else 0
        number = place.doc_number if place else None
        found: dict[str, Sequence[LegHit]] = {}
        for leg, hits in self.found.items():
            others = [hit for hit in hits if hit.doc_id != self.target]
            score = scores[leg]
            reached = score > 0 and sum(hit.score > score for hit in others) < depth
            own = LegHit(doc_id=self.target, score=score, shard=shard, doc_number=number)
            found[leg] = [*others, own] if reached else others
        return Probed(target=self.target, found=found)


def ndcg_at(rank: int) -> float:
    """Return nDCG@10 where the only right document has a rank, from 1.

    Example:
        >>> ndcg_at(1), ndcg_at(3), ndcg_at(11)
        (1.0, 0.5, 0.0)
    """
    return 1 / log2(1 + rank) if rank <= CUTOFF else 0.0


def _score(hits: Sequence[LegHit], *, target: str) -> float:
    return next((hit.score for hit in hits if hit.doc_id == target), 0.0)


def _reciprocal_rank(hits: Sequence[LegHit], *, target: str) -> float:
    own = _score(hits, target=target)
    if own <= 0:
        return 0.0
    better = sum(hit.score > own for hit in hits)
    equal = sum(hit.score == own for hit in hits) - 1
    return 1 / (1 + better + equal / 2)


def _ndcg(hits: Sequence[LegHit], *, target: str) -> float:
    own = _score(hits, target=target)
    return ndcg_at(1 + sum(hit.score > own for hit in hits)) if own > 0 else 0.0
