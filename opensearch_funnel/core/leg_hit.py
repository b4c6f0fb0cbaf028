"""A document as one leg found it: what fusion starts from."""

from __future__ import annotations

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
