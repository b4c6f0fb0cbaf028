"""``funnel gate quality``: no measure may fall, and no answer get slow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import rich_click as click
from click.core import ParameterSource
from click.globals import get_current_context

from opensearch_funnel.cli.choices import (
    dataset_option,
    listed,
    measures_option,
    plan_option,
    rerank_option,
)
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.gate.showing import gate_output_option, show
from opensearch_funnel.cli.judgments.sources import tell_faults
from opensearch_funnel.cli.output import emit, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError, StageUnavailableError
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.build.evaluation import Execution, Switch, SystemName
    from opensearch_funnel.evaluating.datasets import Dataset
    from opensearch_funnel.evaluating.gating.quality import Again
    from opensearch_funnel.evaluating.gating.wanted import Wanted
    from opensearch_funnel.evaluating.measures import Measure

_SYSTEMS = ("bm25", "sparse", "dense", "rrf", "hybrid", "funnel")
_FIRST_SYSTEMS = ("hybrid", "funnel")


@click.command()
@dataset_option("A folder in the BEIR layout: documents, queries and judgments.")
@click.option(
    "--baseline",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The JSON file with what was reached before; keep it in your repository.",
)
@click.option("--update", is_flag=True, help="Measure and write the baseline, and judge nothing.")
@click.option(
    "--split", default=None, help="Which qrels/<split>.tsv  [default: the baseline's, first test]"
)
@click.option(
    "--systems",
    default=None,
    help="What to ask, with commas between: bm25, sparse, dense, rrf, hybrid, funnel, or names "
    "of run files  [default: the baseline's, first hybrid,funnel]",
)
@measures_option
@click.option(
    "--runs",
    "runs_dir",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Judge the run files there, <system>.run, and ask no cluster.",
)
@plan_option
@rerank_option("Of the system funnel, as in funnel evaluate.")
@click.option(
    "--execution",
    type=click.Choice(["native", "client"]),
    default="native",
    show_default=True,
    help="As in funnel evaluate.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="A fall whose corrected p is below this is no chance.",
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.0,
    show_default=True,
    help="A mean may fall by so much even so.",
)
@click.option(
    "--latency-ratio",
    type=click.FloatRange(min=0),
    default=1.5,
    show_default=True,
    help="p50 and p95 may be so many times as long; 0 takes no times.",
)
@click.option(
    "--language-field",
    default=None,
    help="Judge each language alone, too: the field of the documents that names it.",
)
@gate_output_option
@engine_options
def quality(
    settings: Settings,
    *,
    dataset: Path,
    baseline: Path,
    update: bool,
    split: str | None,
    systems: str | None,
    measures: tuple[Measure, ...],
    runs_dir: Path | None,
    plan_file: Path,
    rerank: Switch,
    execution: Execution,
    alpha: float,
    tolerance: float,
    latency_ratio: float,
    language_field: str | None,
    output: str,
) -> int:
    """Fail when a measure falls significantly below a baseline, or answers take much longer.

    --update measures and writes the baseline. Without it the same systems and measures are
    measured again and compared query by query: a paired randomisation test with Holm's correction
    over all of them. Latency is judged on machines with as many processors only. Exits with 1
    when a check fails, when answers were degraded, and when there is nothing to compare.

    Example: funnel gate --dataset datasets/scifact --baseline gate.json --update

    Example: funnel gate --dataset datasets/scifact --baseline gate.json --output markdown
    """
    from opensearch_funnel.evaluating.datasets import read_dataset
    from opensearch_funnel.evaluating.gating.languages import languages_of
    from opensearch_funnel.evaluating.gating.quality import (
        Limits,
        judge_quality,
        require_same_data,
    )
    from opensearch_funnel.evaluating.gating.snapshot import corpus_hash, read_snapshot
    from opensearch_funnel.evaluating.gating.wanted import only, wanted

    before = read_snapshot(baseline) if baseline.exists() or not update else None
    named = _checked(systems, runs=runs_dir is not None)
    chosen = get_current_context().get_parameter_source("measures")
    want = wanted(
        before,
        split=split,
        systems=named,
        measures=() if chosen is ParameterSource.DEFAULT else measures,
        first_systems=() if runs_dir else _FIRST_SYSTEMS,
    )
    judged = read_dataset(dataset, split=want.split)
    tell_faults(judged.oddities(judged.doc_ids()))
    languages = languages_of(judged, field=language_field) if language_field else {}
    if before is not None and not update:
        # Before anything is measured, which takes minutes.
        before = only(before, want)
        require_same_data(
            before, dataset=judged.name, split=judged.split, corpus=corpus_hash(judged)
        )
    if runs_dir is not None:
        from opensearch_funnel.build.gate import measured_runs

        again = measured_runs(
            runs_dir, judged, measures=want.measures, systems=want.systems if update else named
        )
    else:
        again = _live(
            judged,
            want,
            settings=settings,
            plan_file=plan_file,
            rerank=rerank,
            execution=execution,
            timed=bool(latency_ratio),
        )
    if update or before is None:
        return _written(again, baseline, output=output)
    limits = Limits(alpha=alpha, tolerance=tolerance, latency_ratio=latency_ratio)
    gate = judge_quality(before, replace(again, languages=languages), limits=limits)
    return show(gate, output=output)


def _checked(systems: str | None, *, runs: bool) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(listed(systems or "")))
    unknown = [] if runs else [name for name in names if name not in _SYSTEMS]
    if unknown or (systems is not None and not names):
        raise click.BadParameter(
            f"no {', '.join(unknown) or 'name given'}; there are: {', '.join(_SYSTEMS)}",
            param_hint="--systems",
        )
    return names


def _live(
    judged: Dataset,
    want: Wanted,
    *,
    settings: Settings,
    plan_file: Path,
    rerank: Switch,
    execution: Execution,
    timed: bool,
) -> Again:
    from opensearch_funnel.build.evaluation import Bench, Request
    from opensearch_funnel.build.gate import measured_systems
    from opensearch_funnel.build.plans import read_plan
    from opensearch_funnel.build.service import reachable_engine
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.evaluating.systems import LATENCY_QUERIES

    if unknown := [name for name in want.systems if name not in _SYSTEMS]:
        raise InputError(
            f"the baseline has {', '.join(unknown)}, which came out of run files: give --runs, or "
            f"name systems with --systems ({', '.join(_SYSTEMS)})"
        )
    request = Request(
        systems=cast("tuple[SystemName, ...]", want.systems),
        measures=want.measures,
        execution=execution,
        leave_one_out=False,
        rerank=rerank,
        timed=LATENCY_QUERIES if timed else 0,
    )
    plan = read_plan(plan_file, alias=judged.name)
    with terminal_progress() as progress:
        settings = reachable_engine(settings, progress=progress)
        bench = Bench(client=connect(settings), settings=settings, progress=progress)
        return measured_systems(bench, judged, plan, request)


def _written(again: Again, path: Path, *, output: str) -> int:
    """Write a baseline, unless its figures would not count."""
    from opensearch_funnel.evaluating.gating.snapshot import write_snapshot
    from opensearch_funnel.evaluating.measures import mean

    made = again.snapshot
    if bad := {name: count for name, count in again.degraded.items() if count}:
        counts = ", ".join(f"{count} of {name}" for name, count in bad.items())
        raise StageUnavailableError(
            f"answers lacked a stage ({counts}), so the figures do not count and {path} was left "
            "as it was: see the log of funnel serve, and funnel doctor"
        )
    write_snapshot(made, path)
    means = {
        name: {measure: round(mean(made.values(name, measure)), 6) for measure in one.values}
        for name, one in made.systems.items()
    }
    result = {
        "baseline": str(path),
        "dataset": made.dataset,
        "split": made.split,
        "queries": len(made.queries),
        "systems": means,
        "notes": list(again.notes),
    }
    lines = [
        f"wrote {path}: {made.dataset}/{made.split}, {len(made.queries):,} queries",
        *(
            f"{name}: {', '.join(f'{measure} {value:.4f}' for measure, value in one.items())}"
            for name, one in means.items()
        ),
        *(f"note: {note}" for note in again.notes),
    ]
    emit(result, output=output, table=lambda console: print_lines(console, lines))
    return 0
