"""The target of a migration: made, kept in step with the source's mapping, and finished."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, InputError, InvalidPlanError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.flat_settings import flat_settings
from opensearch_funnel.engine.indices import delete_index, index_exists, index_uuid, refresh_index
from opensearch_funnel.engine.matching_templates import TemplateEffect
from opensearch_funnel.migrating.migration import Migration, find_migration, update_migration
from opensearch_funnel.migrating.rights import needing
from opensearch_funnel.migrating.target_body import (
    finishing_settings,
    ingest_settings,
    loading_settings,
    target_body,
    target_mappings,
    target_settings,
)
from opensearch_funnel.migrating.target_faults import creation_faults, resume_faults
from opensearch_funnel.migrating.target_templates import addition_error, refuse_additions

__all__ = [
    "finish_target",
    "follow_source",
    "make_target",
    "put_ingest_pipelines",
    "target_body",
    "target_mappings",
    "target_settings",
]

_EXISTS = "resource_already_exists_exception"
_HEALTH_S, _POLL_S = 60.0, 0.5
_COLOURS = ("red", "yellow", "green")


def make_target(client: OpenSearch, migration: Migration) -> Migration:
    """Make the target, or see that it is still what was made.

    May be called by every worker at every start. The target has no replicas, no refreshes and no
    ingest pipelines until it is finished, and an alias of its own to be written through.

    Args:
        client: the cluster.
        migration: as it is stored.

    Returns:
        The migration as it is stored then, in the phase ``copying`` if it was planned only.

    Raises:
        InputError: the source or the target is another index by now, or the target was changed.
        InvalidPlanError: templates would add to the target, or have; nothing is left of it.
        EngineError: the cluster does not take it; nothing is left of it.
    """
    _see_source(client, migration)
    if migration.target_uuid:
        _see_target(client, migration)
        return migration
    present = _remembered(client, migration)
    if present.target_uuid:
        _see_target(client, present)
        return present
    try:
        uuid, made = _created(client, migration)
    except InputError:
        # Another worker may have made it meanwhile, and have gone on with it.
        present = _remembered(client, migration)
        if not present.target_uuid:
            raise
        _see_target(client, present)
        return present

    def remember(present: Migration) -> Migration:
        if present.target != migration.target:
            raise InputError(
                f"the migration of {migration.alias} was planned anew, to {present.target}: "
                "run it again"
            )
        if present.target_uuid == uuid:
            return present
        phase = "copying" if present.phase == "planned" else present.phase
        return replace(present, target_uuid=uuid, phase=phase).logged("target made", uuid=uuid)

    try:
        return update_migration(client, migration.alias, remember)
    except InputError:
        if made:
            delete_index(client, index=migration.target)
        raise


def _remembered(client: OpenSearch, migration: Migration) -> Migration:
    """Read the record anew; as it was given where it is of another target by now."""
    present = find_migration(client, migration.alias)
    return migration if present is None or present.target != migration.target else present


def follow_source(client: OpenSearch, migration: Migration) -> None:
    """Give the target what the source's mapping has got since the migration was planned.

    A field that is new in the source gets its type there from the first document that has it. In
    the target another document may come first, and the type be another one. Called between taking
    the source's bounds and copying up to them, this keeps them the same: a document is not in the
    source before its fields are in the mapping.

    Raises:
        InputError: the target cannot have what the source has.
    """
    present = _mappings(client, migration.source)
    body = {name: value for name, value in present.items() if not name.startswith("_")}
    if body == {k: v for k, v in migration.snapshot.mappings.items() if not k.startswith("_")}:
        return
    body["properties"] = {k: v for k, v in body["properties"].items() if k != "funnel"}
    try:
        client.indices.put_mapping(index=migration.target, body=body)
    except EngineError as error:
        if error.kind != "illegal_argument_exception":
            raise
        raise InputError(
            f"the mapping of {migration.source} was changed since the migration was planned, and "
            f"{migration.target} cannot follow ({error}): end it (funnel migrate cleanup "
            f"{migration.alias}) and plan it anew"
        ) from error


def finish_target(
    client: OpenSearch,
    migration: Migration,
    *,
    timeout_s: float = 3600.0,
    progress: Progress = SILENT,
) -> None:
    """Give the target its replicas and refreshes, and wait until it is as well as the source is.

    May be called any number of times, while documents are still copied. Ingest pipelines come
    later: ``put_ingest_pipelines``.

    Args:
        client: the cluster.
        migration: whose target.
        timeout_s: how long replicas may take; they copy the whole target.
        progress: hears of the waiting.

    Raises:
        InputError: the target is not the one that was made.
        EngineError: the replicas were not there in time.
    """
    _see_uuid(client, migration)
    client.indices.put_settings(index=migration.target, body=finishing_settings(migration))
    refresh_index(client, index=migration.target)
    wanted = _health(client, migration.source)["status"]
    progress.say(f"waiting until {migration.target} is {wanted}, as {migration.source} is")
    _wait_for(client, migration.target, colour=wanted, timeout_s=timeout_s)


def put_ingest_pipelines(client: OpenSearch, migration: Migration) -> None:
    """Give the target the ingest pipelines that the source has: the last thing before it is live.

    For the moment between the last copy and the move of the aliases. A final pipeline would run
    over every copy that comes later, whatever the request says.

    Raises:
        InputError: the target is not the one that was made.
    """
    _see_uuid(client, migration)
    client.indices.put_settings(index=migration.target, body=ingest_settings(migration))


def _created(client: OpenSearch, migration: Migration) -> tuple[str, bool]:
    """Make the target; return its uuid, and whether it was this call that made it."""
    body, target = target_body(migration), migration.target
    with needing(f"seeing what templates would add to {target}"):
        effect = refuse_additions(client, target=target, body=body)
    try:
        client.indices.create(index=target, body=body, params={"wait_for_active_shards": "0"})
    except EngineError as error:
        if error.kind != _EXISTS:
            raise
        _adopt(client, migration, effect=effect)
        return index_uuid(client, index=target), False
    try:
        if faults := creation_faults(_whole(client, target), body=body, effect=effect):
            raise addition_error(effect, target=target, added=faults)
        _wait_for_primaries(client, target)
    except (EngineError, InvalidPlanError):
        with suppress(EngineError):
            delete_index(client, index=target)
        raise
    return index_uuid(client, index=target), True


def _adopt(client: OpenSearch, migration: Migration, *, effect: TemplateEffect) -> None:
    """Take over a target that another worker has made, or this one before it was killed."""
    found = _whole(client, migration.target)
    if faults := creation_faults(found, body=target_body(migration), effect=effect):
        raise InputError(
            f"there is an index {migration.target} already, and it is not what was planned "
            f"({', '.join(faults)}): delete it, or plan another name (--target)"
        )
    _wait_for_primaries(client, migration.target)


def _see_source(client: OpenSearch, migration: Migration) -> None:
    if not index_exists(client, index=migration.source) or (
        index_uuid(client, index=migration.source) != migration.source_uuid
    ):
        raise InputError(
            f"{migration.source} is gone, or another index than the migration of "
            f"{migration.alias} was planned for: plan it anew (funnel migrate plan "
            f"{migration.alias})"
        )


def _see_target(client: OpenSearch, migration: Migration) -> None:
    _see_uuid(client, migration)
    found = _whole(client, migration.target)
    faults = resume_faults(
        found,
        mappings=target_mappings(migration),
        settings=[loading_settings(migration), target_settings(migration)],
    )
    if faults:
        raise InputError(
            f"{migration.target} was changed since it was made ({', '.join(faults)}): put that "
            f"back, or end the migration (funnel migrate cleanup {migration.alias}) and plan it "
            "anew"
        )
    if migration.writing_alias not in found["aliases"]:
        properties = target_body(migration)["aliases"][migration.writing_alias]
        client.indices.put_alias(
            index=migration.target, name=migration.writing_alias, body=properties
        )


def _see_uuid(client: OpenSearch, migration: Migration) -> None:
    present = index_exists(client, index=migration.target)
    if present and index_uuid(client, index=migration.target) == migration.target_uuid:
        return
    what = "another index than the one that was made" if present else "gone"
    raise InputError(
        f"{migration.target} is {what}, with all that was copied: end the migration (funnel "
        f"migrate cleanup {migration.alias}) and plan it anew"
    )


def _whole(client: OpenSearch, index: str) -> dict[str, Any]:
    """Read aliases, mapping and settings of an index, the latter by their full names."""
    found = dict(client.indices.get(index=index)[index])
    return {**found, "settings": flat_settings(found["settings"])}


def _mappings(client: OpenSearch, index: str) -> dict[str, Any]:
    mappings: dict[str, Any] = client.indices.get_mapping(index=index)[index]["mappings"]
    return mappings


def _health(client: OpenSearch, index: str) -> dict[str, Any]:
    found: dict[str, Any] = client.cluster.health(index=index)
    return found


def _wait_for_primaries(client: OpenSearch, index: str) -> None:
    """Wait until a target can be written to and read.

    It has no replicas yet, so that green is what its primaries are. Yellow would not do: so is an
    index that was made just now, before any shard of it has started.
    """
    _wait_for(client, index, colour="green", timeout_s=_HEALTH_S)


def _wait_for(client: OpenSearch, index: str, *, colour: str, timeout_s: float) -> None:
    until = time.monotonic() + timeout_s
    while _COLOURS.index(_health(client, index)["status"]) < _COLOURS.index(colour):
        if time.monotonic() > until:
            raise EngineError(
                f"{index} is not {colour} after {timeout_s:.0f} s: see GET _cluster/health and "
                "GET _cluster/allocation/explain, and run this again"
            )
        time.sleep(_POLL_S)
