"""How every command prints: a table for people, or exactly one JSON object for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, TypeVar

import orjson
import rich_click as click
from rich.console import Console
from rich.table import Table

OutputFormat = Literal["table", "json"]
Command = TypeVar("Command", bound=Callable[..., Any])


def output_option(command: Command) -> Command:
    """Add ``--output table|json`` to a command."""
    return click.option(
        "--output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="A table to read, or one JSON object to parse.",
    )(command)


def emit(
    result: Mapping[str, Any],
    *,
    output: str,
    table: Callable[[Console], None] | None = None,
) -> None:
    """Print a command's result to standard output.

    Args:
        result: what the command found or did; printed as one JSON object with ``json``.
        output: ``table`` or ``json``.
        table: prints the same for a person; without it keys and values are listed.
    """
    if output == "json":
        option = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_NON_STR_KEYS
        sys.stdout.write(orjson.dumps(result, option=option, default=str).decode() + "\n")
        return
    console = Console()
    if table is not None:
        table(console)
        return
    console.print(key_values(result))


def print_lines(console: Console, lines: Iterable[str]) -> None:
    """Print lines as they are: not wrapped, not coloured, no markup."""
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def key_values(result: Mapping[str, Any]) -> Table:
    """Lay out a flat result as two columns."""
    grid = Table.grid(padding=(0, 2))
    for key, value in result.items():
        grid.add_row(str(key), str(value))
    return grid
