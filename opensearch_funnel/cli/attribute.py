"""``funnel attribute``: which stage loses nDCG, and which leg is worth how much."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from opensearch_funnel.cli.choices import dataset_option, plan_option, rerank_option, split_option
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.judgments.sources import findings_json, tell_faults
from opensearch_funnel.cli.output import emit, output_option, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.evaluating.columns import aligned
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.build.attributing import Attributed
    from opensearch_funnel.build.evaluation import Switch
    from opensearch_funnel.evaluating.datasets import Dataset

_LONGEST = 90
_LEG_COLUMNS = ("leg", "alone", "without it", "worth", "best of its hits", "only it found")


@click.command()
@dataset_option("A folder in the BEIR layout.")
@split_option("test")
@plan_option
@rerank_option("As in funnel evaluate.")
@click.option(
    "--queries", type=click.IntRange(min=1), help="At most so many, drawn always in the same way."
)
@click.option(
    "--worst",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Name so many of the queries that lost most, for each stage.",
)
@output_option
@engine_options
def attribute(
    settings: Settings,
    *,
    dataset: Path,
    split: str,
    plan_file: Path,
    rerank: Switch,
    queries: int | None,
    worst: int,
    output: str,
) -> int:
    """Split what a plan lacks of the ideal order over its stages.

    Stages are replaced by perfect ones, from the last to the first; what that wins was lost
    there. The parts add up to 1 - nDCG@10. Also says what each leg is worth.

    Example: funnel attribute --dataset datasets/scifact --worst 3
    """
    from opensearch_funnel.build.attributing import attribute_plan
    from opensearch_funnel.build.evaluation import Bench
    from opensearch_funnel.build.plans import read_plan
    from opensearch_funnel.build.service import reachable_engine
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.evaluating.datasets import read_dataset

    judged = read_dataset(dataset, split=split)
    findings = judged.oddities(judged.doc_ids())
    tell_faults(findings)
    plan = read_plan(plan_file, alias=judged.name)
    with terminal_progress() as progress:
        settings = reachable_engine(settings, progress=progress)
        bench = Bench(client=connect(settings), settings=settings, progress=progress)
        found = attribute_plan(bench, judged, plan, rerank=rerank, most=queries)
    emit(
        {**_json(found, judged, worst=worst), "findings": findings_json(findings)},
        output=output,
        table=lambda console: print_lines(console, _lines(found, judged, worst=worst)),
    )
    return 0


def _json(found: Attributed, dataset: Dataset, *, worst: int) -> dict[str, Any]:
    attribution = found.attribution
    return {
        "dataset": dataset.name,
        "split": dataset.split,
        **attribution.to_json(),
        "worst": {
            part: [
                {"query_id": query_id, "lost": round(lost, 6)}
                for query_id, lost in attribution.worst(part, most=worst)
            ]
            for part in attribution.parts
        },
        "plan": found.plan.to_dict(),
    }


def _lines(found: Attributed, dataset: Dataset, *, worst: int) -> Iterator[str]:
    attribution = found.attribution
    lost = 1.0 - attribution.ndcg
    of = "" if len(found.queries) == len(dataset.queries) else f" of {len(dataset.queries):,}"
    yield (
        f"{dataset.name}/{dataset.split}: {len(found.queries):,}{of} queries, "
        f"nDCG@{attribution.cutoff} {attribution.ndcg:.4f}, {lost:.4f} lost; "
        f"{attribution.judged:.0%} of the first {attribution.cutoff} judged"
    )
    yield ""
    intervals = attribution.intervals()
    rows: list[tuple[str, ...]] = [("stage", "lost", "95 % interval", "share")]
    for part, value in attribution.parts.items():
        low, high = intervals[part]
        share = f"{value / lost:.0%}" if lost else "-"
        rows.append((part, f"{value:.4f}", f"{low:+.3f} to {high:+.3f}", share))
    rows.append(("together", f"{sum(attribution.parts.values()):.4f}", "", ""))
    yield from aligned(rows)
    yield ""
    worths: list[tuple[str, ...]] = [_LEG_COLUMNS]
    for leg, worth in attribution.legs.items():
        figures = (worth.alone, worth.without)
        cells = [f"{value:.4f}" for value in figures]
        worths.append(
            (leg, *cells, f"{worth.worth:+.4f}", f"{worth.retrieves:.4f}", f"{worth.only:+.4f}")
        )
    yield from aligned(worths)
    texts = {query.query_id: " ".join(query.text.split()) for query in found.queries}
    for part in attribution.parts:
        named = attribution.worst(part, most=worst)
        if named:
            yield ""
            yield f"lost most by {part}:"
        for query_id, value in named:
            yield f"  {value:.4f}  {query_id}: {texts[query_id][:_LONGEST]}"
