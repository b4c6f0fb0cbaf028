"""``funnel migrate verify``: whether the new index is what the old one is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.migrating.verifying import VerifyReport

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.argument("alias")
@click.option(
    "--queries",
    "queries_file",
    type=_FILE,
    default=None,
    help="Searches whose first ten are compared: a search body or a text on each line.",
)
@click.option(
    "--qrels",
    "qrels_file",
    type=_FILE,
    default=None,
    help="Judgments of these queries, for nDCG@10: query id, document id and grade, with tabs.",
)
@click.option(
    "--overlap",
    type=click.FloatRange(0, 1),
    default=0.9,
    show_default=True,
    help="Least mean share of the first ten that both indices have to have.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 1),
    default=0.01,
    show_default=True,
    help="By how much nDCG@10 may be lower, with 95 % certainty.",
)
@output_option
@engine_options
def verify(
    settings: Settings,
    *,
    alias: str,
    queries_file: Path | None,
    qrels_file: Path | None,
    overlap: float,
    margin: float,
    output: str,
) -> int:
    """Compare every document behind ALIAS with its copy, and mapping and settings, too.

    Changes nothing; clients may write meanwhile. What it finds is the proof that cutover asks
    for. Exits with 1 when the copy is not proven to be right.

    Example: funnel migrate verify films --queries searches.ndjson
    """
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.migrating.migration import load_migration
    from opensearch_funnel.migrating.recovering import put_right
    from opensearch_funnel.migrating.verifying import Wanted, read_queries
    from opensearch_funnel.migrating.verifying import verify as verify_migration

    if qrels_file is not None and queries_file is None:
        raise InputError("--qrels needs the queries that were judged: --queries")
    client = connect(settings)
    migration = load_migration(client, alias)
    queries = qrels = None
    if queries_file is not None:
        queries = read_queries(queries_file, text_fields=migration.text_fields)
    if qrels_file is not None:
        from opensearch_funnel.evaluating.datasets import read_qrels

        qrels = read_qrels(qrels_file)
    with terminal_progress() as progress:
        report = verify_migration(
            client,
            put_right(client, migration, progress=progress),
            queries=queries,
            qrels=qrels,
            wanted=Wanted(overlap=overlap, margin=margin),
            progress=progress,
        )
    emit(report.to_dict(), output=output, table=lambda console: _print(console, report))
    return 0 if report.passed else 1


def _print(console: Console, report: VerifyReport) -> None:
    table = Table("check", "", "found")
    for check in report.checks:
        passed = Text("passed", style="green") if check.passed else Text("failed", style="red")
        table.add_row(check.name, passed, Text(check.summary))
    console.print(table)
    moving = f"; {report.in_motion:,} in motion, not judged" if report.in_motion else ""
    console.print(f"{report.documents:,} documents compared in {report.seconds:.1f} s{moving}")
    if report.passed:
        console.print(f"next: [bold]funnel migrate cutover {report.alias}[/bold]")
    else:
        failed = ", ".join(report.failed)
        console.print(f"not proven ({failed}): cutover refuses; see what differs and why")
