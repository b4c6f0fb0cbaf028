"""Time what a plan is made of: each leg at each depth, and each reranker a pair."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median
from time import perf_counter

from opensearchpy import OpenSearch

from opensearch_funnel.build.recording import RecordedSet
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.stage import PairScorer
from opensearch_funnel.engine.queries import leg_queries, multi_match
from opensearch_funnel.engine.searching import search_fused
from opensearch_funnel.evaluating.replaying.setting import Setting, column_of
from opensearch_funnel.evaluating.tuning.costs import LatencyModel

_QUERIES = 40
_WARM = 3
_PAGE = 10
_PAIRS = 20
_MS = 1000.0

_Key = tuple[str, int]


def timed_legs(
    client: OpenSearch,
    recorded: RecordedSet,
    *,
    depths: Sequence[int],
    query_terms: Sequence[int],
    progress: Progress = SILENT,
) -> LatencyModel:
    """Time each leg alone and the legs together, on some of the recorded queries.

    With the query's encoding, by turns, one at a time, as one client sees them without the
    service between.

    Args:
        client: the cluster.
        recorded: the queries, the plan and the models.
        depths: of the legs.
        query_terms: of the sparse leg.
        progress: hears of each query.
    """
    plan = recorded.plan
    each: dict[_Key, FunnelPlan] = {}
    for depth in depths:
        deep = replace(plan, depth=depth, rerank=replace(plan.rerank, depth=1))
        for leg in plan.active_legs:
            alone = deep.with_legs(leg)
            for terms in query_terms if leg == "sparse" else (plan.sparse.query_terms,):
                pruned = replace(alone, sparse=replace(alone.sparse, query_terms=terms))
                each[column_of(leg, query_terms=terms), depth] = pruned
    texts = [recorded_query.query.text for recorded_query in recorded.record.queries[:_QUERIES]]
    seconds: dict[_Key, list[float]] = {key: [] for key in each}
    together: list[float] = []
    with progress.task("timing the legs", total=len(texts), unit="queries") as advance:
        for text in texts:
            for key, alone in each.items():
                seconds[key].append(_searched(client, alone, text=text, models=recorded.models))
            together.append(_searched(client, plan, text=text, models=recorded.models))
            advance(1)
    setting = Setting.of(replace(plan, rerank=replace(plan.rerank, enabled=False)))
    return LatencyModel.timed(
        alone_ms={key: _typical(taken) for key, taken in seconds.items()},
        together_ms=_typical(together),
        together=setting,
        pair_ms={},
    )


def timed_pairs(recorded: RecordedSet, *, progress: Progress = SILENT) -> dict[str, float]:
    """Return the milliseconds that each reranker takes for one query and text.

    Args:
        recorded: the queries with what was found for them, and the rerankers.
        progress: hears of each query.
    """
    asked: list[tuple[str, list[str]]] = []
    scorers: Mapping[str, PairScorer] = recorded.ask.scorers
    for number, one in enumerate(recorded.record.queries[:_QUERIES]):
        places = range(min(_PAIRS, len(one.doc_ids)))
        texts = recorded.ask.texts(recorded.record, number, places=places)
        if texts:
            asked.append((one.query.text, texts))
    taken: dict[str, list[float]] = {name: [] for name in scorers}
    with progress.task("timing the rerankers", total=len(asked), unit="queries") as advance:
        for text, texts in asked:
            for name, scorer in scorers.items():
                begun = perf_counter()
                scorer.score(text, texts)
                taken[name].append((perf_counter() - begun) / len(texts))
            advance(1)
    return {name: _typical(each) for name, each in taken.items() if each}


def _searched(client: OpenSearch, plan: FunnelPlan, *, text: str, models: PlanModels) -> float:
    begun = perf_counter()
    lexical = multi_match(text, fields=plan.text_fields)
    legs = leg_queries(plan, text=text, bm25=lexical, models=models)
    search_fused(client, plan, legs=legs, size=_PAGE)
    return perf_counter() - begun


def _typical(seconds: Sequence[float]) -> float:
    """Return the median in milliseconds, without the first ones that warm everything up."""
    return median(seconds[min(_WARM, len(seconds) - 1) :]) * _MS
