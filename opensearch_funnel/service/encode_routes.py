"""The route that the ingest pipeline calls for each document that is written."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request, Response

from opensearch_funnel.service.answers import field, json_answer, read_object, run_stage
from opensearch_funnel.service.encode import as_pipeline_text, encode_in_time
from opensearch_funnel.service.exchange import enter
from opensearch_funnel.service.openapi import described
from opensearch_funnel.service.pipeline_routes import ready_plan
from opensearch_funnel.service.pipeline_shapes import EncodeAnswer, EncodeBody, PipelineError
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.pools import StagePool


def encode_routes(plans: LoadedPlans, *, encoding: StagePool) -> APIRouter:
    """Make the route.

    Args:
        plans: the plans to answer for.
        encoding: where documents are encoded.
    """
    router = APIRouter(prefix="/v1/plans", tags=["pipeline"])

    @router.post("/{plan_id}/encode", **described(EncodeBody, EncodeAnswer, refusals=PipelineError))
    async def encode_document(plan_id: str, request: Request) -> Response:
        """Return the field `funnel` of a document that is being written."""
        enter("encode")
        ready = ready_plan(plans, plan_id)
        document = field(await read_object(request), "doc", dict)
        within = ready.plan.deadlines.encode_ms
        work = partial(encode_in_time, document, ready=ready)
        made = await run_stage(encoding, work, within_ms=within)
        return json_answer({"funnel": as_pipeline_text(made)})

    return router
