"""The end of a migration, and the only step that deletes anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine import state
from opensearch_funnel.engine.indices import delete_index, index_exists, index_uuid
from opensearch_funnel.migrating.carrying import forget_carried
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import Migration, forget_migration
from opensearch_funnel.migrating.operating import operating, operator_at_work, workers_at_work
from opensearch_funnel.migrating.recovering import put_right
from opensearch_funnel.migrating.swapping import aliases_of, indices_behind


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupReport:
    """What ending a migration deletes, or has deleted.

    Attributes:
        alias: whose migration.
        phase: how far it was.
        index: what goes: the old source of one that is cut over, the target of any other; empty
            where there is none.
        kept: the index that clients use.
        documents: that were in the index.
        bytes: that it took, replicas included.
        deleted: whether it is gone.
        dead_letters: files with documents that the target refused; they stay.
    """

    alias: str
    phase: str
    index: str
    kept: str
    documents: int = 0
    bytes: int = 0
    deleted: bool = False
    dead_letters: tuple[Path, ...] = ()


def examine_cleanup(
    client: OpenSearch,
    migration: Migration,
    *,
    letters: Path,
    keep_index: bool = False,
    progress: Progress = SILENT,
) -> CleanupReport:
    """Say what ending a migration deletes, or why it cannot be ended now; delete nothing.

    Args:
        client: made by ``connect``.
        migration: as it is stored; a step of it that was cut off is put right first.
        letters: the folder with its files of refused documents.
        keep_index: no index is to be deleted: then it may be one that clients use.
        progress: hears of a step that was put right.

    Raises:
        InputError: somebody is at work on it, clients use the index, or it is another one by now.
    """
    migration = put_right(client, migration, progress=progress)
    alias = migration.alias
    if operator_at_work(migration):
        raise InputError(f"{migration.operator} is at a step of {alias}: wait for it to end")
    if workers := workers_at_work(client, migration):
        raise InputError(
            f"{' and '.join(workers)} copies documents of {alias}: funnel migrate pause {alias}"
        )
    cut_over = migration.phase == "cut_over"
    index, kept = migration.target, migration.source
    if cut_over:
        index, kept = kept, index
    report = CleanupReport(
        alias=alias,
        phase=migration.phase,
        index=index,
        kept=kept,
        dead_letters=tuple(sorted(letters.glob("dead-*"))),
    )
    if not index_exists(client, index=index):
        return replace(report, index="")
    if not keep_index:
        _refuse_used(client, migration, index=index, kept=kept)
    total = client.indices.stats(index=index, metric="docs,store")["indices"][index]
    return replace(
        report,
        documents=total["primaries"]["docs"]["count"],
        bytes=total["total"]["store"]["size_in_bytes"],
    )


def cleanup(  # noqa: PLR0913 - what is decided by the operator
    client: OpenSearch,
    migration: Migration,
    *,
    confirmed: str,
    letters: Path,
    keep_index: bool = False,
    progress: Progress = SILENT,
) -> CleanupReport:
    """End a migration: delete the index that nobody uses any more, the journal and the record.

    Called again after it was cut off, it deletes what is left.

    Args:
        client: made by ``connect``.
        migration: as it is stored.
        confirmed: the name of the index that is deleted, as somebody has typed it.
        letters: the folder with its files of refused documents; they are named, and stay.
        keep_index: delete no index.
        progress: hears of a step that was put right.

    Raises:
        InputError: another index was confirmed, or as ``examine_cleanup``.
    """
    report = examine_cleanup(
        client, migration, letters=letters, keep_index=keep_index, progress=progress
    )
    if report.index and not keep_index and confirmed != report.index:
        raise InputError(
            f"{report.index} would be deleted, and {confirmed or 'nothing'!r} was confirmed: "
            f"nothing was deleted; type its name, or keep it (--keep-index)"
        )
    with operating(client, migration, step="cleanup"):
        deletes = bool(report.index) and not keep_index
        if deletes:
            # Looked at again: between the question and the answer somebody may have moved an alias.
            _refuse_used(client, migration, index=report.index, kept=report.kept)
            delete_index(client, index=report.index)
        Journal(client, target=migration.target).forget()
        forget_carried(client, migration)
        forget_migration(client, migration.alias)
    return replace(report, deleted=deletes)


def _refuse_used(client: OpenSearch, migration: Migration, *, index: str, kept: str) -> None:
    """Refuse to delete an index that is another one than it was, or that somebody uses."""
    cut_over = migration.phase == "cut_over"
    uuid = migration.source_uuid if cut_over else migration.target_uuid
    aliases = set(aliases_of(client, index=index))
    ours = {migration.writing_alias}
    if uuid and index_uuid(client, index=index) != uuid:
        raise InputError(
            f"{index} is another index than the migration's by now: see what it is, and end the "
            "migration without it (--keep-index)"
        )
    if not uuid and migration.writing_alias not in aliases:
        raise InputError(
            f"{index} was not made by this migration: end it without that index (--keep-index)"
        )
    if used := sorted(aliases - ours):
        raise InputError(
            f"{index} is used by the alias {', '.join(used)}: move it to {kept} first, or keep the "
            "index (--keep-index)"
        )
    if kept not in indices_behind(client, alias=migration.alias):
        raise InputError(
            f"{migration.alias} is no alias of {kept}: see GET _alias/{migration.alias}; clients "
            "would be left with nothing"
        )
    for applied in state.list_pipelines(client):
        if state.load_plan(client, applied.plan_id).alias == index:
            raise InputError(
                f"the pipeline {applied.name} was applied to {index} itself: remove it "
                f"(funnel pipeline remove {applied.name}), and apply it to {migration.alias}"
            )
