"""What to do about a cutover or a rollback that was cut off: look where the aliases are.

The swap is one change of the cluster state, so it was made or it was not. Where it was made, the
step is finished; where not, everything is put back as it was before, and the step can be run again.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.migrating.block_guard import Watch, let_go
from opensearch_funnel.migrating.migration import Migration, Phase, load_migration, update_migration
from opensearch_funnel.migrating.operating import operating, operator_at_work
from opensearch_funnel.migrating.target_body import ingest_settings, loading_settings
from opensearch_funnel.migrating.write_block import block_writes, writes_blocked

_WATCH = "watch"
_UNDER_WAY: dict[str, tuple[str, Phase, Phase]] = {
    # phase: the step, the phase when it was made, the phase when it was not
    "cutting_over": ("cutover", "cut_over", "copying"),
    "rolling_back": ("rollback", "rolled_back", "cut_over"),
}


def put_right(
    client: OpenSearch, migration: Migration, *, progress: Progress = SILENT
) -> Migration:
    """Settle a cutover or a rollback that nobody is at any more.

    Args:
        client: the cluster.
        migration: as it was read.
        progress: hears what was found.

    Returns:
        The migration as it is now; the one given where no step was cut off.
    """
    if migration.phase not in _UNDER_WAY or operator_at_work(migration):
        return migration
    step, _, _ = _UNDER_WAY[migration.phase]
    with operating(client, migration, step=step):
        present = load_migration(client, migration.alias)
        if present.phase not in _UNDER_WAY:
            return present
        settled = settle(client, present)
    made = settled.phase in {"cut_over", "rolled_back"} and settled.phase != _before(present.phase)
    progress.say(
        f"the {step} of {migration.alias} was cut off: "
        + (
            "the aliases had moved, so it is finished"
            if made
            else "nothing had moved, and it was undone"
        )
    )
    return settled


def settle(client: OpenSearch, migration: Migration) -> Migration:
    """Finish or undo the step that a migration is in; its lock has to be held.

    Returns:
        The migration as it is stored afterwards.
    """
    step, made, undone = _UNDER_WAY[migration.phase]
    watch = watch_of(migration)
    stayed = watch is None or let_go(client, watch)
    if stayed and migration.phase == "rolling_back":
        _close_source(client, migration)
    if stayed and migration.phase == "cutting_over" and migration.target_uuid:
        _take_pipelines_off(client, migration)

    def change(present: Migration) -> Migration:
        if present.phase != migration.phase:
            return present
        phase = undone if stayed else made
        details = {name: value for name, value in present.cutover.items() if name != _WATCH}
        settled = replace(present, phase=phase, paused=False, cutover=details)
        return settled.logged(f"{step} {'undone' if stayed else 'finished'} after it was cut off")

    return update_migration(client, migration.alias, change)


def watched(migration: Migration, watch: Watch) -> Migration:
    """Return the migration with what has to be looked at if its step is cut off."""
    return replace(migration, cutover={**migration.cutover, _WATCH: asdict(watch)})


def watch_of(migration: Migration) -> Watch | None:
    """Read what has to be looked at; ``None`` where nothing was blocked or moved yet."""
    stored: dict[str, Any] | None = migration.cutover.get(_WATCH)
    return None if stored is None else Watch(**stored)


def _before(phase: Phase) -> Phase:
    return _UNDER_WAY[phase][2]


def _close_source(client: OpenSearch, migration: Migration) -> None:
    """Block the source's writes again: a rollback had opened it for the writes it carries back."""
    try:
        if not writes_blocked(client, index=migration.source):
            block_writes(client, index=migration.source)
    except EngineError as error:
        raise type(error)(
            f"the source {migration.source} takes writes, although clients use "
            f"{migration.target}: run the rollback again ({error})",
            status=error.status,
            kind=error.kind,
        ) from error


def _take_pipelines_off(client: OpenSearch, migration: Migration) -> None:
    """Have the target without ingest pipelines again: a final one would run over every copy."""
    off = {name: loading_settings(migration)[name] for name in ingest_settings(migration)}
    if off:
        with suppress(IndexMissingError):
            client.indices.put_settings(index=migration.target, body=off)
