"""Read a plan, and open the models that it names."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import InputError, InvalidPlanError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.settings import Settings


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


def open_models(plan: FunnelPlan, *, settings: Settings, progress: Progress = SILENT) -> PlanModels:
    """Open the models of a plan's legs and stages, fetching what is missing.

    Raises:
        ModelError: a model's files cannot be fetched, verified or loaded.
        MissingExtraError: the model runtime is not installed.
    """
    from opensearch_funnel.encoders.opening import open_cross_encoder, open_dense, open_splade

    threads, legs = settings.threads, plan.active_legs
    sparse = dense = reranker = None
    if "sparse" in legs:
        sparse = open_splade(plan.sparse.model, threads=threads, progress=progress)
    if "dense" in legs:
        dense = open_dense(plan.dense.model, threads=threads, progress=progress)
    if plan.rerank.enabled:
        reranker = open_cross_encoder(plan.rerank.model, threads=threads, progress=progress)
    return PlanModels(sparse=sparse, dense=dense, reranker=reranker)
