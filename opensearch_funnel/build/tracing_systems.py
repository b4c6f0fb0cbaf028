"""The traces of a system that is measured: the funnel's own explanation, of single documents."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.document_traces import DocumentTrace, LegPlace, Tracer
from opensearch_funnel.evaluating.funnel_systems import Ask
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.search_api_answers import read_answer
from opensearch_funnel.service.search_api_request import MAX_QUERY_LENGTH, MAX_SIZE, SearchRequest
from opensearch_funnel.service.tracing import HitTrace, Term
from opensearch_funnel.service.tracing_answers import explain_funnel

_TERMS = 5


def tracer(
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    ask: Ask,
    models: Callable[[], PlanModels],
    size: int,
) -> Tracer:
    """Return what tells how documents of a system's answers came to their places.

    Args:
        client: the cluster.
        plan: the one that the system runs.
        ask: asks the system, the same way as when it was measured.
        models: opens the plan's models; is called when the first trace is wanted.
        size: how many hits the system was asked for when it was measured.
    """
    opened: list[ReadyPlan] = []

    def traces(query: Query, doc_ids: Sequence[str]) -> dict[str, DocumentTrace]:
        if size > MAX_SIZE or len(query.text) > MAX_QUERY_LENGTH:
            raise InputError(
                f"a trace is made of {MAX_SIZE} hits and {MAX_QUERY_LENGTH:,} characters at most"
            )
        if not opened:
            opened.append(ReadyPlan(plan, models()))
        request = SearchRequest(
            index=plan.alias, text=query.text, fields=tuple(plan.text_fields), size=size
        )
        answer = read_answer(ask(query, size), request, system="funnel", plan=plan)
        hits = [hit for hit in answer.hits if hit.doc_id in doc_ids]
        answer = explain_funnel(client, replace(answer, hits=hits), request, ready=opened[0])
        return {
            hit.doc_id: _document_trace(hit.trace) for hit in answer.hits if hit.trace is not None
        }

    return traces


def _document_trace(trace: HitTrace) -> DocumentTrace:
    return DocumentTrace(
        legs={
            name: LegPlace(rank=leg.rank, terms=[_term(term) for term in leg.terms[:_TERMS]])
            for name, leg in trace.legs.items()
        },
        fused=trace.fused_rank,
        reranked=trace.rerank.rank_after if trace.rerank else None,
        doubts=trace.differences,
    )


def _term(term: Term) -> tuple[str, float]:
    return term.term, term.contribution
