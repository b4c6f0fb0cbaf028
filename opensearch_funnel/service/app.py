"""The HTTP routes of the service."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Request, Response

from opensearch_funnel.core.errors import (
    EngineError,
    FunnelError,
    InputError,
    StageUnavailableError,
)
from opensearch_funnel.service.plans import LoadedPlans, ReadyPlan
from opensearch_funnel.service.pools import StagePool
from opensearch_funnel.service.rank import rank
from opensearch_funnel.service.rewrite import (
    ClientBody,
    as_template_value,
    read_client_body,
    rewrite,
)
from opensearch_funnel.service.starting import RETRY_S, Start
from opensearch_funnel.service.texts import IndexTexts

logger = logging.getLogger(__name__)

SERVICE = "opensearch-funnel"
WORKERS = 8
"""Requests of each stage that are worked on at once; a model's own threads come on top."""
MOST_REWRITES = 64
MOST_RANKINGS = 16
"""Fewer may wait: what waits long for the reranker misses its deadline anyway."""

Result = TypeVar("Result")


class Refused(Exception):  # noqa: N818 - an answer, not an error of this program
    """A request ends here, with this status and reason."""

    def __init__(self, status: int, reason: str, *, expected: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.level = logging.INFO if expected else logging.WARNING


def create_app(
    plans: LoadedPlans,
    texts: IndexTexts,
    *,
    engine_url: str,
    preload: Callable[[], list[str]],
    retry_s: float = RETRY_S,
) -> FastAPI:
    """Make the application.

    Args:
        plans: the plans to answer for.
        texts: where the reranker's texts come from.
        engine_url: the cluster that the service belongs to; shown by ``/health``.
        preload: names the plans to load before the service says that it is ready.
        retry_s: the pause before they are asked for again, where that failed.
    """
    rewriting = StagePool("rewrite", workers=WORKERS, places=MOST_REWRITES)
    ranking = StagePool("rank", workers=WORKERS, places=MOST_RANKINGS)
    start = Start(plans, applied=preload, retry_s=retry_s)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        start.begin()
        yield
        start.stop()
        rewriting.close()
        ranking.close()

    app = FastAPI(title=SERVICE, version=version(SERVICE), lifespan=lifespan)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        # The engine goes on without this answer; here is why, once.
        logger.log(error.level, "%s refused (%d): %s", request.url.path, error.status, error)
        return _json({"error": str(error)}, status=error.status)

    @app.get("/health")
    async def health() -> Response:
        """Say that the process lives, what it is and which cluster it belongs to."""
        return _json({"service": SERVICE, "version": version(SERVICE), "engine": engine_url})

    @app.get("/ready")
    async def ready() -> Response:
        """Say whether every plan that the cluster ran at the start is loaded."""
        done = start.ready
        content = {"ready": done, "plans": plans.states(), "reason": start.reason}
        return _json(content, status=200 if done else 503)

    @app.get("/v1/plans/{plan_id}")
    async def plan_state(plan_id: str) -> Response:
        """Say whether a plan is ready; ask for it to be loaded, again if it failed before."""
        state = plans.states().get(plan_id)
        if state is None or state.startswith("failed"):
            plans.forget_failure(plan_id)
            plans.start_loading(plan_id)
        return _json({"plan": plan_id, "state": state or "loading"})

    @app.post("/v1/plans/{plan_id}/rewrite")
    async def rewrite_request(plan_id: str, request: Request) -> Response:
        """Return the search to run in place of a client's."""
        ready = _ready_plan(plans, plan_id)
        body = await _client_body(request)
        within = ready.plan.deadlines.rewrite_ms
        upgraded = await _run(rewriting, partial(rewrite, body, ready=ready), within_ms=within)
        return _json({"body": as_template_value(upgraded)})

    @app.post("/v1/plans/{plan_id}/rank")
    async def rank_hits(plan_id: str, request: Request) -> Response:
        """Return the score of each hit of a page."""
        ready = _ready_plan(plans, plan_id)
        page = await _object(request)
        _field(page, "plan", dict)
        keys = _field(page, "documents", list)
        if not all(isinstance(key, str) for key in keys):
            raise Refused(400, "documents must be texts")
        fetch = partial(texts.fetch, ready.plan)
        within = ready.plan.deadlines.rank_ms
        scores = await _run(
            ranking, partial(rank, page, ready=ready, fetch_texts=fetch), within_ms=within
        )
        results = [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]
        return _json({"results": results})

    return app


def _ready_plan(plans: LoadedPlans, plan_id: str) -> ReadyPlan:
    ready = plans.get(plan_id)
    if ready is None:
        state = plans.states().get(plan_id, "loading")
        raise Refused(503, f"plan {plan_id} is {state}", expected=state == "loading")
    return ready


async def _client_body(request: Request) -> ClientBody:
    try:
        return read_client_body(await request.body())
    except InputError as error:
        raise Refused(400, str(error)) from error


async def _object(request: Request) -> dict[str, Any]:
    try:
        content = orjson.loads(await request.body())
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise Refused(400, "the body must be a JSON object")
    return content


def _field(content: dict[str, Any], name: str, kind: type[Result]) -> Result:
    value = content.get(name)
    if not isinstance(value, kind):
        raise Refused(400, f"{name} is missing, or not a {kind.__name__}")
    return value


async def _run(pool: StagePool, work: Callable[[], Result], *, within_ms: int) -> Result:
    """Run a stage; whatever happens to it becomes an answer."""
    try:
        return await pool.run(work, within_ms=within_ms)
    except (StageUnavailableError, EngineError) as error:
        raise Refused(503, str(error)) from error
    except FunnelError as error:
        raise Refused(500, str(error)) from error
    except Exception as error:
        logger.exception("a stage failed")
        raise Refused(500, f"{type(error).__name__}: {error}") from error


def _json(content: Any, *, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")
