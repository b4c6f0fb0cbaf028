"""The rollback: clients back to the source, with what they wrote since, or plainly without it.

First without a block, as often as it takes: carry what clients wrote to the target into the
source. Then the target's writes are blocked, the last of it is carried, and one call moves all
aliases back. Whatever goes wrong before that call, the block is lifted and clients stay where they
are. The target keeps its block and its documents, for nobody to write to it unheard.
"""

from __future__ import annotations

import time
from dataclasses import replace

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.flat_settings import flat_settings
from opensearch_funnel.engine.indices import count_documents, refresh_index
from opensearch_funnel.engine.scanning import shard_bounds, shard_states
from opensearch_funnel.migrating.block_clock import MAX_BLOCK_S, BlockClock
from opensearch_funnel.migrating.block_guard import GUARD_WAITS_S, BlockGuard, Watch, guarded
from opensearch_funnel.migrating.carrying import Carrier
from opensearch_funnel.migrating.final_pipeline import (
    put_final_pipeline_back,
    take_final_pipeline_off,
)
from opensearch_funnel.migrating.guarding import still_planned
from opensearch_funnel.migrating.migration import Migration, load_migration, update_migration
from opensearch_funnel.migrating.objections import Objections
from opensearch_funnel.migrating.operating import operating
from opensearch_funnel.migrating.recovering import attempt, put_right, still_under_way
from opensearch_funnel.migrating.snapshots import snapshot_differences
from opensearch_funnel.migrating.swapping import (
    Aliases,
    aliases_of,
    fence_name,
    raise_fence,
    swap_aliases,
)
from opensearch_funnel.migrating.switch_reports import RollbackReport
from opensearch_funnel.migrating.verifying import by_shard
from opensearch_funnel.migrating.write_block import block_writes, lift_block, writes_blocked
from opensearch_funnel.settings import Settings

_FEW, _MOST_PASSES = 200, 20
_LISTED = 20


def rollback(  # noqa: PLR0913 - what is decided by the operator
    client: OpenSearch,
    migration: Migration,
    *,
    settings: Settings,
    discard_writes: bool = False,
    force: bool = False,
    max_block_s: float = MAX_BLOCK_S,
    dry_run: bool = False,
    progress: Progress = SILENT,
) -> RollbackReport:
    """Move the clients of an index back to where they were before the cutover.

    After it the migration is over: clients have written to the target, so that versions there
    cannot be the source's any more. ``cleanup`` deletes the target, and a new plan begins anew.

    Args:
        client: made by ``connect``.
        migration: as it is stored; one whose rollback was cut off is put right first.
        settings: of the cluster, for the process that lifts the block if this one is killed.
        discard_writes: leave what clients wrote since the cutover where it is, and only count it.
        force: go on although somebody else wrote to the source; those writes stay there.
        max_block_s: how long writers may be refused; if it takes longer, clients stay.
        dry_run: say what would be done, and do nothing.
        progress: hears of every step.

    Raises:
        InputError: there is nothing to roll back, somebody else is at it, somebody wrote to the
            source, or the source refuses a write that clients made.
        BlockTooLongError: clients are where they were.
        EngineError: the cluster refused or did not answer; clients are where they were, unless
            the message says so.
    """
    migration = put_right(client, migration, progress=progress)
    aliases = _examined(client, migration)
    objections = Objections(force=force, progress=progress)
    if dry_run:
        return _counted(client, migration, aliases=aliases, objections=objections)
    with operating(client, migration, step="rollback"):
        return _Rollback(
            client,
            still_planned(client, migration),
            settings=settings,
            discard_writes=discard_writes,
            objections=objections,
            max_block_s=max_block_s,
            progress=progress,
        ).run()


def _examined(client: OpenSearch, migration: Migration) -> Aliases:
    """See that there is something to roll back, and return the aliases that move."""
    alias = migration.alias
    if migration.phase == "rolling_back":
        raise InputError(f"somebody is at the rollback of {alias}: {migration.operator}")
    if migration.phase == "rolled_back":
        raise InputError(
            f"the migration of {alias} is rolled back already: funnel migrate cleanup {alias}"
        )
    if migration.phase != "cut_over":
        raise InputError(
            f"the migration of {alias} is not cut over, so there is nothing to roll back: clients "
            f"use {migration.source}; funnel migrate cleanup {alias} ends it"
        )
    still_planned(client, migration)
    aliases = aliases_of(client, index=migration.target)
    if alias not in aliases:
        raise InputError(
            f"{alias} is no alias of {migration.target} any more: see GET _alias/{alias}; somebody "
            "has moved it past this migration"
        )
    return aliases


def _counted(
    client: OpenSearch, migration: Migration, *, aliases: Aliases, objections: Objections
) -> RollbackReport:
    """Count what a rollback would carry, and change nothing."""
    carrier = Carrier(client, migration, open_source=lambda: None, only_count=True)
    refresh_index(client, index=migration.source)
    foreign = _foreign(client, migration, carrier, objections=replace(objections, force=True))
    carrier.carry(shard_bounds(client, migration.target))
    carrier.carry_deletes()
    found = carrier.found
    return RollbackReport(
        alias=migration.alias,
        source=migration.source,
        target=migration.target,
        aliases=tuple(aliases),
        dry_run=True,
        written=len(found.written),
        deleted=len(found.deleted),
        unchanged=len(found.unchanged),
        pending=len(found.pending),
        foreign=foreign,
    )


def _foreign(
    client: OpenSearch, migration: Migration, carrier: Carrier, *, objections: Objections
) -> int:
    """Object to writes that somebody else made to the source, and count their documents."""
    bounds = by_shard(migration.cutover["source_bounds"])
    documents = carrier.foreign()
    grown = sum(
        state.highest - bounds.get(state.shard, -1)
        for state in shard_states(client, migration.source)
    )
    reasons = []
    # What an earlier attempt has carried are operations, too; deletes cannot be told from those.
    if documents or (grown and carrier.untouched_before):
        reasons.append(
            f"somebody wrote to {migration.source} since the cutover ({grown:,} operations, "
            f"{len(documents):,} documents that are there now)"
        )
    objections.make(reasons, fix=f"see what that was, and block {migration.source} again")
    return len(documents)


class _Rollback:
    """One attempt."""

    def __init__(  # noqa: PLR0913 - see rollback
        self,
        client: OpenSearch,
        migration: Migration,
        *,
        settings: Settings,
        discard_writes: bool,
        objections: Objections,
        max_block_s: float,
        progress: Progress,
    ) -> None:
        self._client = client
        self._migration = migration
        self._settings = settings
        self._discard = discard_writes
        self._objections = objections
        self._max_block_s = max_block_s
        self._progress = progress
        self._foreign = 0
        self._opened = False
        self._carries = False
        self._carrier = Carrier(
            client, migration, open_source=self._open_for_carrying, only_count=discard_writes
        )

    def run(self) -> RollbackReport:
        """Do it."""
        client, migration = self._client, self._migration
        refresh_index(client, index=migration.source)
        self._foreign = _foreign(client, migration, self._carrier, objections=self._objections)
        watch = Watch(
            alias=migration.alias,
            blocked=migration.target,
            moves_to=migration.source,
            fenced=migration.target,
            fence=fence_name(migration.target),
            deadline_s=self._max_block_s + GUARD_WAITS_S,
            was_blocked=writes_blocked(client, index=migration.target),
            closes=migration.source,
        )
        with (
            guarded(watch, settings=self._settings) as guard,
            attempt(
                client,
                migration,
                phase="rolling_back",
                watch=watch,
                guard=guard,
                progress=self._progress,
                discard_writes=self._discard,
                forced=list(self._objections.found),
            ) as self._migration,
        ):
            self._carry_in_the_open()
            raise_fence(client, index=migration.target, fence=watch.fence)
            return self._switch(watch, guard)

    def _carry_in_the_open(self) -> None:
        """Carry what clients wrote, until little is left, or they write as fast as this carries."""
        target = self._migration.target
        with self._progress.task("carrying writes back") as advance:
            for _ in range(_MOST_PASSES):
                read = self._carrier.carry(shard_bounds(self._client, target))
                advance(read)
                if read < _FEW:
                    break
        # Once without a block: the first time, every range of operations may have to be read.
        self._carrier.carry_deletes(others=self._foreign)

    def _switch(self, watch: Watch, guard: BlockGuard) -> RollbackReport:
        client, migration = self._client, self._migration
        guard.announce()
        clock = BlockClock(self._max_block_s)
        block_writes(client, index=migration.target)
        left = self._carrier.carry(shard_bounds(client, migration.target, settled=True))
        clock.check(left=left)
        self._carrier.carry_deletes(others=self._foreign)
        if not self._discard:
            self._count()
        clock.check(left=0)
        if _was_blocked(migration):
            block_writes(client, index=migration.source)
        else:
            self._open_source()
        put_final_pipeline_back(client, migration)
        aliases = {
            name: properties
            for name, properties in aliases_of(client, index=migration.target).items()
            if name not in {watch.fence, migration.writing_alias}
        }
        untouched = self._source_untouched()
        still_under_way(load_migration(client, migration.alias), watch)
        begun = time.monotonic()
        swap_aliases(
            client,
            aliases,
            old=migration.target,
            new=migration.source,
            gone={watch.fence: migration.target},
        )
        rollback_ms, blocked_ms = (time.monotonic() - begun) * 1000, clock.seconds * 1000
        guard.done()
        found = self._carrier.found
        report = RollbackReport(
            alias=migration.alias,
            source=migration.source,
            target=migration.target,
            aliases=tuple(aliases),
            written=0 if self._discard else len(found.written),
            deleted=0 if self._discard else len(found.deleted),
            discarded=found.writes if self._discard else 0,
            unchanged=len(found.unchanged),
            pending=0 if self._discard else len(found.pending),
            foreign=self._foreign,
            forced=tuple(self._objections.found),
            untouched=untouched,
            differences=tuple(
                snapshot_differences(client, index=migration.source, snapshot=migration.snapshot)
            ),
            blocked_ms=round(blocked_ms, 1),
            rollback_ms=round(rollback_ms, 1),
        )
        self._finish(report)
        return report

    def _open_for_carrying(self) -> None:
        """Have the source take what is carried as it is."""
        if not self._carries:
            take_final_pipeline_off(self._client, self._migration)
            self._carries = True
        self._open_source()

    def _open_source(self) -> None:
        """Have the source take writes, once."""
        if not self._opened:
            lift_block(self._client, index=self._migration.source)
            self._opened = True

    def _source_untouched(self) -> bool:
        bounds = by_shard(self._migration.cutover["source_bounds"])
        states = shard_states(self._client, self._migration.source)
        return all(state.highest == bounds.get(state.shard, -1) for state in states)

    def _count(self) -> None:
        """See that the source has as many documents as the target, and those of others."""
        source, target = self._migration.source, self._migration.target
        refresh_index(self._client, index=source)
        here, there = (count_documents(self._client, index=name) for name in (source, target))
        reasons = []
        uncopied = self._carrier.uncopied()
        if here - self._foreign - uncopied != there:
            reasons.append(
                f"{here:,} documents in {source}, {self._foreign:,} of them by somebody else and "
                f"{uncopied:,} never copied, and {there:,} in {target}"
            )
        self._objections.make(reasons, fix="run it again")

    def _finish(self, report: RollbackReport) -> None:
        details = {
            "written": report.written,
            "deleted": report.deleted,
            "discarded": report.discarded,
            "blocked_ms": report.blocked_ms,
            "rollback_ms": report.rollback_ms,
        }

        def change(present: Migration) -> Migration:
            kept = {name: value for name, value in present.cutover.items() if name != "watch"}
            done = replace(present, phase="rolled_back", cutover=kept)
            return done.logged(
                "rolled back",
                aliases=list(report.aliases),
                differences=list(report.differences[:_LISTED]),
                **details,
            )

        self._migration = update_migration(self._client, self._migration.alias, change)
        self._carrier.forget()


def _was_blocked(migration: Migration) -> bool:
    """Say whether the source's writes were blocked when the migration was planned."""
    settings = flat_settings(migration.snapshot.settings)
    return str(settings.get("index.blocks.write", "false")) == "true"
