"""``funnel judgments clicks``: judgments out of what people clicked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.choices import listed
from opensearch_funnel.cli.judgments.sources import (
    findings_json,
    format_option,
    say,
    strict_option,
    tell,
)
from opensearch_funnel.cli.judgments.targets import counts_told, refuse_loss
from opensearch_funnel.cli.output import emit, output_option, print_lines

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.formats.detecting import Format
    from opensearch_funnel.evaluating.labelling.click_grades import ClickGrades
    from opensearch_funnel.evaluating.labelling.click_log import ClickLog
    from opensearch_funnel.evaluating.labelling.click_model import ClickModel

_PLACES_SHOWN = 20


def _numbers(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[float, ...]:
    try:
        return tuple(float(number) for number in listed(value))
    except ValueError as error:
        raise click.BadParameter("numbers with commas between, such as 0.5,1,2") from error


@click.command()
@click.argument("events", type=click.Path(dir_okay=False, path_type=Path))
@click.argument("target", metavar="TO", type=click.Path(path_type=Path))
@click.option(
    "--queries",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="The export of ubi_queries, where EVENTS has ubi_events alone.",
)
@click.option("--application", default=None, help="Whose page, where several wrote the log.")
@click.option(
    "--click",
    "actions",
    multiple=True,
    default=("click",),
    show_default=True,
    help="An action_name that is a click; may be given several times.",
)
@click.option(
    "--impression",
    default="impression",
    show_default=True,
    help="The action_name that says that a document was shown.",
)
@click.option(
    "--min-views",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="How often a document has to be shown for a query to be judged.",
)
@click.option(
    "--prior-views",
    type=click.FloatRange(0, min_open=True),
    default=5.0,
    show_default=True,
    help="How many views the assumption weighs that a document is as attractive as the mean.",
)
@click.option(
    "--cuts",
    callback=_numbers,
    default="0.5,1,2",
    show_default=True,
    help="Multiples of the mean attractiveness; from each on, the grade is one higher.",
)
@format_option("--to-format", "to_format", "What TO is to be;")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@strict_option
@output_option
def clicks(
    *,
    events: Path,
    target: Path,
    queries: Path | None,
    application: str | None,
    actions: tuple[str, ...],
    impression: str,
    min_views: int,
    prior_views: float,
    cuts: tuple[float, ...],
    to_format: Format | None,
    force: bool,
    dry_run: bool,
    strict: bool,
    output: str,
) -> None:
    """Make judgments of a click log, with the bias of the places taken out.

    EVENTS is an export of UBI's ubi_events as ndjson, with ubi_queries in it or in --queries. What
    stands on top is clicked for standing there; a position-based model learns how much from
    documents that were seen in several places. Grades say how attractive a document is compared
    with the mean; --output json has every estimate.

    Example: funnel judgments clicks ubi_events.ndjson clicked.json --queries ubi_queries.ndjson
    """
    from opensearch_funnel.evaluating.formats.detecting import format_of_target
    from opensearch_funnel.evaluating.formats.writing import judgments_files, save
    from opensearch_funnel.evaluating.labelling.click_grades import as_judgments, graded
    from opensearch_funnel.evaluating.labelling.click_log import read_click_log
    from opensearch_funnel.evaluating.labelling.click_model import fit_click_model

    if to_format is None:
        detected = format_of_target(target)
        to_format = detected.format
        say(f"{target}: written as {to_format} ({detected.reason})")
    log = read_click_log(
        [events, *([queries] if queries else [])],
        application=application,
        clicks=actions,
        impression=impression,
    )
    model = fit_click_model(log.shown, prior_views=prior_views)
    found = graded(log.shown, model, min_views=min_views, cuts=cuts)
    judgments = as_judgments(
        found.estimates, description="Estimated from clicks by a position-based model"
    )
    written = judgments_files(judgments, target, format=to_format)
    refuse_loss(target, written.findings)
    findings = (*log.findings, *found.findings, *written.findings)
    tell(findings, strict=strict)
    if not dry_run:
        save(written.files, replacing=force)
    result = {
        **_figures(log, model),
        "judged_pairs": len(found.estimates),
        "judged_queries": len(judgments.queries),
        "files": [str(path) for path in written.files],
        "written": not dry_run,
        "findings": findings_json(findings),
    }
    if output == "json":
        result["estimates"] = [
            {
                "query": one.query,
                "document": one.doc_id,
                "views": one.views,
                "clicks": one.clicks,
                "attractiveness": one.attractiveness,
                "ratio": one.ratio,
                "grade": one.grade,
            }
            for one in found.estimates
        ]
    emit(result, output=output, table=lambda console: _print(result, found=found, console=console))


def _figures(log: ClickLog, model: ClickModel) -> dict[str, Any]:
    views: dict[int, int] = {}
    clicked: dict[int, int] = {}
    for one in log.shown:
        views[one.position] = views.get(one.position, 0) + one.views
        clicked[one.position] = clicked.get(one.position, 0) + one.clicks
    return {
        "application": log.application,
        "searches": log.searches,
        "views": sum(views.values()),
        "clicks": sum(clicked.values()),
        "places": [
            {
                "place": place,
                "views": views[place],
                "clicks": clicked[place],
                "examination": examination,
            }
            for place, examination in model.examination.items()
        ],
        "pairs": len(model.attractiveness),
        "pairs_in_several_places": model.moved,
        "groups_of_places": model.groups,
        "converged": model.converged,
    }


def _print(result: dict[str, Any], *, found: ClickGrades, console: Console) -> None:
    grid = Table("place", "views", "clicks", "click rate", "examination")
    for place in result["places"][:_PLACES_SHOWN]:
        rate = place["clicks"] / place["views"]
        grid.add_row(
            str(place["place"]),
            f"{place['views']:,}",
            f"{place['clicks']:,}",
            f"{rate:.3f}",
            f"{place['examination']:.2f}",
        )
    console.print(grid)
    grades: dict[int, int] = {}
    for one in found.estimates:
        grades[one.grade] = grades.get(one.grade, 0) + 1
    told = counts_told({str(grade): grades[grade] for grade in sorted(grades)})
    moved, pairs = result["pairs_in_several_places"], result["pairs"]
    wrote = f"{'wrote' if result['written'] else 'would write'} {', '.join(result['files'])}"
    counts = f"{result['judged_queries']:,} queries, {result['judged_pairs']:,} judgments ({told})"
    lines = [
        f"{result['searches']:,} searches; {moved:,} of {pairs:,} pairs in several places",
        *_doubts(result),
        f"{wrote}: {counts}",
    ]
    if (more := len(result["places"]) - _PLACES_SHOWN) > 0:
        lines.insert(0, f"{more:,} places more: --output json")
    print_lines(console, lines)


def _doubts(result: dict[str, Any]) -> list[str]:
    doubts = []
    if result["groups_of_places"] > 1:
        doubts.append(
            f"warning: the places fall into {result['groups_of_places']:,} groups that no "
            "document moved between: how they compare is an assumption (all equally good), not "
            "learnt from this log"
        )
    if not result["converged"]:
        doubts.append("warning: the estimate had not come to rest: there is little to learn from")
    return doubts
