"""Measure systems on a data set, and say what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.differences import Difference, differences
from opensearch_funnel.evaluating.measures import (
    DEFAULT_MEASURES,
    Measure,
    Run,
    bootstrap_interval,
    mean,
    measure_run,
)
from opensearch_funnel.evaluating.systems import (
    LATENCY_QUERIES,
    Latency,
    System,
    measure_latency,
    run_system,
)

HITS = 100
"""How many documents a system is asked for, unless a measure looks deeper."""
JUDGED = Measure("Judged", 10)
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemReport:
    """What one system reached.

    Attributes:
        name: the system's.
        values: for each measure asked for, the value of each query.
        judged: the share of its top 10 that a person judged.
        latency: at ten documents a query.
        degraded: answers that lacked a stage; figures count only where it is 0.
        run: what it returned for each query.
    """

    name: str
    values: Mapping[Measure, Mapping[str, float]]
    judged: float
    latency: Latency
    degraded: int
    run: Run = field(default_factory=dict)

    def mean(self, measure: Measure) -> float:
        """Return the mean over queries."""
        return mean(self.values[measure])

    def interval(self, measure: Measure) -> tuple[float, float]:
        """Return the 95 % interval of the mean."""
        return bootstrap_interval(self.values[measure])

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of a system."""
        return {
            **{str(measure): round(self.mean(measure), _DIGITS) for measure in self.values},
            "intervals": {
                str(measure): [round(end, _DIGITS) for end in self.interval(measure)]
                for measure in self.values
            },
            "judged@10": round(self.judged, _DIGITS),
            "latency_ms": {
                "p50": round(self.latency.p50, 2),
                "p95": round(self.latency.p95, 2),
                "degraded": self.latency.degraded,
            },
            "degraded": self.degraded,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationReport:
    """What every system reached on one split of a data set."""

    dataset: Dataset
    index: str
    documents: int
    systems: Sequence[SystemReport]

    @property
    def differences(self) -> list[Difference]:
        """The systems that were measured against those that they have to beat."""
        return differences({system.name: system.values for system in self.systems})

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints; ``differences`` only where there are any."""
        plain: dict[str, Any] = {
            "dataset": self.dataset.name,
            "split": self.dataset.split,
            "index": self.index,
            "queries": len(self.dataset.queries),
            "skipped_queries": self.dataset.skipped_queries,
            "documents": self.documents,
            "systems": {system.name: system.to_json() for system in self.systems},
        }
        if found := self.differences:
            plain["differences"] = {one.name: one.to_json() for one in found}
        return plain


def hits_for(measures: Sequence[Measure]) -> int:
    """Return how many documents a system is asked for: enough for each of the measures.

    Example:
        >>> hits_for([Measure("nDCG", 10)]), hits_for([Measure("R", 500), Measure("nDCG", 10)])
        (100, 500)
    """
    return max(HITS, *(measure.cutoff for measure in measures))


def evaluate_systems(  # noqa: PLR0913 - what is measured, on what, and how
    systems: Sequence[System],
    dataset: Dataset,
    *,
    index: str,
    documents: int,
    measures: Sequence[Measure] = DEFAULT_MEASURES,
    timed: int = LATENCY_QUERIES,
    progress: Progress = SILENT,
) -> EvaluationReport:
    """Ask every system every query, measure the answers, then time each system alone.

    Args:
        systems: what to measure.
        dataset: queries and judgments.
        index: where the systems search; only reported.
        documents: how many are in it; only reported.
        measures: what to compute.
        timed: how many queries to take times of; 0 where nobody asks for them.
        progress: told of every query.

    Raises:
        EngineError: a system failed at a query; says which.
    """
    size = hits_for(measures)
    reports: list[SystemReport] = []
    for system in systems:
        run = run_system(system, dataset.queries, size=size, progress=progress)
        values = measure_run(run.rankings, qrels=dataset.qrels, measures=[*measures, JUDGED])
        reports.append(
            SystemReport(
                name=system.name,
                values={measure: values[measure] for measure in measures},
                judged=mean(values[JUDGED]),
                latency=measure_latency(system, dataset.queries, most=timed, progress=progress),
                degraded=run.degraded,
                run=run.rankings,
            )
        )
    return EvaluationReport(dataset=dataset, index=index, documents=documents, systems=reports)
