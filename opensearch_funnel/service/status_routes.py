"""The routes that say how the service is."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Response

from opensearch_funnel.service.answers import json_answer
from opensearch_funnel.service.metrics import CONTENT_TYPE, Metrics
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.starting import Start

SERVICE = "opensearch-funnel"


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
    router = APIRouter()

    @router.get("/health")
    async def health() -> Response:
        """Say that the process lives, what it is and which cluster it belongs to."""
        return json_answer({"service": SERVICE, "version": version(SERVICE), "engine": engine_url})

    @router.get("/ready")
    async def ready() -> Response:
        """Say whether every plan that the cluster ran at the start is loaded."""
        done = start.ready
        content = {"ready": done, "plans": plans.states(), "reason": start.reason}
        return json_answer(content, status=200 if done else 503)

    @router.get("/metrics")
    async def counters() -> Response:
        """Return the service's counters in the text format of Prometheus."""
        return Response(metrics.text(), media_type=CONTENT_TYPE)

    return router
