"""``funnel judgments agreement``: how far two judges agree."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.judgments.sources import (
    format_option,
    queries_option,
    read_source,
    split_option,
    strict_option,
    tell,
    told_format,
)
from opensearch_funnel.cli.output import emit, output_option, print_lines

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.agreement import Agreement
    from opensearch_funnel.evaluating.formats.model import Judgments


@click.command()
@click.argument("first")
@click.argument("second")
@format_option("--first-format", "first_format", "What FIRST is;")
@format_option("--second-format", "second_format", "What SECOND is;")
@split_option
@queries_option
@strict_option
@output_option
def agreement(
    *,
    first: str,
    second: str,
    first_format: str | None,
    second_format: str | None,
    split: str,
    queries: Path | None,
    strict: bool,
    output: str,
) -> None:
    """Compare two judges on the documents that both judged.

    Cohen's kappa: 0 is what chance gives, 1 full agreement; with linear weights, grades that lie
    near each other disagree less. The table has a row a grade of FIRST, a column a grade of
    SECOND.

    Example: funnel judgments agreement by-hand.csv by-model.csv
    """
    from opensearch_funnel.evaluating.agreement import agreement as compared

    def read(name: str, given: str | None) -> Judgments:
        found = read_source(
            name, format_name=told_format(name, given), split=split, queries=queries
        )
        tell(found.findings, strict=strict)
        return found.judgments

    result = compared(read(first, first_format), read(second, second_format))
    emit(
        result.to_json(),
        output=output,
        table=lambda console: print_agreement(result, console=console),
    )


def print_agreement(result: Agreement, *, console: Console) -> None:
    """Print the table of two judges and their kappas."""
    from opensearch_funnel.evaluating.formats.grades import plain

    grades = [plain(grade) for grade in result.grades]
    table = Table("", *grades)
    for grade, row in zip(grades, result.confusion, strict=True):
        table.add_row(grade, *(f"{count:,}" for count in row))
    console.print(table)
    alone = f"the first alone {result.only_first:,}, by the second alone {result.only_second:,}"
    kappas = f"kappa {_told(result.kappa)}, linear-weighted kappa {_told(result.weighted_kappa)}"
    told = (
        f"judged by both {result.pairs:,}, by {alone}",
        f"same grade {result.agreed:.1%}, {kappas}",
    )
    print_lines(console, told)


def _told(kappa: float | None) -> str:
    return "undefined (one grade for all)" if kappa is None else f"{kappa:.3f}"
