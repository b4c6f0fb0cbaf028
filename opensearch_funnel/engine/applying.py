"""Apply a plan to a cluster as a native search pipeline, show what is applied, and undo it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import remote_models, search_pipelines, state
from opensearch_funnel.engine.remote_models import SettingsChange
from opensearch_funnel.engine.state import AppliedPipeline

_NOT_FOUND = 404
_DEFAULT_PIPELINE = "index.search.default_pipeline"
_NONE = "_none"


def pipeline_name(alias: str) -> str:
    """Return the name of the search pipeline of an alias.

    Example:
        >>> pipeline_name("films")
        'funnel-films'
    """
    return f"funnel-{alias}"


def bound_plan(client: OpenSearch, plan: FunnelPlan) -> FunnelPlan:
    """Write the fingerprints of the models that encoded an index into a plan.

    Args:
        client: the cluster.
        plan: the plan as the user wrote it.

    Returns:
        The same plan, bound to what the index holds.

    Raises:
        IndexMissingError: the plan's alias does not exist.
        InvalidPlanError: the index has no funnel fields, or those of other models.
    """
    mappings = client.indices.get_mapping(index=plan.alias)
    if len(mappings) != 1:
        raise InvalidPlanError(
            f"{plan.alias} stands for {len(mappings)} indices, and a plan is for one: name one, "
            "or an alias of one"
        )
    values = plan.to_dict()
    for index, found in mappings.items():
        values["searched_fields"] = text_fields(found["mappings"].get("properties", {}))
        slots = found["mappings"].get("_meta", {}).get("funnel", {}).get("slots", {})
        slot = slots.get(plan.slot)
        for leg in ("sparse", "dense"):
            if leg not in plan.active_legs:
                continue
            encoded = (slot or {}).get(leg)
            if encoded is None:
                raise InvalidPlanError(
                    f"index {index} has no {leg} field in slot {plan.slot!r}: load it with "
                    f"funnel load --funnel, or set weight = 0 in [{leg}]"
                )
            wanted = values[leg]["fingerprint"] or encoded["fingerprint"]
            if encoded["model"] != values[leg]["model"] or encoded["fingerprint"] != wanted:
                raise InvalidPlanError(
                    f"index {index} was encoded by {encoded['model']} "
                    f"({encoded['fingerprint']}), the plan wants {values[leg]['model']} "
                    f"({wanted}): change the plan's model, or encode the index again"
                )
            values[leg]["fingerprint"] = encoded["fingerprint"]
    return FunnelPlan.from_dict(values)


def text_fields(properties: Mapping[str, Any], *, prefix: str = "") -> list[str]:
    """Return the names of all fields of type ``text``, those inside objects included.

    Example:
        >>> text_fields({"title": {"type": "text", "fields": {"raw": {"type": "keyword"},
        ...                                                   "en": {"type": "text"}}},
        ...              "year": {"type": "integer"},
        ...              "cast": {"properties": {"name": {"type": "text"}}}})
        ['cast.name', 'title', 'title.en']
    """
    found: list[str] = []
    for name, field in properties.items():
        path = f"{prefix}{name}"
        if field.get("type") == "text":
            found.append(path)
        # Documents inside a nested field are searched by a nested query only.
        if field.get("type", "object") != "nested":
            found += text_fields(field.get("properties", {}), prefix=f"{path}.")
        found += text_fields(field.get("fields", {}), prefix=f"{path}.")
    return sorted(found)


def planned_requests(plan: FunnelPlan, *, service_url: str, name: str) -> dict[str, Any]:
    """Return the bodies that applying a plan would send, for a look before it is done."""
    connectors = _connectors(plan, service_url=service_url)
    ids = {action: f"<id of model {action}>" for action in connectors}
    return {
        "plan_id": plan.plan_id,
        "plan": plan.to_dict(),
        "connectors": connectors,
        f"PUT /_search/pipeline/{name}": search_pipelines.funnel_pipeline(
            plan, rewrite_model=ids["rewrite"], rank_model=ids.get("rank")
        ),
    }


def apply_pipeline(
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    service_url: str,
    name: str | None = None,
    default: bool = False,
) -> AppliedPipeline:
    """Make the search pipeline of a plan, with all that it needs.

    Applying the same plan again changes nothing; another plan under the same name replaces the
    pipeline in one step, and what the old one needed is removed after that.

    Args:
        client: the cluster.
        plan: a plan that was bound to its index (``bound_plan``).
        service_url: where the cluster reaches the service.
        name: of the search pipeline; by default it follows the alias.
        default: make it the default pipeline of the plan's index, so that every client gets it.

    Returns:
        What was made; it is stored in the cluster too, for ``remove_pipeline``.
    """
    name = name or pipeline_name(plan.alias)
    before = state.load_pipeline(client, name)
    if before is not None and _is_current(client, before, plan, service_url=service_url):
        applied = before
    else:
        applied = _build(client, plan, service_url=service_url, name=name, before=before)
        if before is not None:
            _delete_models(client, before)
    if default:
        applied = _make_default(client, applied, alias=plan.alias)
    return applied


def _is_current(
    client: OpenSearch, applied: AppliedPipeline, plan: FunnelPlan, *, service_url: str
) -> bool:
    same = applied.plan_id == plan.plan_id and applied.service_url == service_url
    return same and _pipeline_body(client, applied.name) is not None


def _build(
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    service_url: str,
    name: str,
    before: AppliedPipeline | None,
) -> AppliedPipeline:
    change = _allow_service(client, service_url=service_url, before=before)
    state.save_plan(client, plan)
    connectors: list[str] = []
    models: dict[str, str] = {}
    try:
        for action, connector in _connectors(plan, service_url=service_url).items():
            connector_id, models[action] = remote_models.create_model(client, connector)
            connectors.append(connector_id)
        body = search_pipelines.funnel_pipeline(
            plan, rewrite_model=models["rewrite"], rank_model=models.get("rank")
        )
        client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=body)
    except BaseException:
        # Ctrl-C too: a pipeline that was not made leaves nothing behind.
        for model_id in models.values():
            remote_models.delete_model(client, model_id)
        for connector_id in connectors:
            remote_models.delete_connector(client, connector_id)
        if before is None:
            remote_models.undo_settings(client, change)
        raise
    applied = AppliedPipeline(
        name=name,
        plan_id=plan.plan_id,
        service_url=service_url,
        connectors=tuple(connectors),
        models=tuple(models.values()),
        default_of=dict(before.default_of) if before else {},
        settings=change,
    )
    state.save_pipeline(client, applied)
    return applied


def _allow_service(
    client: OpenSearch, *, service_url: str, before: AppliedPipeline | None
) -> SettingsChange:
    """Let the cluster call the service, and no longer one that a plan left behind."""
    if before is not None and before.service_url == service_url and before.settings.persistent:
        return before.settings
    if before is not None and not _other_users(client, before):
        remote_models.undo_settings(client, before.settings)
    change = remote_models.needed_settings(client, service_url=service_url)
    remote_models.put_settings(client, change.persistent)
    return change


def _other_users(client: OpenSearch, applied: AppliedPipeline) -> list[AppliedPipeline]:
    """Return the other pipelines that call the same service."""
    return [
        other
        for other in state.list_pipelines(client)
        if other.name != applied.name and other.service_url == applied.service_url
    ]


def _connectors(plan: FunnelPlan, *, service_url: str) -> dict[str, dict[str, Any]]:
    connectors = {"rewrite": search_pipelines.rewrite_connector(plan, service_url=service_url)}
    if plan.rerank.enabled:
        connectors["rank"] = search_pipelines.rank_connector(plan, service_url=service_url)
    return connectors


def _make_default(client: OpenSearch, applied: AppliedPipeline, *, alias: str) -> AppliedPipeline:
    """Make a pipeline the default of every index behind an alias, remembering what was."""
    found = client.indices.get_settings(index=alias, params={"flat_settings": "true"})
    defaults = dict(applied.default_of)
    for index, values in found.items():
        current = values["settings"].get(_DEFAULT_PIPELINE, "")
        if current != applied.name:
            defaults[index] = "" if current == _NONE else current
    applied = replace(applied, default_of=defaults)
    # Stored first: a crash between the two leaves a record that removing can work with.
    state.save_pipeline(client, applied)
    for index in defaults:
        _set_default(client, index, pipeline=applied.name)
    return applied


def _set_default(client: OpenSearch, index: str, *, pipeline: str) -> None:
    client.indices.put_settings(
        index=index,
        body={_DEFAULT_PIPELINE: pipeline or None},
        params={"ignore_unavailable": "true"},
    )


def remove_pipeline(client: OpenSearch, name: str) -> AppliedPipeline:
    """Undo everything that applying a pipeline did.

    The default goes first: an index whose default pipeline is gone fails every search.

    Raises:
        InvalidPlanError: no pipeline of that name was applied by this project.
    """
    applied = state.load_pipeline(client, name)
    if applied is None:
        known = ", ".join(p.name for p in state.list_pipelines(client)) or "none"
        raise InvalidPlanError(f"no pipeline {name!r} was applied here; applied: {known}")
    for index, before in applied.default_of.items():
        if _current_default(client, index) == applied.name:
            _set_default(client, index, pipeline=before)
    _ignore_missing(client, "DELETE", f"/_search/pipeline/{name}")
    _delete_models(client, applied)
    heirs = _other_users(client, applied)
    if not heirs:
        remote_models.undo_settings(client, applied.settings)
    elif applied.settings.persistent:
        # Another pipeline of the same service undoes the settings when it goes.
        state.save_pipeline(client, replace(heirs[0], settings=applied.settings))
    state.forget_pipeline(client, applied)
    return applied


def _delete_models(client: OpenSearch, applied: AppliedPipeline) -> None:
    for model_id in applied.models:
        remote_models.delete_model(client, model_id)
    for connector_id in applied.connectors:
        remote_models.delete_connector(client, connector_id)


def _current_default(client: OpenSearch, index: str) -> str:
    found = client.indices.get_settings(
        index=index, params={"flat_settings": "true", "ignore_unavailable": "true"}
    )
    settings = found.get(index, {}).get("settings", {})
    return str(settings.get(_DEFAULT_PIPELINE, ""))


def _pipeline_body(client: OpenSearch, name: str) -> dict[str, Any] | None:
    found = _ignore_missing(client, "GET", f"/_search/pipeline/{name}")
    body: dict[str, Any] | None = (found or {}).get(name)
    return body


def _ignore_missing(client: OpenSearch, method: str, path: str) -> Any:
    try:
        return client.transport.perform_request(method, path)
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
        return None


def show_pipelines(client: OpenSearch) -> list[dict[str, Any]]:
    """Return what is applied to a cluster, each with its plan and its body."""
    return [
        {
            **asdict(applied),
            "settings": applied.settings.persistent,
            "plan": state.load_plan(client, applied.plan_id).to_dict(),
            "body": _pipeline_body(client, applied.name),
        }
        for applied in state.list_pipelines(client)
    ]
