"""``funnel gate freshness``: a document is found by every leg soon after its write."""

from __future__ import annotations

import rich_click as click

from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.gate.showing import gate_output_option, show
from opensearch_funnel.cli.output import emit, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.settings import Settings


@click.command()
@click.argument("alias")
@click.option(
    "--within",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds from a write until every leg finds it.",
)
@click.option("--pipeline", default=None, help="The applied pipeline  [default: funnel-ALIAS]")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@gate_output_option
@engine_options
def freshness(
    settings: Settings,
    *,
    alias: str,
    within: float,
    pipeline: str | None,
    dry_run: bool,
    output: str,
) -> int:
    """Write a document into an index in use, and fail when a leg does not find it in time.

    This WRITES INTO YOUR INDEX: one document whose id begins with funnel-gate-, through the
    index's own ingest pipeline; it is changed once and deleted at the end, also after a failure or
    Ctrl-C. Until then searches can meet it. BM25, sparse and dense are asked each alone; after
    the change the old text's words and vectors must be gone. Needs an index with funnel fields
    and funnel pipeline apply --ingest.

    Example: funnel gate freshness films --within 30

    Example: funnel gate freshness films --dry-run
    """
    from opensearch_funnel.engine.client import connect

    client = connect(settings)
    if dry_run:
        from opensearch_funnel.evaluating.gating.freshness import planned
        from opensearch_funnel.evaluating.gating.live import live_plan

        plan, index = live_plan(client, alias, pipeline=pipeline)
        result = planned(plan, index=index, within=within)
        legs = ", ".join(plan.active_legs)
        lines = [
            f"would write a document to {index}, id {result['id']}: {result['writes']}",
            f"would change it to {result['changes_to']}",
            f"would ask {legs} for it, for {within:g} s at most each time",
            "would delete it, and what killed runs left more than an hour ago",
        ]
        emit(result, output=output, table=lambda console: print_lines(console, lines))
        return 0
    from opensearch_funnel.build.gate_freshness import check_freshness

    with terminal_progress() as progress:
        gate = check_freshness(
            client, alias, within=within, settings=settings, pipeline=pipeline, progress=progress
        )
    return show(gate, output=output)
