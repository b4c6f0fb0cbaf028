"""What the stages of a system made of single documents: why a document is where it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opensearch_funnel.core.ranking import Query

_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class LegPlace:
    """Where one leg has a document.

    Attributes:
        rank: its place among what the leg found, from 1; ``None`` where it is not there.
        terms: what matched, with its part of the leg's score, the most first.
    """

    rank: int | None
    terms: Sequence[tuple[str, float]] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of it."""
        terms = [{"term": term, "score": round(score, _DIGITS)} for term, score in self.terms]
        return {"rank": self.rank, "terms": terms}


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentTrace:
    """One document on its way through the stages of a system.

    Attributes:
        legs: where each leg has it, by the leg's name.
        fused: its place after fusion, from 1; ``None`` where the fusion took no part.
        reranked: its place after reranking; ``None`` where no reranker saw it.
        doubts: what does not agree with what the system answered, a sentence each.
    """

    legs: Mapping[str, LegPlace] = field(default_factory=dict)
    fused: int | None = None
    reranked: int | None = None
    doubts: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of it; ``doubts`` only where there are any."""
        plain: dict[str, Any] = {
            "legs": {name: place.to_json() for name, place in self.legs.items()},
            "fused": self.fused,
            "reranked": self.reranked,
        }
        return {**plain, "doubts": list(self.doubts)} if self.doubts else plain


Tracer = Callable[[Query, Sequence[str]], Mapping[str, DocumentTrace]]
"""Asks a system for the traces of some documents of a query's answer, by their ids; one that is
not in the answer has none."""
