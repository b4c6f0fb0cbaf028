"""Read a plan, and open the models that it names."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from opensearch_funnel.core.errors import InputError, InvalidPlanError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.encoders.opening import Encoder

KEPT_MODELS = 8


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
    return SharedModels(settings, progress=progress).open(plan)


class SharedModels:
    """Models of several plans: each is opened once, and the last ones used are kept open."""

    def __init__(
        self,
        settings: Settings,
        *,
        progress: Progress = SILENT,
        adapt: Callable[[Encoder], Any] | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            settings: say how many threads a model runs in.
            progress: hears of what is fetched.
            adapt: makes of an opened model what is kept and given out in its place, once.
        """
        self._settings = settings
        self._progress = progress
        self._adapt = adapt
        self._lock = Lock()
        self._kept: dict[tuple[str, str], Any] = {}

    def open(self, plan: FunnelPlan) -> PlanModels:
        """Open the models of a plan's legs and stages; as ``open_models``."""
        from opensearch_funnel.encoders.opening import open_cross_encoder, open_dense, open_splade

        legs = plan.active_legs
        sparse = dense = first_reranker = reranker = None
        if "sparse" in legs:
            leg = plan.sparse
            sparse = self._shared(leg.model, opened_by=open_splade, max_tokens=leg.max_tokens)
        if "dense" in legs:
            dense = self._shared(
                plan.dense.model, opened_by=open_dense, max_tokens=plan.dense.max_tokens
            )
        if plan.rerank.enabled:
            *first, last = (
                self._shared(name, opened_by=open_cross_encoder) for name in plan.rerank.models
            )
            first_reranker, reranker = first[0] if first else None, last
        return PlanModels(
            sparse=sparse, dense=dense, first_reranker=first_reranker, reranker=reranker
        )

    def named(self, name: str) -> Any:
        """Open one model by its name; as ``open``."""
        from opensearch_funnel.encoders.opening import open_encoder

        return self._shared(name, opened_by=open_encoder)

    def opened(self) -> list[str]:
        """Return the names of the models that are open."""
        with self._lock:
            return sorted(name for name, _ in self._kept)

    def _shared(self, name: str, *, opened_by: Callable[..., Encoder], max_tokens: int = 0) -> Any:
        from opensearch_funnel.encoders.manifest_files import load_manifest

        manifest = load_manifest(name, max_tokens=max_tokens)
        key = (name, manifest.fingerprint())
        with self._lock:
            model = self._kept.pop(key, None)
            if model is None:
                model = opened_by(manifest, threads=self._settings.threads, progress=self._progress)
                model = model if self._adapt is None else self._adapt(model)
            self._kept[key] = model
            if len(self._kept) > KEPT_MODELS:
                del self._kept[next(iter(self._kept))]
            return model


def open_encoders(
    plan: FunnelPlan, *, settings: Settings, progress: Progress = SILENT
) -> PlanModels:
    """Open the models of a plan's legs, and not its reranker."""
    fused = replace(plan, rerank=replace(plan.rerank, enabled=False))
    return open_models(fused, settings=settings, progress=progress)
