"""Apply a plan to a cluster as native pipelines, show what is applied, and undo it."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import (
    covering,
    default_pipelines,
    live_documents,
    remote_models,
    search_pipelines,
    service_access,
    state,
)
from opensearch_funnel.engine.binding import bound_plan, planned_index
from opensearch_funnel.engine.default_pipelines import INGEST, KINDS, SEARCH, is_ours
from opensearch_funnel.engine.live_documents import live_index
from opensearch_funnel.engine.state import AppliedPipeline, Unfinished
from opensearch_funnel.engine.templates import templates_naming
from opensearch_funnel.engine.undoing import undo_quietly
from opensearch_funnel.engine.wanted_pipelines import Wanted, planned_requests

__all__ = [
    "apply_notes",
    "apply_pipeline",
    "bound_plan",
    "live_index",
    "pipeline_name",
    "planned_requests",
    "remove_pipeline",
    "show_pipelines",
]


def pipeline_name(alias: str) -> str:
    """Return the name of the pipelines of an alias, the search and the ingest pipeline.

    Example:
        >>> pipeline_name("films")
        'funnel-films'
    """
    return f"funnel-{alias}"


def apply_pipeline(  # noqa: PLR0913 - independent options, all with defaults
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    service_url: str,
    name: str | None = None,
    default: bool = False,
    with_others: bool = False,
    replace_default: bool = False,
    ingest: bool = False,
    check: bool = True,
    quiet_log: bool = True,
    token: str | None = None,
) -> AppliedPipeline:
    """Make the search pipeline of a plan, with all that it needs, and its ingest pipeline.

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
        ingest: encode documents while they are written, by an ingest pipeline that becomes the
            default of the plan's index; one that it had runs first. Once on, it stays on.
        check: wait until the service answers for the plan before the pipeline is put.
        quiet_log: keep the warnings about requests that pass untouched out of the engine's log.
        token: what the service wants to be shown.

    Returns:
        What was made; it is stored in the cluster too, for ``remove_pipeline``.

    Raises:
        InvalidPlanError: a transient cluster setting forbids what is needed, or the default would
            reach indices that it is not for, or a pipeline of that name is somebody else's.
        StageUnavailableError: the cluster gets no answer from the service; says why.
    """
    name = name or pipeline_name(plan.alias)
    url = service_url.rstrip("/")
    before = state.load_pipeline(client, name)
    encodes = ingest or bool(before and before.ingest_of)
    connectors = search_pipelines.plan_connectors(
        plan, service_url=url, token=token, ingest=encodes
    )
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
    live = live_index(client, plan) if encodes else None
    _tidy(client, name)
    new = AppliedPipeline(
        name=name,
        plan_id=plan.plan_id,
        service_url=url,
        default_of=dict(before.default_of) if before else {},
        ingest_of=dict(before.ingest_of) if before else {},
        quiet_log=quiet_log,
        token_hash=search_pipelines.token_hash(token, plan_id=plan.plan_id),
    )
    wanted = Wanted(plan=plan, connectors=connectors, live=live)
    with ExitStack() as undo:
        if before is not None and _is_current(client, before, new, wanted=wanted):
            applied = _healed(client, before, new, plan=plan, undo=undo)
            if check:
                _ask_service(client, applied, wanted=wanted)
        else:
            applied = _build(client, new, wanted=wanted, before=before, check=check, undo=undo)
        if default:
            applied = default_pipelines.make_default(
                client, applied, index=index, undo=undo, kind=SEARCH
            )
        # Where somebody switched it off by hand, only being asked for switches it on again.
        if live is not None and (ingest or live.index not in new.ingest_of):
            applied = default_pipelines.make_default(
                client, applied, index=live.index, undo=undo, kind=INGEST, before=live.theirs
            )
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
    if index in applied.ingest_of:
        notes.append(live_documents.INGEST_NOTE)
    slow = covering.shard_note(client, plan, index=index)
    return [*notes, slow] if slow else notes


def _is_current(
    client: OpenSearch, applied: AppliedPipeline, new: AppliedPipeline, *, wanted: Wanted
) -> bool:
    """Say whether all that a plan needs is there, as applying it again would make it."""
    if any(
        getattr(applied, name) != getattr(new, name)
        for name in ("plan_id", "service_url", "token_hash")
    ):
        return False
    models = wanted.models_of(applied)
    if not models:
        return False
    bodies = wanted.bodies(models)
    if any(
        default_pipelines.pipeline_body(client, applied.name, kind=kind) != body
        for kind, body in bodies.items()
    ):
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


def _ask_service(client: OpenSearch, applied: AppliedPipeline, *, wanted: Wanted) -> None:
    """Wait until the service answers the engine, for each of the models that it must not miss."""
    models = wanted.models_of(applied)
    url = applied.service_url
    remote_models.wait_until_answered(client, models["rewrite"], service_url=url)
    if "embed" in models:
        # Without a vector the engine fails the search, where without a score it goes on.
        remote_models.ask_for_vector(client, models["embed"], service_url=url)
    if "encode" in models:
        # Without an answer every document would be pending.
        remote_models.ask_for_encoding(client, models["encode"], service_url=url)


def _build(  # noqa: PLR0913 - the parts of one call
    client: OpenSearch,
    new: AppliedPipeline,
    *,
    wanted: Wanted,
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
    state.save_plan(client, wanted.plan)
    service_access.fit_settings(client)
    models: dict[str, str] = {}
    for action, connector in wanted.connectors.items():
        connector_id = remote_models.create_connector(client, connector)
        undo.callback(undo_quietly, remote_models.delete_connector, client, connector_id)
        new = replace(new, connectors=(*new.connectors, connector_id))
        state.save_unfinished(
            client, replace(unfinished, connectors=(*unfinished.connectors, *new.connectors))
        )
        models[action] = remote_models.create_model(client, connector, connector_id=connector_id)
    new = replace(new, models=tuple(models.values()))
    if check:
        _ask_service(client, new, wanted=wanted)
    bodies = wanted.bodies(models)
    there = {k: default_pipelines.pipeline_body(client, new.name, kind=k) for k in bodies}
    for kind, body in there.items():
        known = before is not None and (kind is SEARCH or kind.recorded(before))
        if body is not None and not known and not is_ours(body):
            raise InvalidPlanError(
                f"there is a pipeline {new.name} ({kind.path}) that this project did not make: "
                "take another name (--name)"
            )
    for kind, body in bodies.items():
        old = there[kind]
        if old is None:
            undo.callback(undo_quietly, default_pipelines.delete_pipeline, client, new, kind=kind)
        else:
            undo.callback(
                undo_quietly, default_pipelines.put_pipeline, client, new.name, old, kind=kind
            )
        default_pipelines.put_pipeline(client, new.name, body, kind=kind)
    if before is None:
        undo.callback(undo_quietly, state.forget_pipeline, client, new.name)
    else:
        undo.callback(undo_quietly, state.save_pipeline, client, before)
    state.save_pipeline(client, new)
    return new


def _tidy(client: OpenSearch, name: str) -> None:
    """Delete what an apply or a removal left that the pipeline of that name does not use."""
    left = state.load_unfinished(client, name)
    if left is None:
        return
    applied = state.load_pipeline(client, name)
    gone = AppliedPipeline(name=name, plan_id="", service_url=left.service_url)
    for kind in KINDS:
        used = applied is not None and (kind is SEARCH or kind.recorded(applied))
        if not used and is_ours(default_pipelines.pipeline_body(client, name, kind=kind)):
            default_pipelines.delete_pipeline(client, gone, kind=kind)
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
    kinds = [kind for kind in KINDS if kind is SEARCH or kind.recorded(applied)]
    for kind in kinds:
        if named := templates_naming(client, name, setting=kind.setting):
            raise InvalidPlanError(
                f"{named[0]} names {name} as the default pipeline, and an index made from it would "
                f"fail: take {kind.setting} out of it, and remove again"
            )
    for kind in kinds:
        default_pipelines.delete_pipeline(client, applied, kind=kind)
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
            "ingest_body": default_pipelines.pipeline_body(client, applied.name, kind=INGEST)
            if applied.ingest_of
            else None,
        }
        for applied in state.list_pipelines(client)
    ]
