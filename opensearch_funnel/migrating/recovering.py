"""What to do about a cutover or a rollback that was cut off: look where the aliases are.

The swap is one change of the cluster state, so it was made or it was not. Where it was made, the
step is finished; where not, everything is put back as it was before, and the step can be run again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import IndexMissingError, InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.migrating.block_guard import BlockGuard, Watch, let_go
from opensearch_funnel.migrating.final_pipeline import put_final_pipeline_back
from opensearch_funnel.migrating.migration import Migration, Phase, load_migration, update_migration
from opensearch_funnel.migrating.operating import operating, operator_at_work
from opensearch_funnel.migrating.target_body import ingest_settings, loading_settings

_WATCH = "watch"
_UNDER_WAY: dict[Phase, tuple[str, Phase, Phase]] = {
    # phase: the step, the phase when it was made, the phase when it was not
    "cutting_over": ("cutover", "cut_over", "copying"),
    "rolling_back": ("rollback", "rolled_back", "cut_over"),
}


@contextmanager
def attempt(  # noqa: PLR0913 - an attempt, and who looks after it
    client: OpenSearch,
    migration: Migration,
    *,
    phase: Phase,
    watch: Watch,
    guard: BlockGuard,
    progress: Progress,
    **logged: Any,
) -> Iterator[Migration]:
    """Be in the phase of a step; whatever ends that early, nothing is left half done.

    Args:
        client: the cluster.
        migration: as it is stored; its lock is held.
        phase: ``cutting_over`` or ``rolling_back``.
        watch: what has to be looked at if the step is cut off.
        guard: does that if this process cannot; told when there is nothing left to guard.
        progress: hears of a step that was made although it was cut off.
        logged: what the log keeps of the beginning.

    Yields:
        The migration in that phase.

    Raises:
        InputError: the migration is not where the step begins.
    """
    step, made, before = _UNDER_WAY[phase]

    def begin(present: Migration) -> Migration:
        if present.phase != before:
            raise InputError(f"the migration of {present.alias} is {present.phase} by now")
        # Workers copy between two steps alone.
        paused = present.paused or phase == "cutting_over"
        begun = replace(present, phase=phase, paused=paused)
        return watched(begun, watch).logged(f"{step} begun", **logged)

    begun = update_migration(client, migration.alias, begin)
    try:
        yield begun
    except BaseException as error:
        settled = settle(client, begun)
        guard.done()
        if settled.phase == made:
            progress.say(
                f"the aliases had moved before this was cut off ({error}): the {step} of "
                f"{settled.alias} is finished"
            )
        raise


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

    Whoever has lost that lock may call it, too: an attempt that somebody else has begun since is
    left alone.

    Returns:
        The migration as it is stored afterwards.
    """
    step, made, undone = _UNDER_WAY[migration.phase]
    watch = watch_of(migration)
    stayed = watch is None or let_go(client, watch)
    present = load_migration(client, migration.alias)
    if not _same_attempt(present, migration):
        return present
    if stayed and migration.phase == "rolling_back":
        put_final_pipeline_back(client, migration)
    if stayed and migration.phase == "cutting_over" and migration.target_uuid:
        _take_pipelines_off(client, migration)

    def change(present: Migration) -> Migration:
        if not _same_attempt(present, migration):
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


def still_under_way(migration: Migration, watch: Watch) -> None:
    """See that nobody has put an attempt right that was thought to be cut off.

    Args:
        migration: as it is stored, read after the fence was raised: who puts it right later takes
            the fence away.
        watch: of the attempt.

    Raises:
        InputError: somebody has; nothing may be moved any more.
    """
    stored = watch_of(migration)
    if migration.phase not in _UNDER_WAY or stored is None or stored.fence != watch.fence:
        raise InputError(
            f"somebody took this step of {migration.alias} for cut off and put it right: see "
            f"funnel migrate status {migration.alias}, and run it again"
        )


def _same_attempt(present: Migration, migration: Migration) -> bool:
    """Say whether two readings of a migration are of one attempt at one step."""
    here, there = watch_of(present), watch_of(migration)
    fences = (here and here.fence, there and there.fence)
    return present.phase == migration.phase and fences[0] == fences[1]


def _before(phase: Phase) -> Phase:
    return _UNDER_WAY[phase][2]


def _take_pipelines_off(client: OpenSearch, migration: Migration) -> None:
    """Have the target without ingest pipelines again: a final one would run over every copy."""
    off = {name: loading_settings(migration)[name] for name in ingest_settings(migration)}
    if off:
        with suppress(IndexMissingError):
            client.indices.put_settings(index=migration.target, body=off)
