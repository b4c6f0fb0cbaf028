"""The service of a cluster, and plans that are applied for as long as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opensearch_funnel.core.errors import EngineUnreachableError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import apply_pipeline, remove_pipeline
from opensearch_funnel.engine.client import connect
from opensearch_funnel.settings import EMBEDDED_URL, NODE_PORT, Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opensearchpy import OpenSearch

# The calls of the service to the cluster run in as many threads as it has workers.
_CONNECTIONS = 16


def service_app(settings: Settings) -> FastAPI:
    """Make the service's application for one cluster."""
    from opensearch_funnel.build.served_models import model_shelf, served_models
    from opensearch_funnel.service.app import create_app
    from opensearch_funnel.service.metrics import Metrics
    from opensearch_funnel.service.page.routes import page_routes
    from opensearch_funnel.service.plans import LoadedPlans
    from opensearch_funnel.service.search_api import search_routes
    from opensearch_funnel.service.search_api_applied import AppliedSearches
    from opensearch_funnel.service.texts import IndexTexts

    client = connect(settings, pool_size=_CONNECTIONS)
    metrics = Metrics()
    models = served_models(settings, metrics=metrics)
    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=models.open
    )
    token = settings.service_token
    return create_app(
        plans,
        IndexTexts(client),
        engine_url=settings.url,
        preload=lambda: sorted({p.plan_id for p in state.list_pipelines(client)}),
        routers=[search_routes(AppliedSearches(client, ready_plan=plans.get)), page_routes()],
        metrics=metrics,
        token=None if token is None else token.get_secret_value(),
        service_url=settings.service_url,
        shelf=model_shelf(models),
    )


def reachable_engine(settings: Settings, *, progress: Progress = SILENT) -> Settings:
    """Return settings whose cluster answers, starting the embedded node where it is the one meant.

    The node goes on afterwards: its indices are there to be used again (``funnel node stop``).

    Raises:
        EngineUnreachableError: nothing answers at an address that is not the embedded node's.
        NodeError: the embedded node could not be started.
    """
    try:
        connect(settings).info()
    except EngineUnreachableError:
        if settings.url != EMBEDDED_URL:
            raise
    else:
        return settings
    from opensearch_funnel.engine.node import start_node

    node = start_node(port=NODE_PORT, home=settings.home, progress=progress)
    progress.say(f"started the embedded node at {node.url}; funnel node stop ends it")
    return settings.model_copy(update={"url": node.url})


@contextmanager
def reachable_service(settings: Settings, *, timed: bool = False) -> Iterator[str]:
    """Give the URL of a service for the cluster: the one that runs, or one of our own.

    A service that runs at the address of the settings is used when it belongs to the same
    cluster; otherwise one is started on a free port and ends with the context.

    Args:
        settings: of the cluster and the service.
        timed: answers will be timed: always a service of our own, which remembers no scores.

    Raises:
        StageUnavailableError: it could not be started; says why.
    """
    from opensearch_funnel.service.process import background_service, service_at

    if timed:
        settings = settings.model_copy(update={"score_cache": 0})
    running = None if timed else service_at(settings.service_url)
    if running is not None and running["engine"] == settings.url:
        yield settings.service_url
        return
    with background_service(env=settings.environment()) as url:
        yield url


def service_token(settings: Settings) -> str | None:
    """Return what the service wants to be shown, or ``None``."""
    return settings.service_token.get_secret_value() if settings.service_token else None


@contextmanager
def applied_plan(  # noqa: PLR0913 - the parts of one call
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    service_url: str,
    name: str,
    default: bool = False,
    token: str | None = None,
) -> Iterator[str]:
    """Apply a plan under a name of its own while the context is open, loaded and ready.

    Args:
        client: the cluster.
        plan: a plan that is bound to its index.
        service_url: where the service runs.
        name: of the search pipeline.
        default: make it the default pipeline of the plan's index meanwhile.
        token: what the service wants to be shown.

    Yields:
        The name of the search pipeline; the service has answered for the plan.
    """
    apply_pipeline(client, plan, service_url=service_url, name=name, default=default, token=token)
    try:
        yield name
    finally:
        remove_pipeline(client, name)
