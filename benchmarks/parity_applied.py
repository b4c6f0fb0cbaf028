"""The part of benchmarks/parity.py that asks applied pipelines: whole plans, in both forms."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from opensearch_funnel import Query, Ranking
from opensearch_funnel.build.evaluation import Bench
from opensearch_funnel.build.funnel import client_funnel
from opensearch_funnel.build.service import applied_plan, reachable_service, service_token
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Fusion
from opensearch_funnel.encoders.opening import open_cross_encoder
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.engine.leg_hits import plain_query
from opensearch_funnel.engine.searching import hit_ids

_PATIENT = Deadlines(rewrite_ms=60_000, rank_ms=60_000)
_BLEND = 0.25
_PAGES = ((0, 10), (10, 10), (20, 30), (50, 50))


def compare_auto(
    bench: Bench, plan: FunnelPlan, queries: Sequence[Query], *, models: PlanModels
) -> dict[str, Any]:
    """Weigh and fuse queries through the applied pipeline and in the client form: first pages."""
    rerank = replace(plan.rerank, enabled=False)
    chosen = replace(plan, fusion=Fusion(technique="auto"), rerank=rerank)
    return compare_applied(bench, chosen, queries, models=models, pages=_PAGES)


def compare_reranked(
    bench: Bench, plan: FunnelPlan, queries: Sequence[Query], *, models: PlanModels
) -> dict[str, Any]:
    """Rerank queries through the applied pipeline and in the client form: the whole window."""
    rerank = replace(plan.rerank, enabled=True, blend=_BLEND)
    chosen = replace(plan, rerank=rerank)
    threads = bench.settings.threads
    *first, last = (open_cross_encoder(name, threads=threads) for name in rerank.models)
    models = replace(models, reranker=last, first_reranker=first[0] if first else None)
    return compare_applied(bench, chosen, queries, models=models, pages=[(0, rerank.depth)])


def compare_applied(
    bench: Bench,
    plan: FunnelPlan,
    queries: Sequence[Query],
    *,
    models: PlanModels,
    pages: Sequence[tuple[int, int]],
) -> dict[str, Any]:
    """Send queries through a plan's applied pipeline, and run them in the client form.

    Args:
        bench: where.
        plan: its deadlines are lifted.
        queries: what is asked.
        models: of the client form.
        pages: which of each query are compared: where they begin, and their hits.
    """
    chosen = replace(plan, deadlines=_PATIENT, trace="mark")
    funnel = client_funnel(bench.client, chosen, models=models)
    same = late = 0
    different: list[str] = []
    name = f"parity-{uuid.uuid4().hex[:8]}"
    task = bench.progress.task("through the pipeline", total=len(queries), unit="queries")
    with (
        reachable_service(bench.settings) as service_url,
        applied_plan(
            bench.client,
            chosen,
            service_url=service_url,
            name=name,
            token=service_token(bench.settings),
        ) as pipeline,
        task as advance,
    ):
        for query in queries:
            ours = funnel.run(Ranking(query))
            order = [c.doc_id for c in ours.ranking.candidates]
            late += ours.degraded
            alike = True
            for start, size in pages:
                body = {
                    "query": plain_query(chosen)(query),
                    "from": start,
                    "size": size,
                    "_source": False,
                }
                response = bench.client.search(
                    index=chosen.alias, body=body, params={"search_pipeline": pipeline}
                )
                late += degraded(response)
                # What is behind the list is not in the client form.
                page = hit_ids(response)[: max(len(order) - start, 0)]
                alike = alike and page == order[start : start + size]
            same += alike
            if not alike:
                different.append(query.query_id)
            advance(1)
    return {
        "queries": len(queries),
        "hits": sum(size for _, size in pages),
        "same_order": same,
        "degraded": late,
        "different": different[:10],
    }
