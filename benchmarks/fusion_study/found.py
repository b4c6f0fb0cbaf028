"""What the legs found for queries with known answers, whole and spoiled, kept in a file."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from opensearch_funnel.core.leg_hit import LegHit

LEGS = ("bm25", "sparse", "dense")
SPOILED = {"bm25": "bm25:half", "sparse": "sparse:3", "dense": "dense:40"}
"""The column of each leg when it is worse than it was: half of the query's words, the three
heaviest terms, the first 40 dimensions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """What one leg found for one query, best first: three rows of the same length."""

    ids: Sequence[str]
    scores: Sequence[float]
    numbers: Sequence[int]

    def as_leg_hits(self) -> list[LegHit]:
        """Return them as the product has them."""
        rows = zip(self.ids, self.scores, self.numbers, strict=True)
        return [LegHit(doc_id=d, score=s, doc_number=n) for d, s, n in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A query, what is known to answer it, and what was found.

    Attributes:
        query_id: of the query.
        text: what was asked.
        grades: of each judged document.
        columns: the hits by column: of each leg, and of each spoiled one (``SPOILED``).
        cut: what each leg gives the query's own document without the query's words; of probes.
        mass: of the query's words, the inverse document frequencies added up.
    """

    query_id: str
    text: str
    grades: Mapping[str, int]
    columns: Mapping[str, Hits]
    cut: Mapping[str, float] = field(default_factory=dict)
    mass: float = 0.0


def save_asked(path: Path, asked: Sequence[Asked]) -> None:
    """Write queries with what was found for them; the file is whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(gzip.compress(orjson.dumps([asdict(one) for one in asked]), compresslevel=1))
    fresh.replace(path)


def load_asked(path: Path) -> list[Asked]:
    """Read what ``save_asked`` wrote."""
    rows: list[dict[str, Any]] = orjson.loads(gzip.decompress(path.read_bytes()))
    return [
        Asked(**{**row, "columns": {name: Hits(**hits) for name, hits in row["columns"].items()}})
        for row in rows
    ]
