"""From a plan to the parts that run it: the only place that wires models, cluster and service."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opensearch_funnel.core.errors import InputError, InvalidPlanError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import state
from opensearch_funnel.engine.client import connect
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI
    from opensearchpy import OpenSearch

# The calls of the service to the cluster run in as many threads as it has workers.
_CONNECTIONS = 16


def read_plan(path: Path, *, alias: str | None = None) -> FunnelPlan:
    """Read the table ``[plan]`` of a ``funnel.toml``.

    Args:
        path: the file; where it does not exist, the plan is made of defaults.
        alias: the index or alias; wins over the file's.

    Raises:
        InputError: the file is not TOML.
        InvalidPlanError: the plan cannot be run, or neither names an index.
    """
    table: dict[str, Any] = {}
    if path.is_file():
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8")).get("plan", {})
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is not valid TOML: {error}") from error
    if alias is not None:
        table = {**table, "alias": alias}
    if "alias" not in table:
        raise InvalidPlanError(
            f'which index? give --index NAME, or write alias = "NAME" under [plan] in {path}'
        )
    return FunnelPlan.from_dict(table)


def open_models(plan: FunnelPlan, *, settings: Settings) -> PlanModels:
    """Open the models of a plan's legs and stages.

    Raises:
        ModelError: a model's files cannot be fetched, verified or loaded.
        MissingExtraError: the model runtime is not installed.
    """
    from opensearch_funnel.encoders.opening import open_cross_encoder, open_dense, open_splade

    threads = settings.threads
    legs = plan.active_legs
    return PlanModels(
        sparse=open_splade(plan.sparse.model, threads=threads) if "sparse" in legs else None,
        dense=open_dense(plan.dense.model, threads=threads) if "dense" in legs else None,
        reranker=(
            open_cross_encoder(plan.rerank.model, threads=threads) if plan.rerank.enabled else None
        ),
    )


def service_app(settings: Settings) -> FastAPI:
    """Make the service's application for one cluster."""
    from opensearch_funnel.service.app import create_app

    client = connect(settings, pool_size=_CONNECTIONS)
    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id),
        open_models=lambda plan: open_models(plan, settings=settings),
    )
    return create_app(
        plans,
        IndexTexts(client),
        engine_url=settings.url,
        preload=lambda: sorted({p.plan_id for p in state.list_pipelines(client)}),
    )


@contextmanager
def reachable_service(settings: Settings) -> Iterator[str]:
    """Give the URL of a service for the cluster: the one that runs, or one of our own.

    A service that runs at the address of the settings is used when it belongs to the same
    cluster; otherwise one is started on a free port and ends with the context.

    Raises:
        StageUnavailableError: it could not be started; says why.
    """
    from opensearch_funnel.service.process import background_service, service_at

    running = service_at(settings.service_url)
    if running is not None and running["engine"] == settings.url:
        yield settings.service_url
        return
    with background_service(env=settings.environment()) as url:
        yield url


@contextmanager
def applied_plan(
    client: OpenSearch, plan: FunnelPlan, *, service_url: str, name: str
) -> Iterator[str]:
    """Apply a plan under a name of its own while the context is open, loaded and ready.

    Yields:
        The name of the search pipeline.
    """
    from opensearch_funnel.engine.applying import apply_pipeline, remove_pipeline
    from opensearch_funnel.service.process import wait_for_plan

    apply_pipeline(client, plan, service_url=service_url, name=name)
    try:
        wait_for_plan(service_url, plan.plan_id)
        yield name
    finally:
        remove_pipeline(client, name)
