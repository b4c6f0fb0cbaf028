"""What the cluster remembers of the funnel: plans and applied pipelines, in one hidden index.

The service keeps nothing but models and caches, so any replica can answer for any plan.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError, InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.remote_models import SettingsChange

STATE_INDEX = ".funnel-state-1"
_NOT_FOUND = 404
_EXISTS = "resource_already_exists_exception"


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPipeline:
    """Everything that applying a pipeline made or changed, so that removing it leaves nothing.

    Attributes:
        name: the search pipeline.
        plan_id: the plan that it runs.
        service_url: where the cluster reaches the service.
        connectors: ids of its connectors.
        models: ids of its remote models.
        default_of: concrete indices whose default pipeline it is, each with what was the
            default before (empty where there was none).
        settings: what was changed in the cluster's settings.
    """

    name: str
    plan_id: str
    service_url: str
    connectors: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    default_of: dict[str, str] = field(default_factory=dict)
    settings: SettingsChange = field(default_factory=SettingsChange)


def save_plan(client: OpenSearch, plan: FunnelPlan) -> None:
    """Store a plan under its id; the same plan again changes nothing."""
    _put(client, f"plan:{plan.plan_id}", {"kind": "plan", "plan": plan.to_dict()})


def load_plan(client: OpenSearch, plan_id: str) -> FunnelPlan:
    """Read a plan.

    Raises:
        InvalidPlanError: no plan of that id was applied to this cluster.
    """
    stored = _get(client, f"plan:{plan_id}")
    if stored is None:
        raise InvalidPlanError(
            f"no plan {plan_id!r} in this cluster: apply it (funnel pipeline apply)"
        )
    return FunnelPlan.from_dict(stored["plan"])


def save_pipeline(client: OpenSearch, applied: AppliedPipeline) -> None:
    """Store what applying a pipeline made."""
    _put(client, f"pipeline:{applied.name}", {"kind": "pipeline", "pipeline": asdict(applied)})


def load_pipeline(client: OpenSearch, name: str) -> AppliedPipeline | None:
    """Read what applying a pipeline made; ``None`` where it was never applied."""
    stored = _get(client, f"pipeline:{name}")
    return None if stored is None else _pipeline(stored)


def list_pipelines(client: OpenSearch) -> list[AppliedPipeline]:
    """Read all applied pipelines, by name."""
    try:
        found = client.search(
            index=STATE_INDEX,
            body={"query": {"term": {"kind": "pipeline"}}, "size": 1000},
            params={"search_pipeline": "_none"},
        )
    except IndexMissingError:
        return []
    applied = [_pipeline(hit["_source"]) for hit in found["hits"]["hits"]]
    return sorted(applied, key=lambda pipeline: pipeline.name)


def forget_pipeline(client: OpenSearch, applied: AppliedPipeline) -> None:
    """Delete the record of a pipeline, and its plan when no other pipeline runs it."""
    _delete(client, f"pipeline:{applied.name}")
    if all(other.plan_id != applied.plan_id for other in list_pipelines(client)):
        _delete(client, f"plan:{applied.plan_id}")


def _pipeline(stored: dict[str, Any]) -> AppliedPipeline:
    values = dict(stored["pipeline"])
    return AppliedPipeline(
        **{
            **values,
            "connectors": tuple(values["connectors"]),
            "models": tuple(values["models"]),
            "settings": SettingsChange(
                **{**values["settings"], "trusted": tuple(values["settings"]["trusted"])}
            ),
        }
    )


def _put(client: OpenSearch, key: str, document: dict[str, Any]) -> None:
    body = {
        "settings": {"number_of_shards": 1, "auto_expand_replicas": "0-1", "hidden": True},
        # Plans are read back whole, never searched by what is in them.
        "mappings": {
            "dynamic": False,
            "properties": {"kind": {"type": "keyword"}},
        },
    }
    try:
        if not client.indices.exists(index=STATE_INDEX):
            client.indices.create(index=STATE_INDEX, body=body)
    except EngineError as error:
        if error.kind != _EXISTS:  # somebody else was faster
            raise
    client.index(index=STATE_INDEX, id=key, body=document, params={"refresh": "true"})


def _get(client: OpenSearch, key: str) -> dict[str, Any] | None:
    try:
        source: dict[str, Any] = client.get(index=STATE_INDEX, id=key)["_source"]
    except IndexMissingError:
        return None
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
        return None
    return source


def _delete(client: OpenSearch, key: str) -> None:
    try:
        client.delete(index=STATE_INDEX, id=key, params={"refresh": "true"})
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
