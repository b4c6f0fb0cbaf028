"""``funnel migrate drop``: the end of a slot."""

from __future__ import annotations

from dataclasses import asdict

import rich_click as click

from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.settings import Settings


@click.command()
@click.argument("alias")
@click.option("--slot", required=True, help="What is dropped.")
@click.option("--dry-run", is_flag=True, help="Count the documents, and change nothing.")
@output_option
@engine_options
def drop(settings: Settings, *, alias: str, slot: str, dry_run: bool, output: str) -> None:
    """Take a slot that no pipeline searches any more out of every document.

    The index is searched and written all the while. Each document is written once, only if
    nobody else wrote it in the meantime; ended midway, the same command goes on.

    Example: funnel migrate drop films --slot a
    """
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.migrating.dropping import drop_slot

    with terminal_progress() as progress:
        report = drop_slot(connect(settings), alias, slot=slot, dry_run=dry_run, progress=progress)
    emit(asdict(report), output=output)
