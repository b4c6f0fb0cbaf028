"""Shadow reads: what two systems answer to the same queries, one of which nobody sees yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.rank_overlap import overlap_at, rank_biased_overlap
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.differences import paired
from opensearch_funnel.evaluating.measures import (
    Measure,
    bootstrap_interval,
    mean,
    measure_run,
)
from opensearch_funnel.evaluating.systems import System, run_system

_NDCG = Measure("nDCG", 10)
_LEAST = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What people's judgments say of both.

    Attributes:
        measure: the name of what was measured.
        queries: how many queries had a relevant document.
        present: mean of the system that answers now.
        candidate: mean of the one that might.
        difference: candidate less present.
        interval: 95 % of that difference, over queries.
    """

    measure: str
    queries: int
    present: float
    candidate: float
    difference: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReport:
    """How far two systems agree.

    Attributes:
        present: the name of the system that answers now.
        candidate: the name of the one that might.
        queries: how many were asked of both.
        k: how many hits of each were compared.
        degraded: answers, of either, that lacked a stage: figures with any do not count.
        overlap: mean share of the first ``k`` that both have.
        rank_biased_overlap: mean agreement, which weighs the first ranks most (p = 0.9).
        interval: 95 % of that mean, over queries.
        least_alike: the queries whose answers agree least, each with its agreement.
        judged: what judgments say, where there are any.
    """

    present: str
    candidate: str
    queries: int
    k: int
    degraded: int
    overlap: float
    rank_biased_overlap: float
    interval: tuple[float, float]
    least_alike: tuple[tuple[str, float], ...]
    judged: Judged | None


def compare_systems(  # noqa: PLR0913 - what is compared, on what
    present: System,
    candidate: System,
    *,
    queries: Sequence[Query],
    k: int = 10,
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    progress: Progress = SILENT,
) -> ShadowReport:
    """Ask two systems the same queries and compare what they answer.

    Args:
        present: answers clients now.
        candidate: might answer them.
        queries: each with an id of its own.
        k: how many hits of each are compared.
        qrels: judgments of some of the queries.
        progress: told of every query.

    Raises:
        InputError: there are no queries.
        EngineError: a query failed.
    """
    if not queries:
        raise InputError("no queries to compare on: give a file with one a line")
    first = run_system(present, queries, size=k, progress=progress)
    second = run_system(candidate, queries, size=k, progress=progress)
    pairs = {q.query_id: (first.rankings[q.query_id], second.rankings[q.query_id]) for q in queries}
    agreement = {query_id: rank_biased_overlap(*pair) for query_id, pair in pairs.items()}
    texts = {query.query_id: query.text for query in queries}
    least = sorted(agreement, key=lambda query_id: (agreement[query_id], query_id))[:_LEAST]
    return ShadowReport(
        present=present.name,
        candidate=candidate.name,
        queries=len(queries),
        k=k,
        degraded=first.degraded + second.degraded,
        overlap=mean({query_id: overlap_at(*pair, k=k) for query_id, pair in pairs.items()}),
        rank_biased_overlap=mean(agreement),
        interval=bootstrap_interval(agreement),
        least_alike=tuple((texts[query_id], agreement[query_id]) for query_id in least),
        judged=_judged(first.rankings, second.rankings, qrels=qrels or {}),
    )


def _judged(
    present: Mapping[str, Sequence[str]],
    candidate: Mapping[str, Sequence[str]],
    *,
    qrels: Mapping[str, Mapping[str, int]],
) -> Judged | None:
    known = {
        query_id: grades
        for query_id, grades in qrels.items()
        if query_id in present and any(grade > 0 for grade in grades.values())
    }
    if not known:
        return None
    one = measure_run(present, qrels=known, measures=[_NDCG])[_NDCG]
    other = measure_run(candidate, qrels=known, measures=[_NDCG])[_NDCG]
    gains = paired(other, one)
    return Judged(
        measure=str(_NDCG),
        queries=len(known),
        present=mean(one),
        candidate=mean(other),
        difference=mean(gains),
        interval=bootstrap_interval(gains),
    )
