"""How ``funnel pipeline apply --dry-run --queries`` prints what becomes of searches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from opensearch_funnel.cli.output import emit
from opensearch_funnel.cli.progress import terminal_progress

if TYPE_CHECKING:
    from opensearchpy import OpenSearch

    from opensearch_funnel.build.previewing import PreviewReport
    from opensearch_funnel.core.plan import FunnelPlan
    from opensearch_funnel.settings import Settings

# rich writes colours to a terminal only.
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


def print_previews(
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    queries: Path,
    encode: bool,
    settings: Settings,
    output: str,
) -> None:
    """Print what the pipeline of a plan would make of a file of searches.

    Args:
        client: the cluster.
        plan: a plan that is bound to its index.
        queries: the file.
        encode: whether the plan's encoders are loaded.
        settings: where the models are.
        output: ``table`` or ``json``.

    Raises:
        InputError: the file cannot be read; says which line.
    """
    from opensearch_funnel.build.previewing import preview_file

    with terminal_progress() as progress:
        report = preview_file(
            client, queries, plan=plan, settings=settings, encode=encode, progress=progress
        )
    emit(report.to_json(), output=output, table=lambda console: _print(console, report))


def _print(console: Console, report: PreviewReport) -> None:
    from opensearch_funnel.engine.previews import body_diff

    for one in report.searches:
        found = one.found
        times = f" ({one.times} lines)" if one.times > 1 else ""
        verdict = _verdict(found.outcome, found.reason)
        console.print(Text(f"line {one.line}{times}: {verdict}", style="bold"), soft_wrap=True)
        for line in body_diff(found):
            # Neither wrapped nor cut: a line of JSON has to be read whole, and copied.
            console.print(
                Text(line, style=_STYLES.get(line[:1], "")), soft_wrap=True, highlight=False
            )
        console.print()
    console.print(_summary(report))


def _verdict(outcome: str, reason: str) -> str:
    if outcome == "untouched":
        return f"untouched: {reason}"
    if outcome == "same set":
        return "upgraded, same set: the funnel's order of what the query itself finds"
    return "upgraded, widened: documents that share no word with it may come in"


def _summary(report: PreviewReport) -> Table:
    searches = len(report.searches)
    share = f"{report.upgraded} of {searches} ({report.upgraded / searches:.0%})"
    grid = Table.grid(padding=(0, 2))
    rows = [
        ("plan", report.plan.plan_id),
        ("read as", _told_format(report)),
        ("searches", f"{searches} different in {report.lines} lines"),
        ("upgraded", f"{share}, {report.upgraded_lines} of {report.lines} lines"),
        *((f"  {outcome}", str(n)) for outcome, n in report.outcomes.items() if n),
        *((f"    {n} x", reason) for reason, n in report.reasons),
        ("vectors", _told_vectors(report)),
    ]
    for name, value in rows:
        grid.add_row(Text(name), Text(value))
    return grid


def _told_format(report: PreviewReport) -> str:
    if report.format == "texts":
        fields = ", ".join(report.plan.text_fields)
        return f"texts: each as a multi_match over {fields}"
    if report.format == "slow log":
        others = f"; {report.other_lines} lines are no search" if report.other_lines else ""
        return f"slow log: bodies as they ran, several lines a search{others}"
    return {"bodies": "one search body a line", "msearch": "an _msearch request"}[report.format]


def _told_vectors(report: PreviewReport) -> str:
    if report.encoded:
        return "made by the plan's encoders, here"
    return "placeholders: no model was loaded (--encode loads the plan's encoders)"
