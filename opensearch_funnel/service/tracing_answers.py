"""Put the trace of an answer together, and check that it agrees with the engine."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from opensearchpy import OpenSearch

from opensearch_funnel.core.plan import FunnelPlan, LegName
from opensearch_funnel.engine.allow_list import TextSearch, read_text_search
from opensearch_funnel.engine.hits import RANKED_ABOVE
from opensearch_funnel.engine.search_pipelines import by_engine
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.search_api_answers import Answer, Hit
from opensearch_funnel.service.search_api_request import SearchRequest
from opensearch_funnel.service.tracing import (
    AnswerTrace,
    HitTrace,
    LegTrace,
    RerankTrace,
    Term,
    TextTerm,
)
from opensearch_funnel.service.tracing_legs import (
    Key,
    LegRuns,
    lexical_terms_of,
    run_legs,
    sparse_terms_of,
)
from opensearch_funnel.service.tracing_rerank import Reranked, reranked_again
from opensearch_funnel.service.tracing_weights import weights_in_words

TOLERANCE = 1e-5
"""Of fused scores: sums of 32-bit floats; relative to a score above 1."""
_TERMS_TOLERANCE = 1e-4
"""Of a leg's terms, relative to its raw score."""
_PAGE_TOLERANCE = 0.01
"""Of scores between 1,000 and 2,000: a hundred-thousandth of that range."""

_BY_ENGINE = {
    "fusion": "the service could not search the legs in time: the engine fused their ranks"
}

Terms = Mapping[Key, tuple[TextTerm, ...]]


def explain_plain(client: OpenSearch, answer: Answer, request: SearchRequest) -> Answer:
    """Say of each hit of the plain order which terms made its score.

    Raises:
        EngineError: the cluster did not answer.
    """
    started = time.monotonic()
    ids = [hit.doc_id for hit in answer.hits]
    terms = lexical_terms_of(client, request.index, query=request.lexical, doc_ids=ids)
    hits = [replace(hit, trace=_plain(hit, terms=terms.get(hit.key, ()))) for hit in answer.hits]
    return replace(answer, hits=hits, trace=_about(hits, started=started))


def explain_funnel(
    client: OpenSearch, answer: Answer, request: SearchRequest, *, ready: ReadyPlan
) -> Answer:
    """Say of each hit of the funnel why it is where it is.

    Where the plain order stands, because the funnel did not answer or the request is none that
    it upgrades, that is what is explained.

    Args:
        client: the cluster.
        answer: what the funnel answered.
        request: what it was asked.
        ready: the plan that it runs, with its models.

    Raises:
        EngineError: the cluster did not answer.
        StageUnavailableError: a model did not.
    """
    started = time.monotonic()
    search = read_text_search(request.body, plan=ready.plan)
    if not answer.upgraded or search is None:
        return explain_plain(client, answer, request)
    plan = by_engine(ready.plan) if answer.by_engine else ready.plan
    depth = plan.rerank.depth if plan.rerank.enabled else 0
    size = max(request.start + request.size, depth)
    runs = run_legs(client, plan, search, models=ready.models, size=size)
    reranked: dict[Key, Reranked] = {}
    if any(hit.score > RANKED_ABOVE for hit in answer.hits):
        reranked = _reranked(runs, search, ready=ready)
    terms = lexical_terms_of(
        client,
        request.index,
        query=request.lexical,
        doc_ids=[hit.doc_id for hit in answer.hits],
    )
    ended_early = answer.degraded and plan.rerank.enabled and len(plan.rerank.models) > 1
    hits = [
        replace(hit, trace=_traced(hit, runs, plan=plan, reranked=reranked, terms=terms))
        for hit in answer.hits
    ]
    if ended_early and not reranked:
        hits = [replace(hit, trace=_of_first_model(hit)) for hit in hits]
    about = _about(hits, started=started)
    rrf = plan.fusion.technique == "rrf"
    about = replace(
        about,
        technique=plan.fusion.technique,
        combination=None if rrf else plan.fusion.combination,
        candidates=runs.candidates,
        weights={leg: runs.weights[leg] for leg in plan.active_legs},
        reasons=_BY_ENGINE if answer.by_engine else _reasons(runs, plan=plan),
        reranked=len(reranked),
    )
    return replace(answer, hits=hits, trace=about)


def _reranked(runs: LegRuns, search: TextSearch, *, ready: ReadyPlan) -> dict[Key, Reranked]:
    found = reranked_again(
        [hit.source for hit in runs.engine.values()],
        text=search.text,
        ready=ready,
        start=search.start,
        size=search.size,
    )
    return dict(zip(runs.engine, found, strict=False))


def _plain(hit: Hit, *, terms: tuple[TextTerm, ...]) -> HitTrace:
    leg = LegTrace(
        rank=hit.rank,
        score=hit.score,
        normalized=None,
        weight=1.0,
        contribution=hit.score,
        terms=terms,
    )
    return _checked(HitTrace(decided_by="plain", legs={"bm25": leg}), [_terms_add_up("bm25", leg)])


def _traced(
    hit: Hit,
    runs: LegRuns,
    *,
    plan: FunnelPlan,
    reranked: Mapping[Key, Reranked],
    terms: Terms,
) -> HitTrace:
    """Trace one hit of the funnel."""
    engine, ours = runs.engine.get(hit.key), runs.ours.get(hit.key)
    if engine is None or ours is None:
        # Behind the whole fused list; or the index has changed since.
        return HitTrace(decided_by="plain")
    legs: dict[LegName, LegTrace] = {}
    for leg in plan.active_legs:
        part = ours.contributions.get(leg)
        legs[leg] = LegTrace(
            rank=part.rank if part else None,
            score=part.score if part else None,
            normalized=part.normalized if part else None,
            weight=runs.weights[leg],
            contribution=part.amount if part else 0.0,
            terms=_leg_terms(leg, hit.key, runs, plan=plan, lexical=terms) if part else (),
        )
    total = sum(leg.contribution for leg in legs.values())
    trace = HitTrace(
        decided_by="reranked" if hit.score > RANKED_ABOVE else "fused",
        legs=legs,
        fused_score=total,
        engine_score=engine.score,
        fused_rank=engine.rank,
        rerank=_rerank_trace(hit, reranked.get(hit.key), before=engine.rank, plan=plan),
    )
    return _checked(
        trace,
        [
            *(_terms_add_up(leg, told) for leg, told in legs.items()),
            _equal("the contributions add up to", total, "our fused score is", ours.score),
            _equal("the contributions add up to", total, "the engine says", engine.score),
            _place(hit, trace, reranked.get(hit.key)),
        ],
    )


def _of_first_model(hit: Hit) -> HitTrace | None:
    """Say of a hit that is not on its fused place that the first of two models put it there.

    The last model of the cascade failed, so the order of the first one stands; its scores are not
    in the answer, and what it would say now may be something else.
    """
    trace = hit.trace
    if trace is None or trace.decided_by != "fused" or hit.rank == trace.fused_rank:
        return trace
    rest = [line for line in trace.differences if line != _place(hit, trace, None)]
    return _checked(replace(trace, decided_by="first_model"), rest)


def _leg_terms(
    leg: LegName, key: Key, runs: LegRuns, *, plan: FunnelPlan, lexical: Terms
) -> tuple[Term, ...]:
    if leg == "bm25":
        return lexical.get(key, ())
    if leg == "sparse":
        source = runs.engine[key].source
        return sparse_terms_of(runs.queries[leg], source, field=plan.sparse_field)
    return ()


def _rerank_trace(
    hit: Hit, found: Reranked | None, *, before: int, plan: FunnelPlan
) -> RerankTrace | None:
    if found is None:
        return None
    return RerankTrace(
        rank_before=before,
        rank_after=hit.rank,
        score=found.score,
        first_score=found.first_score,
        model_share=found.model_share,
        order_share=found.order_share,
        blend=plan.rerank.blend,
        final=found.final,
    )


def _terms_add_up(leg: LegName, told: LegTrace) -> str:
    """Say what is wrong with the terms of a leg; a leg without terms has none to add up."""
    if leg == "dense" or told.score is None:
        return ""
    total = sum(term.contribution for term in told.terms)
    if abs(total - told.score) <= _TERMS_TOLERANCE * max(1.0, abs(told.score)):
        return ""
    return f"the {leg} terms add up to {total:.6g}, the leg's score is {told.score:.6g}"


def _equal(here: str, ours: float, there: str, theirs: float) -> str:
    if abs(ours - theirs) <= TOLERANCE * max(1.0, abs(theirs)):
        return ""
    return f"{here} {ours:.8g}, {there} {theirs:.8g}"


def _place(hit: Hit, trace: HitTrace, found: Reranked | None) -> str:
    """Say what is wrong with a hit's place in the answer, going by the last stage."""
    if trace.decided_by == "fused":
        if hit.rank == trace.fused_rank:
            return ""
        return f"it is hit {hit.rank} of the answer, and {trace.fused_rank} of the fused order"
    if found is None:
        return "the answer says that it was reranked, but it is behind the reranker's window"
    if abs(found.page_score - hit.score) <= _PAGE_TOLERANCE:
        return ""
    return (
        f"the reranker puts it on place {found.rank} ({found.page_score:.4f}), the answer on "
        f"{hit.rank} ({hit.score:.4f})"
    )


def _checked(trace: HitTrace, problems: Sequence[str]) -> HitTrace:
    differences = tuple(problem for problem in problems if problem)
    return replace(trace, consistent=not differences, differences=differences)


def _reasons(runs: LegRuns, *, plan: FunnelPlan) -> dict[str, str]:
    if not plan.fusion.by_service:
        return {}
    lines = weights_in_words(plan, weights=runs.weights, evidence=runs.evidence)
    return {**lines, "trust": plan.trust.reason}


def _about(hits: Sequence[Hit], *, started: float) -> AnswerTrace:
    traces = [hit.trace for hit in hits if hit.trace is not None]
    errors = [
        abs(trace.fused_score - trace.engine_score)
        for trace in traces
        if trace.fused_score is not None and trace.engine_score is not None
    ]
    return AnswerTrace(
        technique="",
        combination=None,
        candidates={},
        weights={},
        reasons={},
        reranked=0,
        consistent=all(trace.consistent for trace in traces),
        largest_error=max(errors, default=0.0),
        took_ms=round((time.monotonic() - started) * 1000),
    )
