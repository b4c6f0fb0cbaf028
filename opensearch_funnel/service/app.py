"""The HTTP routes of the service."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import orjson
from fastapi import FastAPI, Request, Response

from opensearch_funnel.core.errors import FunnelError, StageUnavailableError
from opensearch_funnel.service.plans import LoadedPlans, ReadyPlan
from opensearch_funnel.service.rank import rank
from opensearch_funnel.service.rewrite import rewrite
from opensearch_funnel.service.texts import IndexTexts

logger = logging.getLogger(__name__)

SERVICE = "opensearch-funnel"
WORKERS = 8
"""Requests that are worked on at once; a model's own threads come on top."""

_MILLISECONDS = 1000
Result = TypeVar("Result")


class Refused(Exception):  # noqa: N818 - an answer, not an error of this program
    """A request ends here, with this status and reason."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def create_app(
    plans: LoadedPlans, texts: IndexTexts, *, engine_url: str, preload: Callable[[], list[str]]
) -> FastAPI:
    """Make the application.

    Args:
        plans: the plans to answer for.
        texts: where the reranker's texts come from.
        engine_url: the cluster that the service belongs to; shown by ``/health``.
        preload: names the plans to load before the service says that it is ready.
    """
    pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="stage")
    starting = asyncio.Event()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        loading = asyncio.create_task(_preload(preload, plans, starting))
        yield
        loading.cancel()
        pool.shutdown(wait=False, cancel_futures=True)

    app = FastAPI(title=SERVICE, version=version(SERVICE), lifespan=lifespan)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        # The engine goes on without this answer; here is why, once.
        logger.warning("%s refused (%d): %s", request.url.path, error.status, error)
        return _json({"error": str(error)}, status=error.status)

    @app.get("/health")
    async def health() -> Response:
        """Say that the process lives, what it is and which cluster it belongs to."""
        return _json({"service": SERVICE, "version": version(SERVICE), "engine": engine_url})

    @app.get("/ready")
    async def ready() -> Response:
        """Say whether every plan that the cluster runs is loaded."""
        states = plans.states()
        done = starting.is_set() and all(state == "ready" for state in states.values())
        return _json({"ready": done, "plans": states}, status=200 if done else 503)

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
        body = _field(await _object(request), "source", dict)
        within = ready.plan.deadlines.rewrite_ms
        upgraded = await _run(pool, partial(rewrite, body, ready=ready), within_ms=within)
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
            pool, partial(rank, page, ready=ready, fetch_texts=fetch), within_ms=within
        )
        results = [{"index": i, "relevance_score": score} for i, score in enumerate(scores)]
        return _json({"results": results})

    return app


def as_template_value(body: dict[str, Any]) -> str:
    r"""Write a body so that the engine's template takes it as it is.

    The engine fills its template, and then whatever in the result looks like a placeholder: a
    query of ``${x:-y}`` would silently become ``y``. JSON can spell the dollar another way.

    Example:
        >>> as_template_value({"query": "${x:-y}"})
        '{"query":"\\u0024{x:-y}"}'
    """
    return orjson.dumps(body).decode().replace("$", r"\u0024")


async def _preload(
    preload: Callable[[], list[str]], plans: LoadedPlans, starting: asyncio.Event
) -> None:
    try:
        plan_ids = await asyncio.to_thread(preload)
        for plan_id in plan_ids:
            await asyncio.to_thread(plans.load, plan_id)
    except FunnelError as error:
        # Plans are loaded when they are asked for, too: the service goes on.
        logger.warning("the applied plans could not be read: %s", error)
    starting.set()


def _ready_plan(plans: LoadedPlans, plan_id: str) -> ReadyPlan:
    ready = plans.get(plan_id)
    if ready is None:
        raise Refused(503, f"plan {plan_id} is {plans.states().get(plan_id, 'unknown')}")
    return ready


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


async def _run(pool: ThreadPoolExecutor, work: Callable[[], Result], *, within_ms: int) -> Result:
    """Run a stage in a thread, and stop waiting for it at its deadline."""
    future = asyncio.get_running_loop().run_in_executor(pool, work)
    try:
        return await asyncio.wait_for(future, within_ms / _MILLISECONDS)
    except TimeoutError as error:
        raise Refused(503, f"not done within {within_ms} ms") from error
    except StageUnavailableError as error:
        raise Refused(503, str(error)) from error
    except FunnelError as error:
        raise Refused(500, str(error)) from error
    except Exception as error:
        logger.exception("a stage failed")
        raise Refused(500, f"{type(error).__name__}: {error}") from error


def _json(content: Any, *, status: int = 200) -> Response:
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")
