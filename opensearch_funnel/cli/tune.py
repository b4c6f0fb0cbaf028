"""``funnel tune``: which fusion and which reranking suit an index, by its judged queries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from opensearch_funnel.cli.choices import dataset_option, plan_option, report_option
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.judgments.sources import findings_json, tell_faults
from opensearch_funnel.cli.output import emit, output_option, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.columns import aligned
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.build.plan_file import Change
    from opensearch_funnel.build.tuning import Tuned
    from opensearch_funnel.evaluating.tuning.search import Tuning

_MINUTE = 60.0


@click.command()
@dataset_option("A folder in the BEIR layout, with the splits to tune on.")
@plan_option
@click.option("--train", default="train", show_default=True, help="The split for the legs.")
@click.option(
    "--dev",
    default="dev",
    show_default=True,
    help="The split for reranking; without one, a fifth of the other that no training touches.",
)
@click.option(
    "--queries",
    type=click.IntRange(min=20),
    default=2000,
    show_default=True,
    help="At most so many for the legs.",
)
@click.option(
    "--rerank-queries",
    type=click.IntRange(min=20),
    default=300,
    show_default=True,
    help="At most so many for reranking.",
)
@click.option(
    "--folds", type=click.IntRange(2, 20), default=5, show_default=True, help="To judge a choice."
)
@click.option(
    "--max-ms", type=click.FloatRange(min=0, min_open=True), help="What a query may take."
)
@click.option(
    "--rerank/--no-rerank", default=True, show_default=True, help="Tune the reranking, too."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which queries are drawn.")
@click.option(
    "--to",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the changed plan there, and leave the file of --plan as it is.",
)
@click.option("--force", is_flag=True, help="Replace the file of --to.")
@click.option("--dry-run", is_flag=True, help="Show what would be written, and write nothing.")
@report_option
@output_option
@engine_options
def tune(
    settings: Settings,
    *,
    dataset: Path,
    plan_file: Path,
    target: Path | None,
    force: bool,
    dry_run: bool,
    report: Path | None,
    output: str,
    **asked: Any,
) -> int:
    """Find weights, fusion, depth and reranking for judged queries, and write them to the plan.

    Every query is searched once; thousands of plans are then replayed on what was found. A plan
    is written only where what it gains on queries that did not choose it is surely above zero.
    The split test is refused: it is for funnel evaluate, before and afterwards.

    Example: funnel tune --dataset datasets/scifact --max-ms 60 --dry-run
    """
    from opensearch_funnel.build.evaluation import Bench
    from opensearch_funnel.build.plan_file import changes, require_tomlkit, write_plan
    from opensearch_funnel.build.plans import read_plan
    from opensearch_funnel.build.service import reachable_engine
    from opensearch_funnel.build.tuning import TuneRequest, tune_plan
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.evaluating.page_files import check_report, write_page
    from opensearch_funnel.evaluating.tuning.page import tuning_blocks

    if report is not None:
        check_report(report)
    if not dry_run:
        require_tomlkit()
    if target is not None and target.exists() and not force:
        raise InputError(f"{target} is there already: name another, or give --force")
    asked["limit_ms"] = asked.pop("max_ms")
    request = TuneRequest(**asked)
    name = dataset.resolve().name
    plan = read_plan(plan_file, alias=name)
    with terminal_progress() as progress:
        settings = reachable_engine(settings, progress=progress)
        bench = Bench(client=connect(settings), settings=settings, progress=progress)
        found = tune_plan(bench, dataset, plan, request)
    tell_faults(found.findings)
    changed = changes(found.before, found.after)
    path = target or plan_file
    try:
        if changed and not dry_run:
            write_plan(plan_file, changed, to=target)
        if report is not None:
            blocks = [*tuning_blocks(found.legs, title="Legs", reranks=False)]
            if found.rerank is not None:
                blocks += tuning_blocks(found.rerank, title="Reranking", reranks=True)
            files = write_page(report, f"{name} tuned", blocks)
            click.echo(f"written: {', '.join(map(str, files))}", err=True)
    finally:
        # A full disk must not take the figures along.
        emit(
            _json(found, changed, name=name, path=path, dry_run=dry_run),
            output=output,
            table=lambda console: print_lines(
                console, _lines(found, changed, name=name, path=path, dry_run=dry_run)
            ),
        )
    return 0


def _json(
    found: Tuned, changed: list[Change], *, name: str, path: Path, dry_run: bool
) -> dict[str, Any]:
    from opensearch_funnel.evaluating.tuning.wording import tuning_json

    legs_on, rerank_on = found.tried_on
    return {
        "dataset": name,
        "plan_file": str(path),
        "written": bool(changed) and not dry_run,
        "changes": {key: {"before": old, "after": new} for key, old, new in changed},
        "legs": {"tried_on": legs_on, **tuning_json(found.legs)},
        "per_query": found.kinds
        and {
            "evidence": found.kinds.evidence,
            "tuned": found.kinds.proposed is not None,
            "gain": round(found.kinds.gain, 6),
            "interval": [round(end, 6) for end in found.kinds.interval],
        },
        "rerank": found.rerank and {"tried_on": rerank_on, **tuning_json(found.rerank)},
        "findings": findings_json(found.findings),
        "seconds": round(found.seconds, 1),
    }


def _lines(
    found: Tuned, changed: list[Change], *, name: str, path: Path, dry_run: bool
) -> Iterator[str]:
    legs_on, rerank_on = found.tried_on
    reranked = f", reranking on {rerank_on}" if found.rerank else ""
    yield f"{name}: legs on {legs_on}{reranked}; {found.seconds / _MINUTE:.1f} minutes"
    yield from _search_lines(found.legs, title="legs", reranks=False)
    yield ""
    if found.kinds:
        yield f"weights {found.kinds.evidence}"
    elif found.after.fusion.by_service:
        yield "weights of each query's own, by what its legs find (auto)"
    else:
        yield "weights of the plan's own kind of queries stay"
    if found.rerank:
        yield from _search_lines(found.rerank, title="reranking", reranks=True)
    yield ""
    if not changed:
        yield f"{path} stays as it is"
        return
    yield f"{'would be written' if dry_run else 'written'} to {path}:"
    yield from (f"  {key}: {old!r} -> {new!r}" for key, old, new in changed)


def _search_lines(found: Tuning, *, title: str, reranks: bool) -> Iterator[str]:
    from opensearch_funnel.evaluating.tuning.page import TRIAL_COLUMNS, trial_row

    yield ""
    yield f"{title} {found.evidence}"
    chosen = "chosen" if found.proposed else "in reach"
    marked = {found.chosen.setting: chosen, found.present.setting: "present"}
    trials = sorted(
        {trial.setting: trial for trial in (*found.front, found.chosen, found.present)}.values(),
        key=lambda trial: (trial.cost, trial.mean),
    )
    rows: list[tuple[str, ...]] = [("", *TRIAL_COLUMNS)]
    rows += [
        (marked.get(trial.setting, ""), *trial_row(trial, reranks=reranks)) for trial in trials
    ]
    yield from (f"  {line}" for line in aligned(rows))
