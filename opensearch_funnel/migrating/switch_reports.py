"""What a cutover and a rollback say that they did."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class CutoverReport:
    """What a cutover did, or would do.

    Attributes:
        alias: whose migration.
        source: where the aliases were.
        target: where they are.
        aliases: those that moved.
        slot: what the migration filled.
        dry_run: nothing was done.
        forced: reasons against it that ``force`` overrode.
        behind: operations that were not copied yet when the block began; all there are for a
            dry run.
        compared: documents whose copies were compared since the verification.
        blocked_ms: how long writers were refused.
        cutover_ms: how long the one call took that moved the aliases.
        late: operations that reached the source after the last copy, because somebody else
            lifted the block: they are in the source alone.
    """

    alias: str
    source: str
    target: str
    aliases: tuple[str, ...]
    slot: str
    dry_run: bool = False
    forced: tuple[str, ...] = ()
    behind: int = 0
    compared: int = 0
    blocked_ms: float = 0.0
    cutover_ms: float = 0.0
    late: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackReport:
    """What a rollback did, or would do.

    Attributes:
        alias: whose migration.
        source: where the aliases are again.
        target: where they were.
        aliases: those that moved.
        dry_run: nothing was done.
        written: documents that clients inserted or changed since the cutover, and that the
            source has now; for a dry run, that it would have.
        deleted: documents that clients deleted, and that the source does not have any more.
        discarded: documents that clients changed, and whose changes the source does not have.
        unchanged: documents of which only the funnel's fields were written.
        pending: of those written, how many wait for the source's own slots (funnel migrate
            repair).
        foreign: documents that somebody else wrote to the source since the cutover; they stayed.
        forced: reasons against it that ``force`` overrode.
        untouched: no operation at all has reached the source's documents since the cutover.
        differences: what of its mapping, settings and aliases is not as the snapshot has it.
        blocked_ms: how long writers were refused.
        rollback_ms: how long the one call took that moved the aliases.
    """

    alias: str
    source: str
    target: str
    aliases: tuple[str, ...]
    dry_run: bool = False
    written: int = 0
    deleted: int = 0
    discarded: int = 0
    unchanged: int = 0
    pending: int = 0
    foreign: int = 0
    forced: tuple[str, ...] = ()
    untouched: bool = False
    differences: tuple[str, ...] = ()
    blocked_ms: float = 0.0
    rollback_ms: float = 0.0
