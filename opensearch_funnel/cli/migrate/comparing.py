"""``funnel migrate compare``: what another slot would answer."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from opensearch_funnel.cli.choices import plan_option
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, key_values, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opensearch_funnel.core.plan import FunnelPlan
    from opensearch_funnel.core.ranking import Query
    from opensearch_funnel.evaluating.shadow import ShadowReport


@click.command()
@click.argument("alias")
@click.option("--slot", required=True, help="The slot that might be searched.")
@click.option(
    "--queries",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="What is asked: texts or search bodies, one a line, or a slow log.",
)
@click.option(
    "--dataset",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="Or a folder in the BEIR layout, whose judgments are measured too.",
)
@click.option("--split", default="test", show_default=True, help="Of the data set.")
@plan_option
@output_option
@engine_options
def compare(
    settings: Settings,
    *,
    alias: str,
    slot: str,
    queries: Path | None,
    dataset: Path | None,
    split: str,
    plan_file: Path,
    output: str,
) -> int:
    """Ask the slot that is searched now and another one the same queries: shadow reads.

    Both answer in the client form of the funnel; no client sees any of it, and nothing is
    written. The plan is the one that is applied to the alias, else the file's. Exits with 1
    where an answer lacked a stage.

    Example: funnel migrate compare films --slot b --queries searches.txt
    """
    from opensearch_funnel.build.explaining import applied_plan_of
    from opensearch_funnel.build.plans import read_plan
    from opensearch_funnel.build.shadow import compare_slots
    from opensearch_funnel.engine.binding import bound_plan
    from opensearch_funnel.engine.client import connect

    if (queries is None) == (dataset is None):
        raise click.UsageError("give either --queries or --dataset")
    client = connect(settings)
    plan = applied_plan_of(client, alias) or bound_plan(client, read_plan(plan_file, alias=alias))
    if plan.slot == slot:
        raise click.UsageError(f"slot {slot} is the one that the plan searches: name another one")
    skipped = 0
    qrels: Mapping[str, Mapping[str, int]] = {}
    if dataset is not None:
        asked, qrels = _judged(dataset, split=split)
    else:
        asked, skipped = _recorded(Path(str(queries)), plan=plan)
    with terminal_progress() as progress:
        report = compare_slots(
            client,
            plan,
            candidate=slot,
            queries=asked,
            qrels=qrels,
            settings=settings,
            progress=progress,
        )
    result = {"alias": alias, "skipped": skipped, **asdict(report)}
    emit(result, output=output, table=lambda console: _print(report, skipped, console=console))
    return 1 if report.degraded else 0


def _judged(folder: Path, *, split: str) -> tuple[list[Query], Mapping[str, Mapping[str, int]]]:
    from opensearch_funnel.evaluating.datasets import read_dataset

    found = read_dataset(folder, split=split)
    return list(found.queries), found.qrels


def _recorded(path: Path, *, plan: FunnelPlan) -> tuple[list[Query], int]:
    """Read what was typed out of a user's own searches; others than of text are left out."""
    from opensearch_funnel.core.ranking import Query
    from opensearch_funnel.documents.searches import read_searches
    from opensearch_funnel.engine.allow_list import read_text_search
    from opensearch_funnel.engine.client_bodies import as_handed_on

    def as_body(text: str) -> dict[str, Any]:
        return {"query": {"multi_match": {"query": text, "fields": list(plan.text_fields)}}}

    searches = read_searches(path, as_body=as_body).searches
    read = [read_text_search(as_handed_on(one.body), plan=plan) for one in searches]
    texts = dict.fromkeys(one.text for one in read if one is not None)
    if not texts:
        raise InputError(f"{path} has no search that the plan upgrades: nothing to compare on")
    asked = [Query(text=text, query_id=str(number)) for number, text in enumerate(texts, start=1)]
    return asked, sum(one is None for one in read)


def _print(report: ShadowReport, skipped: int, *, console: Console) -> None:
    low, high = report.interval
    shown: dict[str, Any] = {
        "compared": f"{report.present} with {report.candidate}, on {report.queries:,} queries",
        "left out": f"{skipped:,} searches that are not upgraded",
        "degraded": report.degraded,
        f"overlap of the first {report.k}": f"{report.overlap:.3f}",
        "rank-biased overlap": f"{report.rank_biased_overlap:.3f} ({low:.3f} to {high:.3f})",
    }
    if judged := report.judged:
        low, high = judged.interval
        shown[judged.measure] = (
            f"{judged.present:.4f} → {judged.candidate:.4f}, {judged.difference:+.4f} "
            f"({low:+.4f} to {high:+.4f}), on {judged.queries:,} judged queries"
        )
    console.print(key_values(shown))
    least = Table("least alike", "agreement")
    for text, agreement in report.least_alike:
        least.add_row(escape(text), f"{agreement:.3f}")
    console.print(least)
