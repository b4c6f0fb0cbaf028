"""``funnel doctor``: what is wrong, and the command that puts it right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.markup import escape

from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.settings import Settings, http_address

if TYPE_CHECKING:
    from opensearch_funnel.build.doctor.findings import Finding, Level, Report

_SYMBOLS: dict[Level, str] = {
    "ok": "[green]✓[/]",
    "skipped": "[dim]-[/]",
    "warning": "[yellow]![/]",
    "error": "[red]✗[/]",
}


def _an_address(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Take an address as the settings do."""
    try:
        return None if value is None else http_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.option(
    "--index", default=None, help="Look at this index or alias alone  [default: every pipeline]"
)
@click.option(
    "--service-url",
    default=None,
    callback=_an_address,
    help="Where this machine reaches funnel serve  [default: where each pipeline calls it]",
)
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@output_option
@engine_options
def doctor(
    settings: Settings, *, index: str | None, service_url: str | None, strict: bool, output: str
) -> int:
    """Look for what is wrong with the cluster, its pipelines, the service, this installation.

    Nothing is changed. Each finding has the command that puts it right, to be pasted into a
    shell. What your user may not read is skipped, and the missing right named. Exits with 1 where
    something is wrong; warnings alone are fine without --strict.

    Example: funnel doctor --index films
    """
    from opensearch_funnel.build.doctor.examining import examine

    with terminal_progress() as progress:
        report = examine(settings, index=index, service_url=service_url, progress=progress)
    failed = report.failed(strict=strict)
    emit(
        {"url": settings.url, "index": index, "failed": failed, **report.to_dict()},
        output=output,
        table=lambda console: _print(report, console=console),
    )
    return 1 if failed else 0


def _print(report: Report, *, console: Console) -> None:
    """Print one finding a line, and its fix below it: whole, so that it can be copied."""
    width = max(len(finding.check) for finding in report.findings)
    for finding in report.findings:
        _line(console, f"{_SYMBOLS[finding.level]} {finding.check:{width}}  {_said(finding)}")
        if finding.level == "ok":
            continue
        if finding.fix:
            _line(console, f"    fix: [bold]{escape(finding.fix)}[/]")
        if finding.advice:
            _line(console, f"    [dim]note: {escape(finding.advice)}[/]")
    counts = report.counts
    _line(
        console,
        f"{counts['error']} errors, {counts['warning']} warnings, {counts['skipped']} not looked "
        f"at, {counts['ok']} fine",
    )


def _said(finding: Finding) -> str:
    """Return a finding with what it is about, unless it names that itself."""
    if not finding.subject or finding.subject in finding.finding:
        return escape(finding.finding)
    return escape(f"{finding.subject}: {finding.finding}")


def _line(console: Console, text: str) -> None:
    console.print(text, highlight=False, soft_wrap=True)
