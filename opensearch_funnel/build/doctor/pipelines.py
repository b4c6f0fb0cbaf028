"""What is read of one applied pipeline."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.build.doctor.reading import Reader, Unread
from opensearch_funnel.build.plans import read_plan
from opensearch_funnel.core.errors import EngineError, FunnelError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import remote_models, search_pipelines, state
from opensearch_funnel.engine.binding import planned_index
from opensearch_funnel.engine.default_pipelines import INGEST, KINDS, Kind, pipeline_body
from opensearch_funnel.engine.live_documents import LiveIndex, live_index
from opensearch_funnel.engine.remote_models import ML
from opensearch_funnel.engine.state import AppliedPipeline
from opensearch_funnel.engine.templates import default_named_in
from opensearch_funnel.engine.wanted_pipelines import Wanted

_NOT_FOUND = 404
_LOADING = 'is loading"'
"""How the service's refusal ends, in the engine's words, while it loads the plan."""
_LOADING_S = 30.0
_POLL_S = 0.5
_COMPOSABLE = {
    "index template": ("/_index_template", "index_templates", "index_template"),
    "component template": ("/_component_template", "component_templates", "component_template"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A template that names a pipeline.

    Attributes:
        path: where it is written.
        label: its kind and name.
        setting: the setting that names the pipeline.
        body: all that it says.
    """

    path: str
    label: str
    setting: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """An applied pipeline, as far as it could be read.

    Attributes:
        applied: the record of it.
        plan: what it runs, as recorded.
        local_plan: what ``funnel pipeline apply`` would take for it here, before it is bound.
        index: the concrete index that its plan is for.
        body: of the search pipeline; ``None`` where there is none.
        ingest_body: the same of the ingest pipeline, where documents are encoded while they are
            written.
        wanted: what both would be if it was applied again, by what they are run for.
        models: the state of each of its remote models; ``None`` where there is none.
        connectors: whether each of its connectors is there.
        called: the engine's call of the service: ``None`` where it was answered.
        templates: those that name the pipeline.
    """

    applied: AppliedPipeline
    plan: FunnelPlan | Unread
    local_plan: FunnelPlan | None
    index: str | Unread
    body: Mapping[str, Any] | Unread | None
    ingest_body: Mapping[str, Any] | Unread | None
    wanted: Mapping[Kind, Mapping[str, Any]] | Unread
    models: Mapping[str, str | Unread | None]
    connectors: Mapping[str, bool | Unread]
    called: Unread | None
    templates: tuple[Template, ...] | Unread

    @property
    def name(self) -> str:
        """Of the search pipeline."""
        return self.applied.name

    @property
    def alias(self) -> str:
        """What its plan is for, as far as that is known."""
        if isinstance(self.plan, Unread):
            return self.applied.plan_id.rpartition(".")[0]
        return self.plan.alias


def read_pipeline(reader: Reader, applied: AppliedPipeline, *, plan_file: Path) -> Pipeline:
    """Read an applied pipeline.

    Args:
        reader: asks the cluster.
        applied: the record of it.
        plan_file: the ``funnel.toml`` that an apply here would read.
    """
    plan = reader.read(lambda client: state.load_plan(client, applied.plan_id))
    models = {model: reader.read(_state_of(model)) for model in applied.models}
    called: Unread | None = Unread(why="it has no model")
    if applied.models and models[applied.models[0]] is not None:
        called = _called(reader, applied.models[0])
    known = None if isinstance(plan, Unread) else plan
    return Pipeline(
        applied=applied,
        plan=plan,
        local_plan=None if known is None else _local_plan(plan_file, alias=known.alias),
        index=_index_of(reader, known),
        body=reader.read(lambda client: pipeline_body(client, applied.name)),
        ingest_body=reader.read(lambda client: _ingest_body(client, applied)),
        wanted=_wanted(reader, known, applied=applied),
        models=models,
        connectors={one: reader.read(_is_there(one)) for one in applied.connectors},
        called=called,
        templates=reader.read(lambda client: _templates(client, applied.name)),
    )


def _index_of(reader: Reader, plan: FunnelPlan | None) -> str | Unread:
    if plan is None:
        return Unread(why="its plan is not known")
    return reader.read(lambda client: planned_index(client, plan))


def _local_plan(path: Path, *, alias: str) -> FunnelPlan | None:
    """Return the plan that an apply here would start from; ``None`` where it could not."""
    try:
        return read_plan(path, alias=alias)
    except FunnelError:
        return None


def _wanted(
    reader: Reader, plan: FunnelPlan | None, *, applied: AppliedPipeline
) -> Mapping[Kind, Mapping[str, Any]] | Unread:
    """Return the bodies that an apply of the plan would put."""
    if plan is None:
        return Unread(why="its plan is not known")
    live: LiveIndex | None = None
    if applied.ingest_of:
        found = reader.read(lambda client: live_index(client, plan))
        if isinstance(found, Unread):
            return found
        live = found
    connectors = search_pipelines.plan_connectors(
        plan, service_url=applied.service_url, ingest=live is not None
    )
    wanted = Wanted(plan=plan, connectors=connectors, live=live)
    models = wanted.models_of(applied)
    return wanted.bodies(models) if models else Unread(why="its record lacks models")


def _ingest_body(client: OpenSearch, applied: AppliedPipeline) -> Mapping[str, Any] | None:
    if not applied.ingest_of:
        return None
    return pipeline_body(client, applied.name, kind=INGEST)


def _state_of(model: str) -> Callable[[OpenSearch], str | None]:
    return lambda client: remote_models.model_state(client, model)


def _is_there(connector: str) -> Callable[[OpenSearch], bool]:
    def ask(client: OpenSearch) -> bool:
        try:
            client.transport.perform_request("GET", f"{ML}/connectors/{connector}")
        except EngineError as error:
            if error.status != _NOT_FOUND:
                raise
            return False
        return True

    return ask


def _called(reader: Reader, model: str) -> Unread | None:
    """Let the engine ask the service for a rewrite; return why nothing came of it.

    A service that has just started loads the plan when it is asked for the first time.
    """
    deadline = time.monotonic() + _LOADING_S
    while True:
        answer = reader.read(lambda client: _rewritten(client, model))
        if not isinstance(answer, Unread):
            return None if answer else Unread(why="what answers is no funnel service")
        if _LOADING not in answer.why or time.monotonic() > deadline:
            return answer
        time.sleep(_POLL_S)


def _rewritten(client: OpenSearch, model: str) -> bool:
    """Ask as a search would, and say whether a rewrite came back."""
    asked = {"parameters": {"source": '{"query":{"match_all":{}}}'}}
    answer = client.transport.perform_request("POST", f"{ML}/models/{model}/_predict", body=asked)
    output = answer["inference_results"][0]["output"][0]
    return isinstance(output.get("dataAsMap", {}).get("body"), str)


def _templates(client: OpenSearch, pipeline: str) -> tuple[Template, ...]:
    """Find the templates whose settings name a pipeline as the default."""
    ask = client.transport.perform_request
    every = [
        (f"/_template/{name}", f"template {name}", body, body.get("settings", {}))
        for name, body in ask("GET", "/_template").items()
    ]
    for label, (path, listed, held) in _COMPOSABLE.items():
        for one in ask("GET", path)[listed]:
            settings = one[held].get("template", {}).get("settings") or {}
            every.append((f"{path}/{one['name']}", f"{label} {one['name']}", one[held], settings))
    found = [
        Template(path=path, label=label, setting=kind.setting, body=body)
        for path, label, body, settings in every
        for kind in KINDS
        if default_named_in(settings, setting=kind.setting) == pipeline
    ]
    return tuple(sorted(found, key=lambda one: (one.label, one.setting)))
