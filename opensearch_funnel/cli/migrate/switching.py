"""``funnel migrate cutover``, ``rollback`` and ``cleanup``: clients there and back, and the end."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console

from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.migrating.cleanup import CleanupReport
    from opensearch_funnel.migrating.switch_reports import CutoverReport, RollbackReport

_MEGABYTE = 1_000_000
_max_block = click.option(
    "--max-block",
    type=click.FloatRange(0, 3600),
    default=5.0,
    show_default=True,
    help="Seconds that writers may be refused; if it takes longer, nothing is changed.",
)
_dry_run = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


@click.command()
@click.argument("alias")
@click.option("--force", is_flag=True, help="Go on without a proof; what speaks against is logged.")
@_max_block
@_dry_run
@output_option
@engine_options
def cutover(
    settings: Settings, *, alias: str, force: bool, max_block: float, dry_run: bool, output: str
) -> int:
    """Move the clients of ALIAS to the new index, in one moment.

    Needs a verification that passed; what was written since is compared, too. Writers are refused
    for a moment (403, a write block): one that tries again loses nothing. Nothing is deleted, and
    the old index takes no writes from then on, so that nobody writes to it unheard. Exits with 1
    when nothing was changed.

    Example: funnel migrate cutover films
    """
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.migrating.before_cutover import examine_cutover
    from opensearch_funnel.migrating.cutover import cutover as cut_over
    from opensearch_funnel.migrating.migration import load_migration
    from opensearch_funnel.migrating.opening import open_slot_encoder
    from opensearch_funnel.migrating.recovering import put_right

    client = connect(settings)
    with terminal_progress() as progress:
        migration = put_right(client, load_migration(client, alias), progress=progress)
        # Before models are opened: that there is no proof is the quicker thing to hear of.
        report = examine_cutover(client, migration, force=force)
        if not dry_run:
            report = cut_over(
                client,
                migration,
                settings=settings,
                encoder=open_slot_encoder(migration, threads=settings.threads, progress=progress),
                force=force,
                max_block_s=max_block,
                progress=progress,
            )
    emit(asdict(report), output=output, table=lambda console: _print_cutover(console, report))
    return 1 if report.late else 0


def _print_cutover(console: Console, report: CutoverReport) -> None:
    aliases = ", ".join(report.aliases)
    if report.dry_run:
        _say(
            console,
            f"would move {aliases} from {report.source} to {report.target}; "
            f"{report.behind:,} operations would be copied first",
        )
        return
    _say(
        console,
        f"{aliases} moved from {report.source} to {report.target} in {report.cutover_ms:.0f} ms; "
        f"writers were refused for {report.blocked_ms:.0f} ms",
        f"next: funnel pipeline apply --index {report.alias} --slot {report.slot} --default "
        f"--ingest, then funnel migrate repair {report.alias} --slot {report.slot}",
        f"back: funnel migrate rollback {report.alias}; when nobody wants back: "
        f"funnel migrate cleanup {report.alias}",
    )


@click.command()
@click.argument("alias")
@click.option(
    "--discard-writes",
    is_flag=True,
    help="Leave what clients wrote since the cutover behind, and say how much that is.",
)
@click.option(
    "--force", is_flag=True, help="Go on although somebody else wrote to the old index; it stays."
)
@_max_block
@_dry_run
@output_option
@engine_options
def rollback(
    settings: Settings,
    *,
    alias: str,
    discard_writes: bool,
    force: bool,
    max_block: float,
    dry_run: bool,
    output: str,
) -> int:
    """Move the clients of ALIAS back to the old index, with what they wrote since.

    Writes that were made since the cutover are carried back first, while clients go on; then
    writers are refused for a moment. The migration is over after it: cleanup deletes the new
    index, and a new plan begins anew. Exits with 1 when nothing was changed.

    Example: funnel migrate rollback films
    """
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.migrating.migration import load_migration
    from opensearch_funnel.migrating.rollback import rollback as roll_back

    client = connect(settings)
    with terminal_progress() as progress:
        report = roll_back(
            client,
            load_migration(client, alias),
            settings=settings,
            discard_writes=discard_writes,
            force=force,
            max_block_s=max_block,
            dry_run=dry_run,
            progress=progress,
        )
    emit(asdict(report), output=output, table=lambda console: _print_rollback(console, report))
    return 0


def _print_rollback(console: Console, report: RollbackReport) -> None:
    aliases = ", ".join(report.aliases)
    carried = f"{report.written:,} documents written and {report.deleted:,} deleted since"
    if report.dry_run:
        _say(
            console,
            f"would move {aliases} from {report.target} back to {report.source}; {carried} would "
            "be carried back, or left behind with --discard-writes",
        )
        return
    _say(
        console,
        f"{aliases} moved back from {report.target} to {report.source} in "
        f"{report.rollback_ms:.0f} ms; writers were refused for {report.blocked_ms:.0f} ms",
        f"left behind: {report.discarded:,} documents that clients changed since the cutover"
        if report.discarded
        else f"carried back: {carried} the cutover",
    )
    if report.untouched:
        _say(console, "no document of the old index was touched since the cutover")
    if report.pending:
        _say(
            console,
            f"{report.pending:,} documents wait for their funnel fields: "
            f"funnel migrate repair {report.alias}",
        )
    _say(
        console,
        *(f"not as it was planned: {line}" for line in report.differences),
        *(
            ()
            if report.differences
            else ("mapping, settings and aliases are those of the time of the plan",)
        ),
        f"next: funnel migrate cleanup {report.alias}",
    )


@click.command()
@click.argument("alias")
@click.option("--yes", is_flag=True, help="Do not ask for the name of the index that is deleted.")
@click.option("--keep-index", is_flag=True, help="End the migration, and delete no index.")
@_dry_run
@output_option
@engine_options
def cleanup(
    settings: Settings, *, alias: str, yes: bool, keep_index: bool, dry_run: bool, output: str
) -> int:
    """End the migration of ALIAS, and delete the index that nobody uses any more.

    After a cutover that is the old index, before it or after a rollback the new one. It is named
    with what is in it, and deleted only when its name is typed. Nothing else deletes anything.

    Example: funnel migrate cleanup films --keep-index
    """
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.migrating.cleanup import cleanup as clean_up
    from opensearch_funnel.migrating.cleanup import examine_cleanup
    from opensearch_funnel.migrating.migration import load_migration

    client = connect(settings)
    migration = load_migration(client, alias)
    letters = settings.home / "migrations" / migration.target
    with terminal_progress() as progress:
        report = examine_cleanup(
            client, migration, letters=letters, keep_index=keep_index, progress=progress
        )
    if not dry_run:
        confirmed = report.index
        if report.index and not keep_index and not yes:
            confirmed = click.prompt(
                f"{_described(report)} is deleted for good; type its name", err=True
            ).strip()
        with terminal_progress() as progress:
            report = clean_up(
                client,
                load_migration(client, alias),
                confirmed=confirmed,
                letters=letters,
                keep_index=keep_index,
                progress=progress,
            )
    result: dict[str, Any] = {**asdict(report), "dry_run": dry_run}
    emit(
        result,
        output=output,
        table=lambda console: _print_cleanup(console, report, dry_run=dry_run),
    )
    return 0


def _described(report: CleanupReport) -> str:
    return (
        f"{report.index} ({report.documents:,} documents, {report.bytes / _MEGABYTE:,.1f} MB; "
        f"clients use {report.kept})"
    )


def _print_cleanup(console: Console, report: CleanupReport, *, dry_run: bool) -> None:
    what = _described(report) if report.index else "no index"
    if dry_run:
        _say(console, f"would delete {what}, and the journal of the migration")
    elif report.deleted:
        _say(console, f"deleted {what}; the migration of {report.alias} is over")
    else:
        kept = f"; kept {what}" if report.index else ""
        _say(console, f"the migration of {report.alias} is over{kept}")
    for path in report.dead_letters:
        _say(console, f"documents that were refused stay in {path}")


def _say(console: Console, *lines: str) -> None:
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
