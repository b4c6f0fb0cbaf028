"""Small collections, made by chance and the same each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.fusion_study.cases import (
    VARIANTS,
    Case,
    Full,
    Variant,
    arrays_of,
    ideal_of,
    permuted,
    signals_of_all,
)
from benchmarks.fusion_study.found import LEGS, SPOILED, Asked, Hits

DOCUMENTS = [f"d{number:02}" for number in range(40)]
FULL = Full(
    match={"sparse": 1.0, SPOILED["sparse"]: 1.0}, coverage={"bm25": 1.0, SPOILED["bm25"]: 1.0}
)


def hits(rng: np.random.Generator, *, first: str = "", apart: float = 0.0) -> Hits:
    """Hits in any order; one document may be the first, and stand out by so much."""
    count = int(rng.integers(15, 25))
    others = [d for d in DOCUMENTS if d != first]
    ids = [str(d) for d in rng.choice(others, size=count, replace=False)]
    scores = sorted(rng.uniform(0.1, 1.0, size=count).tolist(), reverse=True)
    if first:
        ids, scores = [first, *ids], [scores[0] + apart, *scores]
    return Hits(ids=ids, scores=scores, numbers=[DOCUMENTS.index(d) for d in ids])


def asked(seed: int, *, queries: int = 12) -> list[Asked]:
    """Queries that one leg answers, by a hit that stands out; the others answer by chance."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(queries):
        right, knows = str(rng.choice(DOCUMENTS)), LEGS[number % len(LEGS)]
        columns = {
            leg: hits(rng, first=right, apart=1.0) if leg == knows else hits(rng) for leg in LEGS
        }
        columns |= {spoiled: hits(rng) for spoiled in SPOILED.values()}
        grades = {str(rng.choice(DOCUMENTS)): 0, right: 2}
        text = " ".join(["word"] * int(rng.integers(1, 6)))
        made.append(
            Asked(query_id=f"q{number}", text=text, grades=grades, columns=columns, mass=2.0)
        )
    return made


def case_of(
    queries: Sequence[Asked], variant: Variant = VARIANTS[0], *, family: str = "one"
) -> Case:
    """A case of these queries."""
    renamed = permuted(DOCUMENTS)
    arrays = arrays_of(queries, variant, renamed=renamed)
    return Case(
        part=f"{family}/test",
        collection=family,
        family=family,
        fitted=True,
        variant=variant,
        query_ids=[one.query_id for one in queries],
        signals=signals_of_all(queries, variant, renamed=renamed, full=FULL),
        normalized=arrays["normalized"],
        ranks=arrays["ranks"],
        gains=arrays["gains"],
        ideal=ideal_of(queries),
    )


def regraded(queries: Sequence[Asked]) -> list[Asked]:
    """The same queries with another answer each."""
    return [replace(one, grades={one.columns["bm25"].ids[3]: 1}) for one in queries]
