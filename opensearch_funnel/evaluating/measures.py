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

_PATTERN = re.compile(
    r"(?P<condensed>condensed-)?(?P<kind>[a-z]+)(?:@(?P<cutoff>[1-9][0-9]{0,4}))?", re.IGNORECASE
)
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
    "bpref": "Bpref",
}
_CUT_OR_WHOLE = ("MRR", "MAP")
_NEVER_CUT = ("Bpref",)
# Both look at judged documents only: without the others they would be themselves, or always 1.
_NEVER_CONDENSED = ("Bpref", "Judged")
_FOREIGN_NAMES = {"MRR": "RR", "MAP": "AP"}
_SAMPLES = 5000
_CHUNK = 500
_SEED = 20_240_917


@dataclass(frozen=True, slots=True)
class Measure:
    """A measure with its cutoff.

    Attributes:
        kind: ``nDCG``, ``R``, ``MRR``, ``P``, ``MAP``, ``Success``, ``Judged`` (the share of
            the ranking that a person looked at), or ``Bpref`` (how often a relevant document is
            above those judged not relevant; Buckley and Voorhees, SIGIR 2004).
        cutoff: only so many documents of a ranking count; 0 for all of them.
        condensed: documents without a judgment are taken out of the ranking first (Sakai,
            SIGIR 2007), so that a system is not held to account for what nobody looked at.
    """

    kind: str
    cutoff: int = 0
    condensed: bool = False

    def __str__(self) -> str:
        cut = f"@{self.cutoff}" if self.cutoff else ""
        return f"{'condensed-' if self.condensed else ''}{self.kind}{cut}"


DEFAULT_MEASURES = (Measure("nDCG", 10), Measure("R", 100))


def measure_named(name: str) -> Measure:
    """Read a measure's name.

    Raises:
        InputError: there is no such measure.

    Example:
        >>> str(measure_named("ndcg@10")), str(measure_named("RR@10"))
        ('nDCG@10', 'MRR@10')
        >>> measure_named("condensed-nDCG@10").condensed, str(measure_named("bpref"))
        (True, 'Bpref')
    """
    found = _PATTERN.fullmatch(name.strip())
    kind = _KINDS.get(found["kind"].lower(), "") if found else ""
    cutoff = int(found["cutoff"] or 0) if found else 0
    condensed = bool(found and found["condensed"])
    fits = kind not in _NEVER_CUT if cutoff else kind in (*_CUT_OR_WHOLE, *_NEVER_CUT)
    if not kind or not fits or (condensed and kind in _NEVER_CONDENSED):
        raise InputError(f"no measure {name.strip()!r}; there are: {_known_names()}")
    return Measure(kind, cutoff, condensed)


def _known_names() -> str:
    kinds = dict.fromkeys(_KINDS.values())
    cut = [f"{kind}@k" for kind in kinds if kind not in _NEVER_CUT]
    names = ", ".join([*cut, *_CUT_OR_WHOLE, *_NEVER_CUT])
    return f"{names}; condensed- before one leaves documents without a judgment out"


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
    rankings = {query_id: _checked(run.get(query_id, ()), query_id=query_id) for query_id in qrels}
    values: dict[Measure, dict[str, float]] = {}
    for measure in dict.fromkeys(measures):
        values[measure] = dict.fromkeys(qrels, 0.0)
    whole = [measure for measure in values if not measure.condensed]
    if whole:
        _fill(values, whole, rankings=rankings, qrels=qrels)
    condensed = [measure for measure in values if measure.condensed]
    if condensed:
        judged_only = {
            query_id: [doc_id for doc_id in ranking if doc_id in qrels[query_id]]
            for query_id, ranking in rankings.items()
        }
        _fill(values, condensed, rankings=judged_only, qrels=qrels)
    return values


def _fill(
    values: Mapping[Measure, dict[str, float]],
    measures: Sequence[Measure],
    *,
    rankings: Run,
    qrels: Mapping[str, Mapping[str, int]],
) -> None:
    """Write what each query reached; those without results keep what they have."""
    ir_measures = _ir_measures()
    foreign = {_foreign(ir_measures, measure): measure for measure in measures}
    # trec_eval's code reads memory that is not its own at a negative grade, and the process dies.
    judged = [
        ir_measures.Qrel(query_id, doc_id, max(grade, 0))
        for query_id, grades in qrels.items()
        for doc_id, grade in grades.items()
    ]
    scored = [
        ir_measures.ScoredDoc(query_id, doc_id, 1.0 / rank)
        for query_id, ranking in rankings.items()
        for rank, doc_id in enumerate(ranking, start=1)
    ]
    for metric in ir_measures.iter_calc(list(foreign), judged, scored):
        values[foreign[metric.measure]][metric.query_id] = float(metric.value)


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
    found = getattr(ir_measures, _FOREIGN_NAMES.get(measure.kind, measure.kind))
    return found @ measure.cutoff if measure.cutoff else found


def _ir_measures() -> Any:
    try:
        import ir_measures
    except ImportError as error:
        raise MissingExtraError("ir-measures", extra="evaluation") from error
    return ir_measures
