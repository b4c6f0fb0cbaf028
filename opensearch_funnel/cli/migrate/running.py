"""``funnel migrate run``, ``resume``, ``pause`` and ``status``."""

from __future__ import annotations

from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, key_values, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from opensearchpy import OpenSearch

    from opensearch_funnel.migrating.migration import Migration
    from opensearch_funnel.migrating.running import RunOptions
    from opensearch_funnel.migrating.status import MigrationStatus

_MINUTE, _HOUR = 60, 3600


def _run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of run, which resume has, too, and hand the command its ``options``."""

    @click.option("--follow", is_flag=True, help="Keep the target even with the source.")
    @click.option(
        "--throttle",
        default="auto",
        show_default=True,
        help="auto pauses while searches are slower than before, off never; or the most "
        "documents a second.",
    )
    @click.option(
        "--page",
        type=click.IntRange(1, 10_000),
        default=500,
        show_default=True,
        help="Most documents that are read, encoded and written together.",
    )
    @click.option(
        "--patience",
        type=click.FloatRange(min=0),
        default=600.0,
        show_default=True,
        help="Seconds to wait for a cluster that does not answer or has a full disk.",
    )
    @wraps(command)
    def with_options(
        *args: Any, follow: bool, throttle: str, page: int, patience: float, **kwargs: Any
    ) -> Any:
        from opensearch_funnel.migrating.passes import WorkOptions
        from opensearch_funnel.migrating.running import RunOptions
        from opensearch_funnel.migrating.throttle import parsed_rate

        try:
            rate = parsed_rate(throttle)
        except InputError as error:
            raise click.UsageError(str(error)) from error
        options = RunOptions(
            follow=follow,
            documents_per_second=rate,
            patience_s=patience,
            work=WorkOptions(page=page),
        )
        return command(*args, options=options, **kwargs)

    return with_options


@click.command()
@click.argument("alias")
@_run_options
@output_option
@engine_options
def run(settings: Settings, *, alias: str, options: RunOptions, output: str) -> int:
    """Copy and encode the documents behind ALIAS into the index that was planned.

    Goes on where it was before, whatever ended it: nothing is lost and nothing doubled. Several
    may run at once, on one machine or on many. Ends when the target is even with the source but
    for what is written at that moment; with --follow, when it is paused. Clients notice nothing.
    Exits with 1 where documents were refused; they and the reasons are in the file that is named.

    Example: funnel migrate run films
    """
    from opensearch_funnel.engine.client import connect

    client = connect(settings)
    migration = _loaded(client, alias)
    if migration.paused:
        raise InputError(f"the migration of {alias} is paused: funnel migrate resume {alias}")
    return _run(client, migration, settings, options, output=output)


@click.command()
@click.argument("alias")
@_run_options
@output_option
@engine_options
def resume(settings: Settings, *, alias: str, options: RunOptions, output: str) -> int:
    """Take the pause off the migration of ALIAS, and run it.

    Example: funnel migrate resume films
    """
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.migrating.migration import update_migration

    client = connect(settings)
    migration = _loaded(client, alias)
    _refuse_past_copying(migration)
    if migration.paused:
        migration = update_migration(
            client, alias, lambda now: replace(now, paused=False).logged("resumed")
        )
    return _run(client, migration, settings, options, output=output)


def _loaded(client: OpenSearch, alias: str) -> Migration:
    """Read a migration; a cutover or a rollback of it that was cut off is put right first."""
    from opensearch_funnel.migrating.migration import load_migration
    from opensearch_funnel.migrating.recovering import put_right

    with terminal_progress() as progress:
        return put_right(client, load_migration(client, alias), progress=progress)


def _run(
    client: OpenSearch,
    migration: Migration,
    settings: Settings,
    options: RunOptions,
    *,
    output: str,
) -> int:
    from opensearch_funnel.migrating.opening import open_slot_encoder
    from opensearch_funnel.migrating.priority import cores_beside_node, start_in_background
    from opensearch_funnel.migrating.running import run as run_migration

    _refuse_past_copying(migration)
    with terminal_progress() as progress:
        threads = settings.threads
        if threads is None and options.documents_per_second is None:
            threads = cores_beside_node(settings.url)
        # What a model starts inherits the low priority of the thread that opens it.
        encoder = start_in_background(
            lambda: open_slot_encoder(migration, threads=threads, progress=progress)
        ).result()
        report = run_migration(
            client, migration, encoder=encoder, options=options, progress=progress
        )
        if report.outcome == "paused":
            progress.say(f"paused: go on with funnel migrate resume {migration.alias}")
        if report.dead_letters is not None:
            progress.say(
                f"refused: {report.counts.dead:,} documents; they and the reasons are in "
                f"{report.dead_letters}"
            )
    result = {"alias": migration.alias, "target": migration.target, **report.to_dict()}
    emit(result, output=output)
    return 1 if report.counts.dead or report.outcome != "caught_up" else 0


def _refuse_past_copying(migration: Migration) -> None:
    if migration.phase not in {"planned", "copying"}:
        phase = migration.phase.replace("_", " ")
        raise InputError(
            f"the migration of {migration.alias} is {phase}: there is nothing to copy any more"
        )


@click.command()
@click.argument("alias")
@click.option("--wait/--no-wait", default=True, help="Wait until every worker has stopped.")
@output_option
@engine_options
def pause(settings: Settings, *, alias: str, wait: bool, output: str) -> int:
    """Stop the copying for ALIAS on all machines, after the pages that are being written.

    Example: funnel migrate pause films
    """
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.migrating.migration import load_migration, update_migration
    from opensearch_funnel.migrating.operating import workers_at_work
    from opensearch_funnel.migrating.stopping import stop_workers

    client = connect(settings)
    migration = load_migration(client, alias)
    _refuse_past_copying(migration)
    if not migration.paused:
        migration = update_migration(
            client, alias, lambda now: replace(now, paused=True).logged("paused")
        )
    if wait:
        with terminal_progress() as progress:
            stop_workers(client, migration, progress=progress)
    at_work = workers_at_work(client, migration)
    emit({"alias": alias, "paused": True, "workers": at_work}, output=output)
    return 0


@click.command()
@click.argument("alias", required=False)
@output_option
@engine_options
def status(settings: Settings, *, alias: str | None, output: str) -> int:
    """Say how far the migration of ALIAS is, who is at it and what it waits for.

    Without ALIAS, all migrations there are, one a line. Changes nothing, but for a cutover or a
    rollback of ALIAS that was cut off: that is finished or undone.

    Example: funnel migrate status films
    """
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.migrating.migration import list_migrations
    from opensearch_funnel.migrating.status import migration_status

    client = connect(settings)
    if alias is not None:
        found = migration_status(client, _loaded(client, alias))
        emit(found.to_dict(), output=output, table=lambda console: _print(found, console=console))
        return 0
    every = [migration_status(client, one) for one in list_migrations(client)]

    def table(console: Console) -> None:
        if not every:
            console.print("no migrations: plan one (funnel migrate plan ALIAS)")
            return
        grid = Table("alias", "phase", "target", "behind", "waits for", box=None, pad_edge=False)
        for one in every:
            waits = escape("; ".join(one.waits))
            target, behind = escape(one.migration.target), f"{one.behind:,}"
            grid.add_row(escape(one.migration.alias), one.migration.phase, target, behind, waits)
        console.print(grid)

    emit({"migrations": [one.to_dict() for one in every]}, output=output, table=table)
    return 0


def _print(found: MigrationStatus, *, console: Console) -> None:
    told = found.to_dict()
    counts = ", ".join(f"{told[name]:,} {name}" for name in ("written", "kept", "dead", "deleted"))
    lines = {
        "alias": told["alias"],
        "source": told["source"],
        "target": told["target"],
        "phase": told["phase"] + (", paused" if told["paused"] else ""),
        "documents": f"{counts}; {told['reused']:,} with the fields of an older version",
        "left": f"{told['left']:,} documents, {told['behind']:,} operations",
        "rate": f"{told['documents_per_second']:,} documents a second",
        "time left": _duration(told["seconds_left"]),
    }
    console.print(key_values({name: escape(value) for name, value in lines.items()}))
    for wait in found.waits:
        console.print(f"waits: {wait}", highlight=False, markup=False)
    if found.shards:
        shards = Table("shard", "done", "behind", "worker", box=None, pad_edge=False)
        at_work = {one.shard: f"{one.owner} (lease {one.lease_s:.0f} s)" for one in found.workers}
        for one in found.shards:
            worker = escape(at_work.get(one.shard, ""))
            shards.add_row(str(one.shard), f"{one.done + 1:,}", f"{one.behind:,}", worker)
        console.print(shards)
    for entry in found.migration.log:
        console.print(f"{entry['at']}  {entry['event']}", highlight=False, markup=False)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "nobody is at work"
    hours, rest = divmod(int(seconds), _HOUR)
    return f"{hours}:{rest // _MINUTE:02}:{rest % _MINUTE:02}"
