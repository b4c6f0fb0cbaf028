"""Rankings and judgments into measures, through ir-measures (which runs trec_eval's own code)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opensearch_funnel.core.errors import InputError, MissingExtraError

Run = Mapping[str, Sequence[str]]
"""Query id → document ids, best first."""
Values = Mapping[str, float]
"""Query id → the measure's value for that query."""

_PATTERN = re.compile(r"(?P<kind>[A-Za-z]+)@(?P<cutoff>[1-9][0-9]{0,4})")
_KINDS = {
    "ndcg": "nDCG",
    "r": "R",
    "recall": "R",
    "mrr": "MRR",
    "rr": "MRR",
    "p": "P",
    "map": "MAP",
    "ap": "MAP",
    "success": "Success",
    "judged": "Judged",
}
_FOREIGN_NAMES = {"MRR": "RR", "MAP": "AP"}
_SAMPLES = 5000
_CHUNK = 500
_SEED = 20_240_917


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure with its cutoff.

    Attributes:
        kind: ``nDCG``, ``R``, ``MRR``, ``P``, ``MAP``, ``Success``, or ``Judged`` (the share of
            the ranking that a person looked at).
        cutoff: only so many documents of a ranking count.
    """

    kind: str
    cutoff: int

    def __str__(self) -> str:
        return f"{self.kind}@{self.cutoff}"


DEFAULT_MEASURES = (Measure("nDCG", 10), Measure("R", 100))


def measure_named(name: str) -> Measure:
    """Read a measure's name.

    Raises:
        InputError: there is no such measure.

    Example:
        >>> str(measure_named("ndcg@10")), str(measure_named("RR@10"))
        ('nDCG@10', 'MRR@10')
    """
    found = _PATTERN.fullmatch(name.strip())
    kind = _KINDS.get(found["kind"].lower()) if found else None
    if found is None or kind is None:
        known = ", ".join(f"{kind}@k" for kind in dict.fromkeys(_KINDS.values()))
        raise InputError(f"no measure {name.strip()!r}; there are: {known}")
    return Measure(kind, int(found["cutoff"]))


def measure_run(
    run: Run, *, qrels: Mapping[str, Mapping[str, int]], measures: Iterable[Measure]
) -> dict[Measure, dict[str, float]]:
    """Measure each query of a run.

    Scores handed to trec_eval are 1/rank, so that its breaking of ties cannot reorder what a
    system returned.

    Args:
        run: what a system returned; a query without an entry counts as one without results.
        qrels: the judgments; each of its queries is measured, and no other. A negative grade
            counts as 0.
        measures: what to compute.

    Returns:
        For each measure the value of each query of ``qrels``.

    Raises:
        InputError: a ranking has a document twice.
        MissingExtraError: ir-measures is not installed.

    Example:
        >>> ndcg = Measure("nDCG", 10)
        >>> measure_run({"q": ["b", "a"]}, qrels={"q": {"b": 1}}, measures=[ndcg])[ndcg]
        {'q': 1.0}
    """
    ir_measures = _ir_measures()
    wanted = tuple(dict.fromkeys(measures))
    foreign = {_foreign(ir_measures, measure): measure for measure in wanted}
    # trec_eval's code reads memory that is not its own at a negative grade, and the process dies.
    judged = [
        ir_measures.Qrel(query_id, doc_id, max(grade, 0))
        for query_id, grades in qrels.items()
        for doc_id, grade in grades.items()
    ]
    scored = [
        ir_measures.ScoredDoc(query_id, doc_id, 1.0 / rank)
        for query_id in qrels
        for rank, doc_id in enumerate(_checked(run.get(query_id, ()), query_id=query_id), start=1)
    ]
    values = {measure: dict.fromkeys(qrels, 0.0) for measure in wanted}
    for metric in ir_measures.iter_calc(list(foreign), judged, scored):
        values[foreign[metric.measure]][metric.query_id] = float(metric.value)
    return values


def mean(values: Values) -> float:
    """Return the mean over queries; 0 for none."""
    return float(np.mean(list(values.values()))) if values else 0.0


def bootstrap_interval(
    values: Values, *, confidence: float = 0.95, samples: int = _SAMPLES, seed: int = _SEED
) -> tuple[float, float]:
    """Return the interval that the mean falls into when other such queries are drawn.

    Queries are drawn with replacement and the mean's percentiles taken (Efron's percentile
    bootstrap). Seeded: the same values always give the same interval.

    Args:
        values: of each query.
        confidence: the share of draws inside.
        samples: how many draws.
        seed: of the draws.

    Returns:
        The lower and upper end; ``(0, 0)`` without queries.
    """
    each = np.asarray([values[query_id] for query_id in sorted(values)], dtype=np.float64)
    if not len(each):
        return (0.0, 0.0)
    rng = np.random.default_rng(seed)
    # In parts: all draws at once would take 8 bytes times samples times queries.
    means = np.concatenate(
        [
            each[rng.integers(len(each), size=(min(_CHUNK, samples - done), len(each)))].mean(
                axis=1
            )
            for done in range(0, samples, _CHUNK)
        ]
    )
    outside = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, [outside, 1.0 - outside])
    return (float(low), float(high))


def _checked(ranking: Sequence[str], *, query_id: str) -> Sequence[str]:
    if len(set(ranking)) != len(ranking):
        raise InputError(f"the ranking of query {query_id!r} has a document twice")
    return ranking


def _foreign(ir_measures: Any, measure: Measure) -> Any:
    return getattr(ir_measures, _FOREIGN_NAMES.get(measure.kind, measure.kind)) @ measure.cutoff


def _ir_measures() -> Any:
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtraError("ir-measures", extra="evaluation") from error
    return ir_measures
