"""A cross-encoder in the place of judgments: does it know which leg is the better one?

For some queries the best hits of the legs are put together and scored by the default plan's first
reranker. Its scores are taken for grades, and the legs measured with them. On probes the document
that a probe was made of is left out: every leg finds that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import orjson

from benchmarks.fusion_study.cases import CUT, DISCOUNTS
from benchmarks.fusion_study.found import LEGS, Asked
from opensearch_funnel.core.stage import PairScorer

QUERIES = 60
_DIGITS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """What a teacher says of the legs: mean nDCG@10 by its grades.

    Attributes:
        queries: how many it read.
        values: by leg.
    """

    queries: int
    values: Mapping[str, float]


def taught(
    asked: Sequence[Asked],
    *,
    teacher: PairScorer,
    texts: Mapping[str, str],
    own_left_out: bool,
    kept_at: Path,
) -> Taught:
    """Measure the legs by a cross-encoder's scores.

    Args:
        asked: queries with what was found; the first 60 are read.
        teacher: scores texts for a query.
        texts: what it reads of a document, by id.
        own_left_out: leave out the documents that are known to answer.
        kept_at: the answer is read from this file where it is there.
    """
    if kept_at.is_file():
        return Taught(**orjson.loads(kept_at.read_bytes()))
    per_leg: dict[str, list[float]] = {leg: [] for leg in LEGS}
    for one in asked[:QUERIES]:
        left_out = set(one.grades) if own_left_out else set()
        best = {leg: [d for d in one.columns[leg].ids if d not in left_out][:CUT] for leg in LEGS}
        pool = sorted({doc_id for ids in best.values() for doc_id in ids})
        scores = teacher.score(one.text, [texts[doc_id] for doc_id in pool])
        grades = _grades(dict(zip(pool, scores, strict=True)))
        for leg in LEGS:
            per_leg[leg].append(_ndcg([grades[d] for d in best[leg]], list(grades.values())))
    found = Taught(
        queries=len(asked[:QUERIES]),
        values={leg: round(float(np.mean(own)), _DIGITS) for leg, own in per_leg.items()},
    )
    kept_at.parent.mkdir(parents=True, exist_ok=True)
    kept_at.write_bytes(orjson.dumps(asdict(found)))
    return found


def _grades(scores: Mapping[str, float]) -> dict[str, float]:
    """Turn scores into grades: 0 up to the median of the pool, 1 for the best.

    Example:
        >>> _grades({"a": 3.0, "b": 2.0, "c": 1.0})
        {'a': 1.0, 'b': 0.0, 'c': 0.0}
    """
    middle, top = float(np.median(list(scores.values()))), max(scores.values())
    spread = top - middle
    return {d: max(0.0, one - middle) / spread if spread else 0.0 for d, one in scores.items()}


def _ndcg(gains: Sequence[float], all_gains: Sequence[float]) -> float:
    ideal = sorted(all_gains, reverse=True)[:CUT]
    best = float(np.dot(ideal, DISCOUNTS[: len(ideal)]))
    return float(np.dot(gains, DISCOUNTS[: len(gains)])) / best if best else 0.0
