"""The service's application: its parts, put together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request, Response
from starlette.exceptions import HTTPException

from opensearch_funnel.service.answers import Refused, json_answer, refusal
from opensearch_funnel.service.deadline_header import DeadlineHeader
from opensearch_funnel.service.embedding_routes import embedding_routes
from opensearch_funnel.service.encode_routes import encode_routes
from opensearch_funnel.service.gate import MOST_BYTES, Gate
from opensearch_funnel.service.info_routes import info_routes
from opensearch_funnel.service.metrics import Metrics
from opensearch_funnel.service.model_routes import model_routes
from opensearch_funnel.service.model_shelf import ModelShelf, empty_shelf
from opensearch_funnel.service.openapi import describe
from opensearch_funnel.service.pipeline_routes import pipeline_routes
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.pools import StagePool
from opensearch_funnel.service.rerank_routes import rerank_routes
from opensearch_funnel.service.starting import RETRY_S, Start
from opensearch_funnel.service.status_routes import SERVICE, status_routes
from opensearch_funnel.service.texts import IndexTexts

WORKERS = 8
"""Requests of each stage that are worked on at once; a model's own threads come on top."""
MOST_REWRITES = 64
MOST_RANKINGS = 32
"""Fewer may wait: what waits long for the reranker misses its deadline anyway."""
MOST_RERANKINGS = 32
MOST_EMBEDDINGS = 64
ENCODERS, MOST_ENCODINGS = 4, 128
"""Fewer at once than each node of the engine sends: a document that is begun is done in time."""


def create_app(  # noqa: PLR0913 - what the parts need from outside
    plans: LoadedPlans,
    texts: IndexTexts,
    *,
    engine_url: str,
    preload: Callable[[], list[str]],
    retry_s: float = RETRY_S,
    routers: Sequence[APIRouter] = (),
    metrics: Metrics | None = None,
    token: str | None = None,
    service_url: str | None = None,
    shelf: ModelShelf | None = None,
) -> FastAPI:
    """Make the application.

    Args:
        plans: the plans to answer for.
        texts: where the reranker's texts come from.
        engine_url: the cluster that the service belongs to; shown by ``/health``.
        preload: names the plans to load before the service says that it is ready.
        retry_s: the pause before they are asked for again, where that failed.
        routers: further groups of routes, such as ``/search`` and the page at ``/``.
        metrics: where everything is counted; counters of its own if not given.
        token: what every request must show, but for those of ``gate.OPEN_PATHS``; nothing if not
            given.
        service_url: where callers reach the service: without a token it answers only to the host
            of this address and to those of loopback.
        shelf: the models that may be asked for by name; none if not given.
    """
    metrics, shelf = metrics or Metrics(), shelf or empty_shelf()

    def pool(stage: str, *, places: int, workers: int = WORKERS) -> StagePool:
        observe = metrics.stage(stage)
        return StagePool(stage, workers=workers, places=places, observe=observe)

    rewriting = pool("rewrite", places=MOST_REWRITES)
    ranking = pool("rank", places=MOST_RANKINGS)
    reranking = pool("rerank", places=MOST_RERANKINGS)
    embedding = pool("embed", places=MOST_EMBEDDINGS)
    encoding = pool("encode", places=MOST_ENCODINGS, workers=ENCODERS)
    pools = (rewriting, ranking, reranking, embedding, encoding)
    metrics.watch_queues(pools)
    metrics.watch_plans(plans.states)
    start = Start(plans, applied=preload, retry_s=retry_s)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        del app
        start.begin()
        yield
        start.stop()
        for each in pools:
            each.close()

    app = FastAPI(
        title=SERVICE,
        version=version(SERVICE),
        lifespan=lifespan,
        # The pages that show the schema come from somebody else's server.
        docs_url=None,
        redoc_url=None,
    )
    app.add_middleware(DeadlineHeader, plans=plans)
    app.add_middleware(Gate, metrics=metrics, token=token, service_url=service_url)
    app.add_exception_handler(Refused, refusal)
    app.add_exception_handler(HTTPException, _no_such_route)
    own = (
        status_routes(plans, start, engine_url=engine_url, metrics=metrics),
        info_routes(shelf, pools=pools, most_bytes=MOST_BYTES),
        pipeline_routes(plans, texts, rewriting=rewriting, ranking=ranking),
        encode_routes(plans, encoding=encoding),
        rerank_routes(shelf, reranking=reranking),
        embedding_routes(shelf, embedding=embedding),
        model_routes(shelf),
    )
    # The order of the routes is the order in which they are tried: others cannot take ours.
    for router in (*own, *routers):
        app.include_router(router)
    describe(app)
    return app


async def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    reason = f"{request.method} here: {error.detail}"
    return json_answer({"error": reason, "message": reason}, status=error.status_code)
