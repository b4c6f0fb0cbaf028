"""A document as one leg found it: what fusion starts from."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class LegHit(NamedTuple):
    """A document as one leg found it; a tuple, because a search makes hundreds while it waits.

    Attributes:
        doc_id: its id.
        score: the leg's raw score; finite. The engine leaves out what scores 0 or less.
        shard: the place of its shard in the engine's order.
        doc_number: its number inside that shard (what sorting by ``_doc`` shows). It breaks
            ties as the engine does; without it they fall by ``doc_id``.
    """

    doc_id: str
    score: float
    shard: int = 0
    doc_number: int | None = None

    @property
    def tie(self) -> tuple[int, str]:
        """What equal scores on one shard fall by: documents with a number are told apart by it."""
        return (-1, self.doc_id) if self.doc_number is None else (self.doc_number, "")


def best_overall(hits: Iterable[LegHit], *, depth: int | None = None) -> list[LegHit]:
    """Return what a leg finds where the shards of an index are searched as one.

    Args:
        hits: of every shard, as many as are looked for overall.
        depth: how many; all by default.

    Returns:
        Best first; equal scores by document number, then by shard, as the engine merges them.

    Example:
        >>> hits = [LegHit("a", 2.0, 0, 7), LegHit("b", 1.0, 0, 1), LegHit("c", 2.0, 1, 3)]
        >>> [hit.doc_id for hit in best_overall(hits, depth=2)]
        ['c', 'a']
    """
    return sorted(hits, key=_best_first)[:depth]


def _best_first(hit: LegHit) -> tuple[float, int, str, int]:
    doc_id, score, shard, number = hit
    # ``tie``, spelled out: hundreds of hits are sorted while somebody waits.
    return (-score, -1, doc_id, shard) if number is None else (-score, number, "", shard)
