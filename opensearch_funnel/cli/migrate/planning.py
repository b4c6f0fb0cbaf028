"""``funnel migrate plan``: what a migration would do, before anything is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from opensearch_funnel.cli.choices import listed
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, key_values, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.migrating.planning import PlannedMigration, PlanReport

_NONE = "none"
_MINUTES, _SECONDS = 60, 3600


@click.command()
@click.argument("alias")
@click.option(
    "--fields",
    default=None,
    help="The text that is encoded, most telling first  [default: chosen from names and samples]",
)
@click.option(
    "--sparse-model",
    default="splade-tiny",
    show_default=True,
    help="Makes the sparse field, or none.",
)
@click.option(
    "--dense-model",
    default="bge-small-en-v1.5",
    show_default=True,
    help="Makes the dense field, or none.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(0),
    default=0,
    help="Where longer texts are cut  [default: each model's own limit]",
)
@click.option("--slot", default="a", show_default=True, help="Which slot of fields is filled.")
@click.option(
    "--shards",
    type=click.IntRange(1),
    default=None,
    help="Shards of the new index  [default: as many as now]",
)
@click.option("--target", default=None, help="Name of the new index  [default: ALIAS-funnel-TIME]")
@click.option("--dry-run", is_flag=True, help="Look and measure, and store no plan.")
@click.option("--force", is_flag=True, help="Plan it also where the new index does not fit.")
@click.option("--no-measure", is_flag=True, help="Open no models: no hours and no bytes then.")
@output_option
@engine_options
def plan(
    settings: Settings,
    *,
    alias: str,
    fields: str | None,
    sparse_model: str,
    dense_model: str,
    max_tokens: int,
    slot: str,
    shards: int | None,
    target: str | None,
    dry_run: bool,
    force: bool,
    no_measure: bool,
    output: str,
) -> None:
    """Look at the index behind an alias, and say how it would be migrated.

    Nothing of it is changed: the plan is stored for run, and a plan of which nothing was done yet
    is replaced. An index that cannot be migrated is refused with the reason.

    Example: funnel migrate plan films --fields title,overview --shards 2
    """
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.migrating.planning import plan_migration, save_plan

    client = connect(settings)
    names = None if fields is None else listed(fields)
    with terminal_progress() as progress:
        planned = plan_migration(
            client,
            alias,
            text_fields=names,
            sparse_model="" if sparse_model == _NONE else sparse_model,
            dense_model="" if dense_model == _NONE else dense_model,
            max_tokens=max_tokens,
            slot=slot,
            shards=shards,
            target=target,
            measured=not no_measure,
            force=force,
            threads=settings.threads,
            progress=progress,
        )
    if not dry_run:
        save_plan(client, planned.migration)
    emit(
        {**planned.to_dict(), "saved": not dry_run},
        output=output,
        table=lambda console: _print(console, planned, saved=not dry_run),
    )


def _print(console: Console, planned: PlannedMigration, *, saved: bool) -> None:
    report = planned.report
    console.print(key_values(_summary(planned)))
    _section(console, "text that is encoded", _fields(report))
    _section(console, "added to the mapping", _diff(report.mapping_diff))
    _section(console, "settings", _settings(report))
    _section(console, "not touched", _lines(report.untouched))
    _section(console, "to know before", _lines(report.risks))
    command = report.next_command if saved else "the same without --dry-run"
    what = "stored; nothing is changed yet" if saved else "nothing was stored"
    console.print(f"\n{what}; next: [bold]{command}[/bold]")


def _section(console: Console, title: str, content: Table | Text | Group) -> None:
    console.print(f"\n[bold]{title}[/bold]")
    console.print(content)


def _summary(planned: PlannedMigration) -> dict[str, object]:
    from opensearch_funnel.migrating.planning.room import in_bytes

    made, report = planned.migration, planned.report
    sizes, times, texts = report.sizes, report.times, report.texts
    before, after = report.shards
    slots = {
        name: " and ".join(by["model"] for by in legs.values())
        for name, legs in report.slots.items()
    }
    summary: dict[str, object] = {
        "alias": made.alias,
        "from": f"{made.source}: {report.documents:,} documents, {in_bytes(sizes.primaries_now)}",
        "to": made.target,
        "shards": f"{before}" if before == after else f"{before} → {after}",
        "aliases that move": ", ".join(sorted(report.aliases)),
        "slot": f"{made.slot}: {slots[made.slot]}",
    }
    if made.kept_slots:
        summary["slots kept"] = ", ".join(f"{name}: {slots[name]}" for name in made.kept_slots)
    summary["tokens"] = (
        f"{texts.tokens:,.0f} a document ({texts.counted_by}), of which {texts.limit} are read; "
        f"{texts.cut:.0%} have more"
    )
    if times is not None:
        summary["time"] = f"{_time(times.hours)} at {times.rate:,.1f} documents/s, measured here"
    if sizes.primaries_after is not None and sizes.a_document is not None:
        free = "" if sizes.free is None else f"; {in_bytes(sizes.free)} are free"
        summary["room"] = (
            f"about {in_bytes(sizes.primaries_after)} ({in_bytes(sizes.a_document)} a document "
            f"more), and {sizes.replicas} replicas{free}"
        )
    if report.templates:
        summary["templates"] = f"{', '.join(report.templates)} match and add nothing"
    return summary


def _time(hours: float) -> str:
    seconds = hours * _SECONDS
    if seconds < _MINUTES:
        return f"{seconds:.0f} s"
    if seconds < _SECONDS:
        return f"{seconds / _MINUTES:.0f} min"
    return f"{hours:,.1f} h"


def _fields(report: PlanReport) -> Table:
    table = Table("field", "encoded", "tokens", "has text", "why")
    for one in report.texts.fields:
        table.add_row(
            one.path,
            "yes" if one.taken else "no",
            f"{one.tokens:,.0f}",
            f"{one.share:.0%}",
            one.why,
        )
    return table


def _settings(report: PlanReport) -> Table:
    changes = report.settings
    table = Table("setting", "now", "then", "")
    for name, (before, after) in changes.changed.items():
        table.add_row(name, "—" if before is None else str(before), str(after), "changed")
    for name, value in changes.held_back.items():
        table.add_row(name, "", str(value), "while documents are copied")
    for name, why in changes.left_out.items():
        table.add_row(name, "", "—", why)
    table.add_row(f"{len(changes.taken_over)} others", "", "", "taken over")
    return table


def _diff(text: str) -> Text:
    shown = Text()
    for line in text.splitlines():
        style = {"+": "green", "-": "red"}.get(line[:1], "dim")
        shown.append(f"{line}\n", style=style)
    return shown


def _lines(lines: tuple[str, ...]) -> Group:
    return Group(*(Text(f"• {line}") for line in lines))
