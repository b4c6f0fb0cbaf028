"""Apply a plan to a cluster as a native search pipeline, show what is applied, and undo it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import (
    covering,
    default_pipelines,
    remote_models,
    search_pipelines,
    service_access,
    state,
)
from opensearch_funnel.engine.binding import bound_plan, planned_index
from opensearch_funnel.engine.state import AppliedPipeline, Unfinished
from opensearch_funnel.engine.templates import templates_naming
from opensearch_funnel.engine.undoing import undo_quietly

__all__ = [
    "apply_notes",
    "apply_pipeline",
    "bound_plan",
    "pipeline_name",
    "planned_requests",
    "remove_pipeline",
    "show_pipelines",
]


def pipeline_name(alias: str) -> str:
    """Return the name of the search pipeline of an alias.

    Example:
        >>> pipeline_name("films")
        'funnel-films'
    """
    return f"funnel-{alias}"


def planned_requests(
    plan: FunnelPlan, *, service_url: str, name: str, with_token: bool = False
) -> dict[str, Any]:
    """Return the bodies that applying a plan would send, for a look before it is done.

    Args:
        plan: a plan that was bound to its index.
        service_url: where the cluster reaches the service.
        name: of the search pipeline.
        with_token: whether the connectors would carry a token; the token itself is not shown.
    """
    token = "<service_token>" if with_token else None
    connectors = search_pipelines.plan_connectors(plan, service_url=service_url, token=token)
    return {
        "plan_id": plan.plan_id,
        "plan": plan.to_dict(),
        "connectors": connectors,
        f"PUT /_search/pipeline/{name}": _body(
            plan, models={action: f"<id of model {action}>" for action in connectors}
        ),
    }


def apply_pipeline(  # noqa: PLR0913 - independent options, all with defaults
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    service_url: str,
    name: str | None = None,
    default: bool = False,
    with_others: bool = False,
    replace_default: bool = False,
    check: bool = True,
    quiet_log: bool = True,
    token: str | None = None,
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
        with_others: whether it may be the default where aliases of the index cover others, too.
        replace_default: whether it may take the place of a default pipeline of somebody else's.
        check: wait until the service answers for the plan before the pipeline is put.
        quiet_log: keep the warnings about requests that pass untouched out of the engine's log.
        token: what the service wants to be shown.

    Returns:
        What was made; it is stored in the cluster too, for ``remove_pipeline``.

    Raises:
        InvalidPlanError: a transient cluster setting forbids what is needed, or the default would
            reach indices that it is not for.
        StageUnavailableError: the cluster gets no answer from the service; says why.
    """
    name = name or pipeline_name(plan.alias)
    url = service_url.rstrip("/")
    connectors = search_pipelines.plan_connectors(plan, service_url=url, token=token)
    service_access.refuse_overridden(client, service_url=url)
    index = ""
    if default:
        index = covering.default_index(
            client,
            plan,
            name=name,
            with_others=with_others,
            replace_default=replace_default,
        )
    _tidy(client, name)
    before = state.load_pipeline(client, name)
    new = AppliedPipeline(
        name=name,
        plan_id=plan.plan_id,
        service_url=url,
        default_of=dict(before.default_of) if before else {},
        quiet_log=quiet_log,
        token_hash=search_pipelines.token_hash(token, plan_id=plan.plan_id),
    )
    with ExitStack() as undo:
        if before is not None and _is_current(client, before, new, plan=plan):
            applied = _healed(client, before, new, plan=plan, undo=undo)
            if check:
                _ask_service(client, applied, plan=plan)
        else:
            applied = _build(
                client,
                new,
                plan=plan,
                connectors=connectors,
                before=before,
                check=check,
                undo=undo,
            )
        if default:
            applied = default_pipelines.make_default(client, applied, index=index, undo=undo)
        undo.pop_all()
    # The pipeline stands: what is left of the old one can be deleted by the next call, too.
    undo_quietly(_tidy, client, name)
    return applied


def apply_notes(client: OpenSearch, plan: FunnelPlan, *, applied: AppliedPipeline) -> list[str]:
    """Say what clients may notice of a pipeline, the more if it is a default: one line each.

    Args:
        client: the cluster.
        plan: what the pipeline runs.
        applied: the pipeline.
    """
    index = planned_index(client, plan)
    notes = []
    if index in applied.default_of:
        notes = covering.default_notes(client, plan, index=index, name=applied.name)
    slow = covering.shard_note(client, plan, index=index)
    return [*notes, slow] if slow else notes


def _actions(plan: FunnelPlan) -> tuple[str, ...]:
    """Return what a plan's models are asked for, in the order in which they are recorded."""
    return tuple(search_pipelines.plan_connectors(plan, service_url="http://unused"))


def _body(plan: FunnelPlan, *, models: Mapping[str, str]) -> dict[str, Any]:
    return search_pipelines.funnel_pipeline(
        plan,
        rewrite_model=models["rewrite"],
        rank_model=models.get("rank"),
        embed_model=models.get("embed"),
    )


def _is_current(
    client: OpenSearch, applied: AppliedPipeline, new: AppliedPipeline, *, plan: FunnelPlan
) -> bool:
    """Say whether all that a plan needs is there, as applying it again would make it."""
    if any(
        getattr(applied, name) != getattr(new, name)
        for name in ("plan_id", "service_url", "token_hash")
    ):
        return False
    models = dict(zip(_actions(plan), applied.models, strict=True))
    if default_pipelines.pipeline_body(client, applied.name) != _body(plan, models=models):
        return False
    return all(remote_models.is_usable(client, model_id) for model_id in applied.models)


def _healed(
    client: OpenSearch,
    before: AppliedPipeline,
    new: AppliedPipeline,
    *,
    plan: FunnelPlan,
    undo: ExitStack,
) -> AppliedPipeline:
    """Put back what a pipeline that stands needs around it."""
    state.save_plan(client, plan)
    applied = replace(before, quiet_log=new.quiet_log)
    if applied != before:
        undo.callback(undo_quietly, service_access.fit_settings, client)
        undo.callback(undo_quietly, state.save_pipeline, client, before)
        state.save_pipeline(client, applied)
    service_access.fit_settings(client)
    return applied


def _ask_service(client: OpenSearch, applied: AppliedPipeline, *, plan: FunnelPlan) -> None:
    """Wait until the service answers the engine, for each of the models that it must not miss."""
    models = dict(zip(_actions(plan), applied.models, strict=True))
    url = applied.service_url
    remote_models.wait_until_answered(client, models["rewrite"], service_url=url)
    if "embed" in models:
        # Without a vector the engine fails the search, where without a score it goes on.
        remote_models.ask_for_vector(client, models["embed"], service_url=url)


def _build(  # noqa: PLR0913 - the parts of one call
    client: OpenSearch,
    new: AppliedPipeline,
    *,
    plan: FunnelPlan,
    connectors: Mapping[str, dict[str, Any]],
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
        quiet_log=new.quiet_log,
    )
    undo.callback(undo_quietly, _tidy, client, new.name)
    state.save_unfinished(client, unfinished)
    state.save_plan(client, plan)
    service_access.fit_settings(client)
    models: dict[str, str] = {}
    for action, connector in connectors.items():
        connector_id = remote_models.create_connector(client, connector)
        undo.callback(undo_quietly, remote_models.delete_connector, client, connector_id)
        new = replace(new, connectors=(*new.connectors, connector_id))
        state.save_unfinished(
            client, replace(unfinished, connectors=(*unfinished.connectors, *new.connectors))
        )
        models[action] = remote_models.create_model(client, connector, connector_id=connector_id)
    new = replace(new, models=tuple(models.values()))
    if check:
        _ask_service(client, new, plan=plan)
    there = default_pipelines.pipeline_body(client, new.name)
    if before is None and there is not None and not _is_ours(there):
        raise InvalidPlanError(
            f"there is a search pipeline {new.name} that this project did not make: take another "
            "name (--name)"
        )
    if there is None:
        undo.callback(undo_quietly, default_pipelines.delete_pipeline, client, new)
    else:
        undo.callback(undo_quietly, _put_pipeline, client, new.name, there)
    _put_pipeline(client, new.name, _body(plan, models=models))
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
    unused = [c for c in left.connectors if applied is None or c not in applied.connectors]
    # All models first: the engine may take them for models of each other's connectors.
    for connector_id in unused:
        remote_models.delete_models_of(client, connector_id)
    for connector_id in unused:
        remote_models.delete_connector(client, connector_id)
    for plan_id in left.plan_ids:
        for action in search_pipelines.ACTIONS:
            models = search_pipelines.connector_name(plan_id, action=action)
            remote_models.delete_groups(client, models)
    state.forget_unfinished(client, name)
    for plan_id in left.plan_ids:
        state.forget_plan(client, plan_id)
    service_access.fit_settings(client)


def _is_ours(body: dict[str, Any] | None) -> bool:
    """Say whether there is a pipeline, and one of this project's."""
    return body is not None and body.get("description", "").startswith("opensearch-funnel ")


def remove_pipeline(client: OpenSearch, name: str) -> AppliedPipeline:
    """Undo everything that applying a pipeline did, or that an interrupted apply left.

    Raises:
        InvalidPlanError: no pipeline of that name was applied by this project, or a template
            names it: an index that is made from that one later would fail every search.
    """
    _tidy(client, name)
    applied = state.load_pipeline(client, name)
    if applied is None:
        known = ", ".join(p.name for p in state.list_pipelines(client)) or "none"
        raise InvalidPlanError(f"no pipeline {name!r} was applied here; applied: {known}")
    if named := templates_naming(client, name):
        raise InvalidPlanError(
            f"{named[0]} names {name} as the default pipeline, and an index made from it would "
            "fail every search: take index.search.default_pipeline out of it, and remove again"
        )
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
            **applied.described(),
            "plan": state.load_plan(client, applied.plan_id).to_dict(),
            "body": default_pipelines.pipeline_body(client, applied.name),
        }
        for applied in state.list_pipelines(client)
    ]
