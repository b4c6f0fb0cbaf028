"""The routes that the search pipeline calls: ``/v1/plans/…``."""

from __future__ import annotations

import re
from functools import partial

from fastapi import APIRouter, Request, Response

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.service.answers import (
    Refused,
    field,
    json_answer,
    read_object,
    refused_for,
    refusing,
    run_stage,
)
from opensearch_funnel.service.embed import embed
from opensearch_funnel.service.exchange import enter, note_degraded, request_id
from opensearch_funnel.service.openapi import described
from opensearch_funnel.service.pipeline_shapes import (
    EmbedAnswer,
    EmbedBody,
    PipelineError,
    PlanState,
    RankAnswer,
    RankBody,
    RewriteAnswer,
    RewriteBody,
)
from opensearch_funnel.service.plans import PLAN_ID, LoadedPlans, ReadyPlan
from opensearch_funnel.service.pools import StagePool
from opensearch_funnel.service.rank import fused_page, rank
from opensearch_funnel.service.rewrite import (
    ClientBody,
    as_template_value,
    read_client_body,
    rewrite,
)
from opensearch_funnel.service.texts import IndexTexts

MOST_TEXTS = 64
"""Of one request for vectors; the engine sends one at a time."""


def pipeline_routes(
    plans: LoadedPlans, texts: IndexTexts, *, rewriting: StagePool, ranking: StagePool
) -> APIRouter:
    """Make the routes.

    Args:
        plans: the plans to answer for.
        texts: where the reranker's texts come from.
        rewriting: where rewrites run.
        ranking: where rankings run.
    """
    router = APIRouter(prefix="/v1/plans", tags=["pipeline"])

    @router.get("/{plan_id}", responses={200: {"model": PlanState}})
    async def plan_state(plan_id: str) -> Response:
        """Say whether a plan is ready; ask for it to be loaded.

        A plan that failed is tried again by the first call after a pause.
        """
        _check_plan_id(plan_id)
        return json_answer({"plan": plan_id, "state": plans.ask(plan_id)})

    @router.post(
        "/{plan_id}/rewrite", **described(RewriteBody, RewriteAnswer, refusals=PipelineError)
    )
    async def rewrite_request(plan_id: str, request: Request) -> Response:
        """Return the search to run in place of a client's."""
        enter("rewrite")
        ready = ready_plan(plans, plan_id)
        body = await _client_body(request)
        within = ready.plan.deadlines.rewrite_ms
        work = partial(
            rewrite,
            body,
            ready=ready,
            fetch_fused=partial(texts.fused_list, ready.plan),
            request_id=request_id(),
        )
        upgraded = await run_stage(rewriting, work, within_ms=within)
        return json_answer({"body": as_template_value(upgraded)})

    @router.post("/{plan_id}/rank", **described(RankBody, RankAnswer, refusals=PipelineError))
    async def rank_hits(plan_id: str, request: Request) -> Response:
        """Return the score of each hit of a page."""
        enter("rank")
        _check_plan_id(plan_id)
        page = await read_object(request)
        field(page, "plan", dict)
        keys = field(page, "documents", list)
        if not all(isinstance(key, str) for key in keys):
            raise refused_for("invalid", "documents must be texts")
        try:
            ready = ready_plan(plans, plan_id)
            fetch = partial(texts.fetch, ready.plan)
            work = partial(rank, page, ready=ready, fetch_texts=fetch)
            scores = await run_stage(ranking, work, within_ms=ready.plan.deadlines.rank_ms)
        except Refused as refusal:
            with refusing():
                fused = fused_page(page)
            if fused is None:
                raise
            note_degraded(refusal.cause, detail=refusal.logged)
            scores = fused
        results = [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]
        return json_answer({"results": results})

    @router.post("/{plan_id}/embed", **described(EmbedBody, EmbedAnswer, refusals=PipelineError))
    async def embed_texts(plan_id: str, request: Request) -> Response:
        """Return the vectors of query texts, as ``dense.native_neural`` plans ask for them."""
        enter("embed")
        ready = ready_plan(plans, plan_id)
        asked = field(await read_object(request), "input", list)
        if not 0 < len(asked) <= MOST_TEXTS or not all(isinstance(text, str) for text in asked):
            raise refused_for("invalid", f"input must be 1 to {MOST_TEXTS} texts")
        within = ready.plan.deadlines.rewrite_ms
        vectors = await run_stage(rewriting, partial(embed, asked, ready=ready), within_ms=within)
        return json_answer({"data": [{"index": i, "embedding": v} for i, v in enumerate(vectors)]})

    return router


def _check_plan_id(plan_id: str) -> None:
    """Refuse what can be no plan's id before it is looked for or logged."""
    if re.fullmatch(PLAN_ID, plan_id) is None:
        raise refused_for("invalid", "this can be no plan's id")


def ready_plan(plans: LoadedPlans, plan_id: str) -> ReadyPlan:
    """Return a plan that can be run.

    Raises:
        Refused: it cannot, or not yet.
    """
    _check_plan_id(plan_id)
    ready = plans.get(plan_id)
    if ready is None:
        state = plans.states().get(plan_id, "loading")
        raise refused_for("not_ready", f"plan {plan_id} is {state}")
    return ready


async def _client_body(request: Request) -> ClientBody:
    try:
        return read_client_body(await request.body())
    except InputError as error:
        raise refused_for("invalid", str(error)) from error
