"""``funnel compare``: which of two searches is better, and how sure that is."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import rich_click as click

from opensearch_funnel.cli.choices import (
    dataset_option,
    measures_option,
    plan_option,
    report_option,
    rerank_option,
    split_option,
)
from opensearch_funnel.cli.comparison_lines import comparison_lines
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.judgments.sources import findings_json, tell, tell_faults
from opensearch_funnel.cli.output import emit, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.build.evaluation import Switch, SystemName
    from opensearch_funnel.core.progress import Progress
    from opensearch_funnel.evaluating.datasets import Dataset
    from opensearch_funnel.evaluating.document_traces import Tracer
    from opensearch_funnel.evaluating.measures import Measure, Run

_SYSTEMS = ("bm25", "sparse", "dense", "rrf", "hybrid", "funnel")


@click.command()
@click.argument("compared", metavar="A B [C ...]", nargs=-1, required=True)
@dataset_option("A folder in the BEIR layout: its queries and judgments.")
@split_option("test")
@measures_option
@click.option(
    "--moved",
    type=click.IntRange(min=0),
    default=5,
    show_default=True,
    help="How many of the queries that gained, and that lost, most.",
)
@report_option
@plan_option
@rerank_option("Of the system funnel, as in funnel evaluate.")
@click.option(
    "--output",
    type=click.Choice(["table", "json", "markdown"]),
    default="table",
    show_default=True,
    help="A table to read, one JSON object to parse, or Markdown to paste.",
)
@engine_options
def compare(
    settings: Settings,
    *,
    compared: tuple[str, ...],
    dataset: Path,
    split: str,
    measures: tuple[Measure, ...],
    moved: int,
    report: Path | None,
    plan_file: Path,
    rerank: Switch,
    output: str,
) -> int:
    """Compare searches on the same judged queries, each with those before it.

    Each of A, B, C is a system of funnel evaluate (bm25, sparse, dense, rrf, hybrid, funnel) or a
    TREC run file; ./bm25 is a file. A cluster is needed for systems only. The first measure says
    which queries moved most. Exits with 1 when an answer of a system was degraded.

    Example: funnel compare bm25 my.run --dataset datasets/scifact --report scifact.html
    """
    from opensearch_funnel.evaluating.comparing import compare as compare_runs
    from opensearch_funnel.evaluating.comparison_page import markdown, write_report
    from opensearch_funnel.evaluating.datasets import read_dataset
    from opensearch_funnel.evaluating.formats.against import (
        run_against_corpus,
    )
    from opensearch_funnel.evaluating.formats.trec_run import read_measurable_run
    from opensearch_funnel.evaluating.page_files import check_report
    from opensearch_funnel.evaluating.reasons import explained

    _check(compared)
    if report is not None:
        check_report(report)
    judged = read_dataset(dataset, split=split)
    read = {given: read_measurable_run(Path(given)) for given in compared if given not in _SYSTEMS}
    ids = judged.doc_ids()
    about_dataset = judged.oddities(ids)
    about_runs = {
        given: (*one.findings, *run_against_corpus(one.run, ids)) for given, one in read.items()
    }
    tell_faults(about_dataset)
    for given, findings in about_runs.items():
        tell(findings, strict=False, of=given)
    runs = {given: one.run.doc_ids for given, one in read.items()}
    systems = [name for name in compared if name in _SYSTEMS]
    with (
        terminal_progress() as progress,
        _live(
            systems,
            judged,
            measures=measures,
            settings=settings,
            plan_file=plan_file,
            rerank=rerank,
            progress=progress,
        ) as live,
    ):
        named = {name: {**runs, **live.runs}[given] for name, given in _named(compared).items()}
        found = compare_runs(named, judged, measures=measures, moved=moved)
        found = explained(found, live.tracers, progress=progress)
    try:
        if report is not None:
            files = write_report(found, report)
            click.echo(f"written: {', '.join(map(str, files))}", err=True)
    finally:
        # A full disk must not take the figures along.
        if output == "markdown":
            sys.stdout.write(markdown(found))
        else:
            emit(
                {
                    **found.to_json(),
                    "degraded": live.degraded,
                    "findings": findings_json(about_dataset),
                    "run_findings": {
                        given: findings_json(findings) for given, findings in about_runs.items()
                    },
                },
                output=output,
                table=lambda console: print_lines(console, comparison_lines(found)),
            )
    if live.degraded:
        click.echo(f"{live.degraded} answers were degraded: these figures do not count", err=True)
    return 1 if live.degraded else 0


def _check(compared: Sequence[str]) -> None:
    """Refuse what can be seen to be wrong before anything is read."""
    if len(compared) < 2:  # noqa: PLR2004 - a comparison
        raise click.UsageError("name two systems or run files, for example: bm25 hybrid")
    if len(set(compared)) < len(compared):
        raise click.UsageError("a system or file is named twice: name each once")
    for name in compared:
        if name not in _SYSTEMS and not Path(name).exists():
            raise click.UsageError(
                f"{name!r} is neither a file nor a system; systems are: {', '.join(_SYSTEMS)}"
            )


def _named(compared: Sequence[str]) -> dict[str, str]:
    """Return what was given by the name that a report calls it: of a file no more than is needed.

    Example:
        >>> _named(["bm25", "old/bm25.run", "new/hybrid.run"])
        {'bm25': 'bm25', 'old/bm25.run': 'old/bm25.run', 'hybrid': 'new/hybrid.run'}
    """
    short = {given: given if given in _SYSTEMS else Path(given).stem for given in compared}
    alone = [name for name, count in Counter(short.values()).items() if count == 1]
    return {name if name in alone else given: given for given, name in short.items()}


@dataclass(frozen=True, slots=True)
class _Live:
    """What the systems answered; they can still be asked why."""

    runs: Mapping[str, Run] = field(default_factory=dict)
    tracers: Mapping[str, Tracer] = field(default_factory=dict)
    degraded: int = 0


@contextmanager
def _live(
    names: Sequence[str],
    dataset: Dataset,
    *,
    measures: tuple[Measure, ...],
    settings: Settings,
    plan_file: Path,
    rerank: Switch,
    progress: Progress,
) -> Iterator[_Live]:
    """Ask the systems that were named."""
    if not names:
        yield _Live()
        return
    from opensearch_funnel.build.evaluation import Bench, Request
    from opensearch_funnel.build.plans import read_plan
    from opensearch_funnel.build.service import reachable_engine
    from opensearch_funnel.engine.client import connect

    request = Request(
        systems=cast("Sequence[SystemName]", names),
        measures=measures,
        leave_one_out=False,
        rerank=rerank,
        timed=0,
    )
    plan = read_plan(plan_file, alias=dataset.name)
    settings = reachable_engine(settings, progress=progress)
    bench = Bench(client=connect(settings), settings=settings, progress=progress)
    with bench.measured(dataset, plan, request) as found:
        runs = {system.name: system.run for system in found.report.systems}
        yield _Live(runs, found.tracers, found.degraded)
