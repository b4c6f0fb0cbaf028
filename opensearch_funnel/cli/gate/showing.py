"""How every gate prints, and what it exits with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import rich_click as click

from opensearch_funnel.cli.output import emit, print_lines

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.gating.checks import Gate

Command = TypeVar("Command", bound=Callable[..., Any])


def gate_output_option(command: Command) -> Command:
    """Add ``--output table|json|markdown`` to a command."""
    return click.option(
        "--output",
        type=click.Choice(["table", "json", "markdown"]),
        default="table",
        show_default=True,
        help="Lines to read, one JSON object to parse, or Markdown for a comment.",
    )(command)


def show(gate: Gate, *, output: str) -> int:
    """Print a gate; return 0 where it is open, and 1 where it is not."""
    from opensearch_funnel.evaluating.gating.gate_page import gate_lines, gate_markdown

    if output == "markdown":
        sys.stdout.write(gate_markdown(gate))
    else:
        emit(
            gate.to_json(),
            output=output,
            table=lambda console: print_lines(console, gate_lines(gate)),
        )
    return 0 if gate.passed else 1
