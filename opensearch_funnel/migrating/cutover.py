"""The cutover: the aliases from the source to the target, in one moment, with nothing left behind.

First without a block, as often as it takes: copy what was written meanwhile, until so little is
left that it can be copied in a part of the time that writers may wait. Then the source's writes
are blocked, the last of it is copied, both indices are counted, and one call moves all aliases.
Whatever goes wrong before that call, the block is lifted and nothing has changed.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.indices import count_documents, refresh_index
from opensearch_funnel.engine.scanning import shard_bounds, shard_states
from opensearch_funnel.migrating.before_cutover import (
    aliases_to_move,
    examine_cutover,
    operations_behind,
    standing_proof,
)
from opensearch_funnel.migrating.block_clock import MAX_BLOCK_S, BlockClock
from opensearch_funnel.migrating.block_guard import GUARD_WAITS_S, BlockGuard, Watch, guarded
from opensearch_funnel.migrating.differences import (
    Difference,
    copies_of,
    difference,
    source_shard,
)
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.guarding import still_planned
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import Migration, update_migration
from opensearch_funnel.migrating.objections import Objections
from opensearch_funnel.migrating.operating import operating
from opensearch_funnel.migrating.passes import WorkOptions
from opensearch_funnel.migrating.present import present_documents
from opensearch_funnel.migrating.recovering import attempt, put_right, still_under_way
from opensearch_funnel.migrating.run_report import RunReport
from opensearch_funnel.migrating.running import RunOptions, catch_up, run
from opensearch_funnel.migrating.stopping import stop_workers
from opensearch_funnel.migrating.swapping import (
    Aliases,
    aliases_of,
    fence_name,
    raise_fence,
    swap_aliases,
)
from opensearch_funnel.migrating.switch_reports import CutoverReport
from opensearch_funnel.migrating.target import finish_target, put_ingest_pipelines
from opensearch_funnel.migrating.target_body import ingest_settings
from opensearch_funnel.migrating.verifying.report import Named
from opensearch_funnel.migrating.verifying.standing import StandingProof
from opensearch_funnel.migrating.write_block import block_writes, writes_blocked
from opensearch_funnel.settings import Settings

_SHARE_OF_BLOCK = 0.5


def cutover(  # noqa: PLR0913 - what is decided by the operator
    client: OpenSearch,
    migration: Migration,
    *,
    settings: Settings,
    encoder: SlotEncoder,
    force: bool = False,
    max_block_s: float = MAX_BLOCK_S,
    dry_run: bool = False,
    letters: Path | None = None,
    progress: Progress = SILENT,
) -> CutoverReport:
    """Move the clients of an index to the copy that has the funnel's fields.

    The source stays as it is, and stays closed for writes: whoever writes to it by its own name
    hears of it. Nothing is deleted.

    Args:
        client: made by ``connect``.
        migration: as it is stored; one whose cutover was cut off is put right first.
        settings: of the cluster, for the process that lifts the block if this one is killed.
        encoder: fills the slot.
        force: go on without a proof; what speaks against it is logged.
        max_block_s: how long writers may be refused; if it takes longer, nothing is changed.
        dry_run: say what would be done, and do nothing.
        letters: the folder for refused documents; below the settings' home if not given.
        progress: hears of every step.

    Raises:
        InputError: there is no proof, somebody else is at it, or it is not the time for it.
        BlockTooLongError: nothing has changed.
        EngineError: the cluster refused or did not answer; nothing has changed, unless the
            message says so.
    """
    migration = put_right(client, migration, progress=progress)
    if dry_run:
        return examine_cutover(client, migration, force=force)
    aliases_to_move(client, migration)
    objections = Objections(force=force, progress=progress)
    proof = standing_proof(migration, objections)
    with operating(client, migration, step="cutover"):
        return _Cutover(
            client,
            still_planned(client, migration),
            settings=settings,
            encoder=encoder,
            objections=objections,
            proof=StandingProof(client, migration, proof) if proof else None,
            max_block_s=max_block_s,
            letters=letters,
            progress=progress,
        ).run()


class _Cutover:
    """One attempt."""

    def __init__(  # noqa: PLR0913 - see cutover
        self,
        client: OpenSearch,
        migration: Migration,
        *,
        settings: Settings,
        encoder: SlotEncoder,
        objections: Objections,
        proof: StandingProof | None,
        max_block_s: float,
        letters: Path | None,
        progress: Progress,
    ) -> None:
        self._client = client
        self._migration = migration
        self._settings = settings
        self._encoder = encoder
        self._objections = objections
        self._proof = proof
        self._max_block_s = max_block_s
        self._letters = letters
        self._progress = progress
        self._behind = 0
        self._missing: dict[str, list[int]] = {}
        self._stale: dict[str, list[int]] = {}

    def run(self) -> CutoverReport:
        """Do it."""
        client, migration = self._client, self._migration
        self._catch_up_in_the_open()
        finish_target(client, migration, progress=self._progress)
        if not self._has_pipelines:
            put_ingest_pipelines(client, migration)
        watch = Watch(
            alias=migration.alias,
            blocked=migration.source,
            moves_to=migration.target,
            fenced=migration.target,
            fence=fence_name(migration.target),
            deadline_s=self._max_block_s + GUARD_WAITS_S,
            was_blocked=writes_blocked(client, index=migration.source),
        )
        with guarded(watch, settings=self._settings) as guard:
            # Once more, for what came while replicas were made and the guard was started.
            rest = self._catch_up_in_the_open()
            self._object_to_missing(rest)
            self._prove(rest.bounds)
            with attempt(
                client,
                migration,
                phase="cutting_over",
                watch=watch,
                guard=guard,
                progress=self._progress,
                forced=list(self._objections.found),
            ) as self._migration:
                stop_workers(client, migration, progress=self._progress)
                raise_fence(client, index=migration.target, fence=watch.fence)
                return self._switch(watch, guard)

    @property
    def _has_pipelines(self) -> bool:
        return any(value is not None for value in ingest_settings(self._migration).values())

    def _catch_up_in_the_open(self) -> RunReport:
        """Copy what was written meanwhile, until little is left."""
        report = run(
            self._client,
            self._migration,
            encoder=self._encoder,
            options=RunOptions(documents_per_second=inf, work=WorkOptions(letters=self._letters)),
            progress=self._progress,
        )
        alias = self._migration.alias
        if report.outcome != "caught_up":
            raise InputError(
                f"the migration of {alias} was {report.outcome} meanwhile: funnel migrate resume "
                f"{alias}, and cut over again"
            )
        rate = report.counts.documents / max(1e-3, report.seconds)
        if report.behind > max(500.0, rate * self._max_block_s * _SHARE_OF_BLOCK):
            raise InputError(
                f"{report.behind:,} operations are left, and {rate:.0f} documents a second are "
                f"copied: that does not fit into a block of {self._max_block_s:g} s; cut over "
                "when less is written, or let the block last longer (--max-block)"
            )
        return report

    def _object_to_missing(self, report: RunReport) -> None:
        missing = Named()
        for ids in report.missing.values():
            for doc_id in ids:
                missing.add(doc_id)
        if missing.count:
            self._objections.make(
                [f"{missing.count:,} documents without a copy of their last version ({missing})"],
                fix=f"funnel migrate verify {self._migration.alias}",
            )

    def _prove(self, bounds: Mapping[int, int]) -> None:
        """Extend the proof to what was copied since, or object."""
        if self._proof is None:
            return
        reasons = [*self._proof.schema_faults(), *self._proof.extend(bounds)]
        self._objections.make(reasons, fix=f"funnel migrate verify {self._migration.alias}")

    def _switch(self, watch: Watch, guard: BlockGuard) -> CutoverReport:
        client, migration = self._client, self._migration
        guard.announce()
        clock = BlockClock(self._max_block_s)
        block_writes(client, index=migration.source)
        self._behind = operations_behind(client, migration)
        bounds = self._last_copy(clock)
        self._count(bounds)
        if self._has_pipelines:
            # Not before: a final pipeline runs over whatever is written, also over the last copies.
            put_ingest_pipelines(client, migration)
        aliases = aliases_of(client, index=migration.source)
        self._write_down(bounds, aliases, watch=watch)
        clock.check(left=0)
        begun = time.monotonic()
        swap_aliases(
            client,
            aliases,
            old=migration.source,
            new=migration.target,
            gone={
                watch.fence: migration.target,
                migration.writing_alias: migration.target,
            },
        )
        cutover_ms, blocked_ms = (time.monotonic() - begun) * 1000, clock.seconds * 1000
        guard.done()
        late = sum(
            state.highest - bounds[state.shard] for state in shard_states(client, migration.source)
        )
        report = CutoverReport(
            alias=migration.alias,
            source=migration.source,
            target=migration.target,
            aliases=tuple(aliases),
            slot=migration.slot,
            forced=tuple(self._objections.found),
            behind=self._behind,
            compared=self._proof.documents if self._proof else 0,
            blocked_ms=round(blocked_ms, 1),
            cutover_ms=round(cutover_ms, 1),
            late=late,
        )
        self._finish(report)
        return report

    def _last_copy(self, clock: BlockClock) -> dict[int, int]:
        """Copy what is left, with nobody writing any more; return up to where that is."""
        try:
            report = catch_up(
                self._client,
                self._migration,
                encoder=self._encoder,
                deadline_s=clock.left,
                letters=self._letters,
                progress=self._progress,
            )
        except EngineError as error:
            clock.check(left=operations_behind(self._client, self._migration), cause=error)
            raise
        bounds = dict(report.bounds)
        clock.check(left=0)
        self._object_to_missing(report)
        if self._proof is not None:
            reasons = self._proof.extend(bounds)
            self._objections.make(reasons, fix="funnel migrate verify")
        return bounds

    def _count(self, bounds: Mapping[int, int]) -> None:
        """See that both indices have the same documents, shard by shard."""
        client, source, target = self._client, self._migration.source, self._migration.target
        refresh_index(client, index=target)
        dead = Journal(client, target=target).dead()
        reasons = []
        for shard, bound in bounds.items():
            found = difference(
                source_shard(client, source, shard=shard, without=dead.get(shard, ())),
                copies_of(client, target, shard=shard),
                bound=bound,
            )
            if found.extra or found.missing:
                self._remember(shard, found)
                reasons.append(
                    f"shard {shard}: {len(found.missing):,} documents without a copy, "
                    f"{len(found.extra):,} copies without a document"
                )
        here, there = (count_documents(client, index=name) for name in (source, target))
        if here != there and not reasons:
            reasons.append(f"{here:,} documents in {source}, {there:,} in {target}")
        self._objections.make(reasons, fix="funnel migrate verify")

    def _remember(self, shard: int, found: Difference) -> None:
        """Keep what the two have not in common: a rollback would take it for clients' deletes."""
        keys = {one.at: (one.doc_id, one.routing) for one in found.missing}
        older = present_documents(self._client, index=self._migration.target, keys=keys.values())
        self._missing[str(shard)] = [at for at, key in keys.items() if key not in older]
        self._stale[str(shard)] = [
            *(at for at, key in keys.items() if key in older),
            *(one.at for one in found.extra),
        ]

    def _write_down(self, bounds: Mapping[int, int], aliases: Aliases, *, watch: Watch) -> None:
        """Keep what a rollback needs to know, before there is anything to roll back."""
        target_bounds = shard_bounds(self._client, self._migration.target)
        details: dict[str, Any] = {
            "source_bounds": {str(shard): bound for shard, bound in bounds.items()},
            "target_bounds": {str(shard): bound for shard, bound in target_bounds.items()},
            "aliases": aliases,
            # Without a copy, and with a copy of another version: only where it was forced.
            "missing": self._missing,
            "stale": self._stale,
        }

        def change(present: Migration) -> Migration:
            still_under_way(present, watch)
            return replace(present, cutover={**present.cutover, **details})

        self._migration = update_migration(self._client, self._migration.alias, change)

    def _finish(self, report: CutoverReport) -> None:
        details = {
            "blocked_ms": report.blocked_ms,
            "cutover_ms": report.cutover_ms,
            "late": report.late,
        }

        def change(present: Migration) -> Migration:
            kept = {name: value for name, value in present.cutover.items() if name != "watch"}
            done = replace(present, phase="cut_over", paused=False, cutover={**kept, **details})
            return done.logged("cut over", aliases=list(report.aliases), **details)

        self._migration = update_migration(self._client, self._migration.alias, change)
        if report.late:
            self._progress.say(
                f"{report.late:,} operations reached {report.source} after the last copy: somebody "
                "lifted its write block; look for them there, they are not in the target"
            )
