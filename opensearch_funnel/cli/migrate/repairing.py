"""``funnel migrate repair``: encode what was written without the funnel's fields."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console

from opensearch_funnel.cli.choices import listed
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, key_values, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.migrating.repairing import RepairReport


@click.command()
@click.argument("index")
@click.option("--slot", default="a", show_default=True, help="Which slot is filled.")
@click.option("--fields", default=None, help="What is encoded  [default: what the index says]")
@click.option(
    "--pending-only", is_flag=True, help="Ask for those marked as pending, and no others."
)
@click.option("--dry-run", is_flag=True, help="Count what needs it, and change nothing.")
@output_option
@engine_options
def repair(
    settings: Settings,
    *,
    index: str,
    slot: str,
    fields: str | None,
    pending_only: bool,
    dry_run: bool,
    output: str,
) -> int:
    """Encode the documents whose funnel fields are missing, pending or those of an older text.

    Safe while others write: a document that was written in the meantime is met again. Without
    --pending-only every document is read, and what was written past the ingest pipeline is found,
    too. Exits with 1 where documents are left.

    Example: funnel migrate repair films --pending-only
    """
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.migrating.opening import open_index_encoder
    from opensearch_funnel.migrating.repairing import repair as repair_index

    client = connect(settings)
    with terminal_progress() as progress:
        encoder = open_index_encoder(
            client,
            index,
            slot=slot,
            text_fields=listed(fields or ""),
            threads=settings.threads,
            progress=progress,
        )
        report = repair_index(
            client,
            index,
            encoder=encoder,
            pending_only=pending_only,
            dry_run=dry_run,
            progress=progress,
        )
    result = {**asdict(report), "dry_run": dry_run, "complete": report.complete}
    emit(result, output=output, table=lambda console: _print(report, console=console))
    return 0 if report.complete else 1


def _print(report: RepairReport, *, console: Console) -> None:
    shown: dict[str, Any] = {
        "index": report.index,
        "looked at": f"{report.looked_at:,} documents in {report.passes} passes",
        "needed it": ", ".join(f"{n:,} {why}" for why, n in report.needs.items() if n) or "none",
        "repaired": f"{report.repaired:,}",
        "left": f"{report.left:,} that others wrote meanwhile",
        "seconds": f"{report.seconds:.1f}",
    }
    if report.troubled:
        first = report.troubles[0]
        shown["not repairable"] = f"{report.troubled:,}; the first: {first.doc_id}: {first.reason}"
    console.print(key_values(shown))
