"""Apply a plan to a cluster as a native search pipeline, show what is applied, and undo it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import (
    default_pipelines,
    remote_models,
    search_pipelines,
    service_access,
    state,
)
from opensearch_funnel.engine.state import AppliedPipeline, Unfinished
from opensearch_funnel.engine.undoing import undo_quietly


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


def apply_pipeline(  # noqa: PLR0913 - independent options, all with defaults
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    service_url: str,
    name: str | None = None,
    default: bool = False,
    check: bool = True,
) -> AppliedPipeline:
    """Make the search pipeline of a plan, with all that it needs.

    Applying the same plan again changes nothing but what is broken; another plan under the same
    name replaces the pipeline in one step, and what the old one needed is removed after that.
    An apply that fails, or is interrupted, leaves everything as it was.

    Args:
        client: the cluster.
        plan: a plan that was bound to its index (``bound_plan``).
        service_url: where the cluster reaches the service.
        name: of the search pipeline; by default it follows the alias.
        default: make it the default pipeline of the plan's index, so that every client gets it.
        check: wait until the service answers for the plan before the pipeline is put.

    Returns:
        What was made; it is stored in the cluster too, for ``remove_pipeline``.

    Raises:
        InvalidPlanError: a transient cluster setting forbids what is needed.
        StageUnavailableError: the cluster gets no answer from the service; says why.
    """
    name = name or pipeline_name(plan.alias)
    url = service_url.rstrip("/")
    service_access.refuse_overridden(client, service_url=url)
    _tidy(client, name)
    before = state.load_pipeline(client, name)
    with ExitStack() as undo:
        if before is not None and _is_current(client, before, plan, service_url=url):
            applied = before
            state.save_plan(client, plan)
            service_access.fit_settings(client)
            if check:
                remote_models.wait_until_answered(client, applied.models[0], service_url=url)
        else:
            new = AppliedPipeline(
                name=name,
                plan_id=plan.plan_id,
                service_url=url,
                default_of=dict(before.default_of) if before else {},
            )
            applied = _build(client, new, plan=plan, before=before, check=check, undo=undo)
        if default:
            applied = default_pipelines.make_default(client, applied, alias=plan.alias, undo=undo)
        undo.pop_all()
    # The pipeline stands: what is left of the old one can be deleted by the next call, too.
    undo_quietly(_tidy, client, name)
    return applied


def _is_current(
    client: OpenSearch, applied: AppliedPipeline, plan: FunnelPlan, *, service_url: str
) -> bool:
    """Say whether all that a plan needs is there, as applying it again would make it."""
    if applied.plan_id != plan.plan_id or applied.service_url != service_url:
        return False
    body = search_pipelines.funnel_pipeline(
        plan,
        rewrite_model=applied.models[0],
        rank_model=applied.models[1] if plan.rerank.enabled else None,
    )
    if default_pipelines.pipeline_body(client, applied.name) != body:
        return False
    return all(remote_models.is_usable(client, model_id) for model_id in applied.models)


def _build(  # noqa: PLR0913 - the parts of one call
    client: OpenSearch,
    new: AppliedPipeline,
    *,
    plan: FunnelPlan,
    before: AppliedPipeline | None,
    check: bool,
    undo: ExitStack,
) -> AppliedPipeline:
    """Make a pipeline and what it needs, and leave in ``undo`` how to take that back."""
    unfinished = Unfinished(
        name=new.name,
        service_url=new.service_url,
        plan_ids=(new.plan_id, *([before.plan_id] if before else [])),
        connectors=before.connectors if before else (),
    )
    undo.callback(undo_quietly, _tidy, client, new.name)
    state.save_unfinished(client, unfinished)
    state.save_plan(client, plan)
    service_access.fit_settings(client)
    models: dict[str, str] = {}
    for action, connector in _connectors(plan, service_url=new.service_url).items():
        connector_id = remote_models.create_connector(client, connector)
        undo.callback(undo_quietly, remote_models.delete_connector, client, connector_id)
        new = replace(new, connectors=(*new.connectors, connector_id))
        state.save_unfinished(
            client, replace(unfinished, connectors=(*unfinished.connectors, *new.connectors))
        )
        models[action] = remote_models.create_model(client, connector, connector_id=connector_id)
    new = replace(new, models=tuple(models.values()))
    if check:
        remote_models.wait_until_answered(client, models["rewrite"], service_url=new.service_url)
    body = search_pipelines.funnel_pipeline(
        plan, rewrite_model=models["rewrite"], rank_model=models.get("rank")
    )
    there = default_pipelines.pipeline_body(client, new.name)
    if there is None:
        undo.callback(undo_quietly, default_pipelines.delete_pipeline, client, new)
    else:
        undo.callback(undo_quietly, _put_pipeline, client, new.name, there)
    _put_pipeline(client, new.name, body)
    if before is None:
        undo.callback(undo_quietly, state.forget_pipeline, client, new.name)
    else:
        undo.callback(undo_quietly, state.save_pipeline, client, before)
    state.save_pipeline(client, new)
    return new


def _put_pipeline(client: OpenSearch, name: str, body: dict[str, Any]) -> None:
    client.transport.perform_request("PUT", f"/_search/pipeline/{name}", body=body)


def _tidy(client: OpenSearch, name: str) -> None:
    """Delete what an apply or a removal left that the pipeline of that name does not use."""
    left = state.load_unfinished(client, name)
    if left is None:
        return
    applied = state.load_pipeline(client, name)
    if applied is None and _is_ours(default_pipelines.pipeline_body(client, name)):
        gone = AppliedPipeline(name=name, plan_id="", service_url=left.service_url)
        default_pipelines.delete_pipeline(client, gone)
    for connector_id in left.connectors:
        if applied is None or connector_id not in applied.connectors:
            remote_models.delete_connector(client, connector_id)
    for plan_id in left.plan_ids:
        for action in ("rewrite", "rank"):
            models = search_pipelines.connector_name(plan_id, action=action)
            remote_models.delete_groups(client, models)
    state.forget_unfinished(client, name)
    for plan_id in left.plan_ids:
        state.forget_plan(client, plan_id)
    service_access.fit_settings(client)


def _is_ours(body: dict[str, Any] | None) -> bool:
    """Say whether there is a pipeline, and one of this project's."""
    return body is not None and body.get("description", "").startswith("opensearch-funnel ")


def _connectors(plan: FunnelPlan, *, service_url: str) -> dict[str, dict[str, Any]]:
    connectors = {"rewrite": search_pipelines.rewrite_connector(plan, service_url=service_url)}
    if plan.rerank.enabled:
        connectors["rank"] = search_pipelines.rank_connector(plan, service_url=service_url)
    return connectors


def remove_pipeline(client: OpenSearch, name: str) -> AppliedPipeline:
    """Undo everything that applying a pipeline did, or that an interrupted apply left.

    Raises:
        InvalidPlanError: no pipeline of that name was applied by this project.
    """
    _tidy(client, name)
    applied = state.load_pipeline(client, name)
    if applied is None:
        known = ", ".join(p.name for p in state.list_pipelines(client)) or "none"
        raise InvalidPlanError(f"no pipeline {name!r} was applied here; applied: {known}")
    default_pipelines.delete_pipeline(client, applied)
    state.save_unfinished(
        client,
        Unfinished(
            name=name,
            service_url=applied.service_url,
            plan_ids=(applied.plan_id,),
            connectors=applied.connectors,
        ),
    )
    state.forget_pipeline(client, name)
    _tidy(client, name)
    return applied


def show_pipelines(client: OpenSearch) -> list[dict[str, Any]]:
    """Return what is applied to a cluster, each with its plan and its body."""
    return [
        {
            **asdict(applied),
            "plan": state.load_plan(client, applied.plan_id).to_dict(),
            "body": default_pipelines.pipeline_body(client, applied.name),
        }
        for applied in state.list_pipelines(client)
    ]
