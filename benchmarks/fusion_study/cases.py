"""A part of a collection as it is, or with broken legs: as arrays that are quick to fuse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.fusion_study.found import LEGS, SPOILED, Asked, Hits
from benchmarks.fusion_study.signals import SIGNALS, Floats, signals_of
from opensearch_funnel.core.normalization import min_max

Kind = Literal["natural", "permuted", "degraded"]
KINDS: tuple[Kind, ...] = ("natural", "permuted", "degraded")
CUT = 10
"""Documents that nDCG looks at."""
DISCOUNTS = 1.0 / np.log2(np.arange(2, CUT + 2))

_DEEP = 100
"""A document that no leg has among so many, and that is not relevant, is left out."""
_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What is done to the legs.

    Attributes:
        kind: ``permuted``: the documents of a leg are other ones, so that it says nothing.
            ``degraded``: it was searched worse (``found.SPOILED``).
        legs: which.
        name: in a table.
    """

    kind: Kind
    legs: Sequence[str]
    name: str


VARIANTS = (
    Variant(kind="natural", legs=(), name=""),
    *(Variant(kind="permuted", legs=(leg,), name=f"permuted {leg}") for leg in LEGS),
    *(Variant(kind="degraded", legs=(leg,), name=f"degraded {leg}") for leg in LEGS),
    Variant(kind="degraded", legs=("sparse", "dense"), name="degraded neural"),
    Variant(kind="degraded", legs=("bm25", "sparse"), name="degraded lexical"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Full:
    """What a document that holds all of a query gets, told by probes of a collection's own words.

    Attributes:
        match: in the sparse leg, by the leg's column.
        coverage: in BM25, a unit of the words' mass, by the leg's column.
    """

    match: Mapping[str, float]
    coverage: Mapping[str, float]

    @classmethod
    def of(cls, probes: Sequence[Asked]) -> Full:
        """Read it from probes; 0 where there are none."""

        def median(column: str, *, by_mass: bool) -> float:
            best = [
                one.columns[column].scores[0] / (one.mass if by_mass else 1.0)
                for one in probes
                if one.columns[column].scores and one.mass > 0
            ]
            return float(np.median(best)) if best else 0.0

        return cls(
            match={c: median(c, by_mass=False) for c in ("sparse", SPOILED["sparse"])},
            coverage={c: median(c, by_mass=True) for c in ("bm25", SPOILED["bm25"])},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """Judged queries over three legs, one of which may be broken.

    Attributes:
        part: the collection and its split.
        collection: of these, the first.
        family: what it is akin to.
        fitted: whether constants may be fitted on it.
        variant: what was done to the legs.
        query_ids: of the queries.
        signals: ``(queries, signals, legs)``, in the order of ``SIGNALS``.
        normalized: scores from 0 to 1, ``(queries, documents, legs)``; 0 where a leg did not find
            a document, and where there is none.
        ranks: from 1; ``inf`` where a leg did not find it.
        gains: the grade of each document, at least 0.
        ideal: the best DCG of each query.
    """

    part: str
    collection: str
    family: str
    fitted: bool
    variant: Variant
    query_ids: Sequence[str]
    signals: Floats
    normalized: NDArray[np.float32]
    ranks: NDArray[np.float32]
    gains: NDArray[np.float32]
    ideal: Floats

    @property
    def name(self) -> str:
        """The part and what was done."""
        return f"{self.part} {self.variant.name}".strip()

    @property
    def found(self) -> NDArray[np.bool_]:
        """Where there is a document."""
        there: NDArray[np.bool_] = np.asarray(np.isfinite(self.ranks).any(axis=2))
        return there

    def signal(self, name: str) -> Floats:
        """Return one signal, ``(queries, legs)``."""
        return self.signals[:, SIGNALS.index(name)]


def found_in(asked: Asked, variant: Variant, *, renamed: Mapping[str, str]) -> dict[str, Hits]:
    """Return what the legs found, after what a variant does to them.

    Args:
        asked: a query.
        variant: what is done.
        renamed: the document that another one's place is given to (``permuted``).
    """
    found = {}
    for leg in LEGS:
        spoiled = leg in variant.legs
        hits = asked.columns[SPOILED[leg] if spoiled and variant.kind == "degraded" else leg]
        if spoiled and variant.kind == "permuted":
            hits = replace(hits, ids=[renamed[one] for one in hits.ids])
        found[leg] = hits
    return found


def permuted(doc_ids: Sequence[str]) -> dict[str, str]:
    """Give each document the name of one that is drawn for it.

    Example:
        >>> sorted(permuted(["a", "b", "c"]).values())
        ['a', 'b', 'c']
    """
    ordered = sorted(doc_ids)
    drawn = np.random.default_rng(_SEED).permutation(len(ordered))
    return {one: ordered[place] for one, place in zip(ordered, drawn, strict=True)}


def signals_of_all(
    asked: Sequence[Asked], variant: Variant, *, renamed: Mapping[str, str], full: Full
) -> Floats:
    """Return the signals of all queries, ``(queries, signals, legs)``."""
    worse = variant.legs if variant.kind == "degraded" else ()
    match = full.match[SPOILED["sparse"] if "sparse" in worse else "sparse"]
    coverage = full.coverage[SPOILED["bm25"] if "bm25" in worse else "bm25"]
    return np.array(
        [
            signals_of(
                {
                    leg: hits.as_leg_hits()
                    for leg, hits in found_in(one, variant, renamed=renamed).items()
                },
                text=one.text,
                full_match=match,
                full_coverage=coverage * one.mass,
            )
            for one in asked
        ]
    )


def arrays_of(
    asked: Sequence[Asked], variant: Variant, *, renamed: Mapping[str, str]
) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of a case that tell of documents: scores, ranks and gains."""
    rows = [_documents(found_in(one, variant, renamed=renamed), grades=one.grades) for one in asked]
    width = max(1, *(len(row.gains) for row in rows))
    shape = (len(rows), width)
    arrays = {
        "normalized": np.zeros((*shape, len(LEGS)), dtype=np.float32),
        "ranks": np.full((*shape, len(LEGS)), np.inf, dtype=np.float32),
        "gains": np.zeros(shape, dtype=np.float32),
    }
    for place, row in enumerate(rows):
        documents = len(row.gains)
        arrays["normalized"][place, :documents] = row.normalized
        arrays["ranks"][place, :documents] = row.ranks
        arrays["gains"][place, :documents] = row.gains
    return arrays


@dataclass(frozen=True, slots=True)
class _Documents:
    normalized: NDArray[np.float32]
    ranks: NDArray[np.float32]
    gains: NDArray[np.float32]


def _documents(legs: Mapping[str, Hits], *, grades: Mapping[str, int]) -> _Documents:
    names, place = np.unique(
        np.concatenate([np.array(hits.ids, dtype=str) for hits in legs.values()]),
        return_inverse=True,
    )
    shape = (len(names), len(legs))
    ranks = np.full(shape, np.inf, dtype=np.float32)
    normalized = np.zeros(shape, dtype=np.float32)
    start = 0
    for column, hits in enumerate(legs.values()):
        own = place[start : start + len(hits.ids)]
        ranks[own, column] = np.arange(1, len(own) + 1)
        normalized[own, column] = min_max(np.array(hits.scores, dtype=np.float32))
        start += len(own)
    gains = np.array([max(0, grades.get(str(name), 0)) for name in names], dtype=np.float32)
    kept = (gains > 0) | (ranks.min(axis=1, initial=np.inf) <= _DEEP)
    return _Documents(normalized[kept], ranks[kept], gains[kept])


def ideal_of(asked: Sequence[Asked]) -> Floats:
    """Return the best DCG@10 of each query.

    Example:
        >>> ideal_of([Asked(query_id="q", text="q", grades={"a": 1, "b": 0}, columns={})])
        array([1.])
    """
    best = []
    for one in asked:
        grades = sorted((max(0, grade) for grade in one.grades.values()), reverse=True)[:CUT]
        best.append(float(np.dot(grades, DISCOUNTS[: len(grades)])))
    return np.array(best)
