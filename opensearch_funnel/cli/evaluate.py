"""``funnel evaluate``: how good searches are on judged queries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from click.core import ParameterSource
from click.globals import get_current_context
from rich.console import Console

from opensearch_funnel.cli.choices import (
    measures_option,
    names_option,
    plan_option,
    rerank_option,
    split_option,
)
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.evaluation_tables import (
    difference_lines,
    fusion_line,
    reranking_lines,
    systems_table,
)
from opensearch_funnel.cli.judgments.sources import findings_json, tell_faults
from opensearch_funnel.cli.output import emit, output_option, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.build.evaluation import Execution, FunnelReport, Switch, SystemName
    from opensearch_funnel.evaluating.measures import Measure

_SYSTEMS = ("bm25", "sparse", "dense", "rrf", "hybrid", "funnel")


@click.command()
@click.argument("dataset_dir", type=click.Path(path_type=Path))
@split_option("test")
@names_option("--systems", known=_SYSTEMS, help_text="What to ask, with commas between.")
@measures_option
@plan_option
@rerank_option("auto decides on another split, or on probes of the corpus; never on this split.")
@click.option(
    "--execution",
    type=click.Choice(["native", "client"]),
    default="native",
    show_default=True,
    help="hybrid and funnel through the search pipeline, or as stages in this process.",
)
@click.option(
    "--leave-one-out/--no-leave-one-out",
    default=True,
    show_default=True,
    help="Measure the hybrid without each of its legs, too.",
)
@click.option(
    "--deadline", is_flag=True, help="Keep the plan's deadlines while quality is measured."
)
@click.option(
    "--runs",
    "runs_dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write each system's rankings there as <system>.run, for funnel compare.",
)
@output_option
@engine_options
def evaluate(
    settings: Settings,
    *,
    dataset_dir: Path,
    split: str,
    systems: tuple[SystemName, ...],
    measures: tuple[Measure, ...],
    plan_file: Path,
    rerank: Switch,
    execution: Execution,
    leave_one_out: bool,
    deadline: bool,
    runs_dir: Path | None,
    output: str,
) -> int:
    """Measure searches on a folder in the BEIR layout.

    DATASET_DIR holds corpus.jsonl, queries.jsonl and qrels/<split>.tsv. The corpus is loaded
    and encoded into an index of its own, once: a second run uses it again. Node and service are
    started where none answers. Exits with 1 when an answer was degraded: such figures don't count.
    Where the plan fuses by auto, its legs are first measured by probes of the corpus, once.

    Example: funnel evaluate datasets/scifact --systems bm25,hybrid --measures nDCG@10,R@100
    """
    from opensearch_funnel.build.evaluation import Bench, Request
    from opensearch_funnel.build.plans import read_plan
    from opensearch_funnel.build.service import reachable_engine
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.evaluating.datasets import read_dataset
    from opensearch_funnel.evaluating.formats.trec_run import write_runs

    chosen = get_current_context().get_parameter_source("systems")
    try:
        request = Request(
            systems=None if chosen is ParameterSource.DEFAULT else systems,
            measures=measures,
            execution=execution,
            leave_one_out=leave_one_out,
            keep_deadlines=deadline,
            rerank=rerank,
        )
    except InputError as error:
        raise click.UsageError(str(error)) from error
    dataset = read_dataset(dataset_dir, split=split)
    findings = dataset.oddities(dataset.doc_ids())
    tell_faults(findings)
    plan = read_plan(plan_file, alias=dataset.name)
    with terminal_progress() as progress:
        settings = reachable_engine(settings, progress=progress)
        bench = Bench(client=connect(settings), settings=settings, progress=progress)
        measured = bench.evaluate(dataset, plan, request)
    try:
        if runs_dir is not None:
            write_runs({system.name: system.run for system in measured.report.systems}, runs_dir)
    finally:
        # A full disk must not take the figures along.
        emit(
            {**measured.to_json(), "findings": findings_json(findings)},
            output=output,
            table=lambda console: _print(measured, console=console),
        )
    return 1 if measured.degraded else 0


def _print(measured: FunnelReport, *, console: Console) -> None:
    report = measured.report
    dataset = report.dataset
    skipped = f", {dataset.skipped_queries} skipped" if dataset.skipped_queries else ""
    console.print(
        f"{dataset.name}/{dataset.split}: {len(dataset.queries):,} queries{skipped}, "
        f"{report.documents:,} documents in {report.index}",
        highlight=False,
    )
    console.print(systems_table(report))
    print_lines(console, difference_lines(report))
    late = {s.name: s.latency.degraded for s in report.systems if s.latency.degraded}
    if late:
        slow = ", ".join(f"{name} {count}" for name, count in late.items())
        console.print(f"timed answers that missed a deadline: {slow}; see funnel serve's log")
    names = {system.name for system in report.systems}
    if measured.plan is not None and {"hybrid", "funnel"} & names:
        print_lines(console, [f"fused by {fusion_line(measured.plan)}"])
    if measured.plan is not None and "funnel" in names:
        print_lines(console, reranking_lines(measured.plan.rerank))
