"""The routes that say how the service is."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel, Field

from opensearch_funnel.service.answers import json_answer
from opensearch_funnel.service.exchange import current_exchange
from opensearch_funnel.service.metrics import CONTENT_TYPE, Metrics
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.starting import Start

SERVICE = "opensearch-funnel"


class Health(BaseModel):
    """What answers here."""

    service: str
    version: str
    engine: str = Field(description="The cluster that the service belongs to.")


class Ready(BaseModel):
    """Whether the applied plans are loaded; who does not show the token learns no more."""

    ready: bool
    plans: dict[str, str] = Field(default={}, description="The state of each plan.")
    reason: str = Field(
        default="", description="Why the applied plans are not known; empty where they are."
    )


def status_routes(
    plans: LoadedPlans, start: Start, *, engine_url: str, metrics: Metrics
) -> APIRouter:
    """Make the routes.

    Args:
        plans: the plans that the service answers for.
        start: knows whether those that the cluster ran at the start are loaded.
        engine_url: the cluster that the service belongs to.
        metrics: what ``/metrics`` shows.
    """
    router = APIRouter(tags=["status"])

    @router.get("/health", responses={200: {"model": Health}})
    async def health() -> Response:
        """Say that the process lives, what it is and which cluster it belongs to."""
        return json_answer({"service": SERVICE, "version": version(SERVICE), "engine": engine_url})

    @router.get("/ready", responses={200: {"model": Ready}, 503: {"model": Ready}})
    async def ready() -> Response:
        """Say whether every plan that the cluster ran at the start is loaded.

        Where the service has a token, who does not show it is told no more than that.
        """
        done = start.ready
        content: dict[str, object] = {"ready": done}
        if current_exchange().trusted:
            content |= {"plans": plans.states(), "reason": start.reason}
        return json_answer(content, status=200 if done else 503)

    @router.get("/metrics", response_class=PlainTextResponse)
    async def counters() -> Response:
        """Return the service's counters in the text format of Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router
