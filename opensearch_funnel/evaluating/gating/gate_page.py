"""A gate as a person reads it: lines for a terminal, Markdown for a comment of CI."""

from __future__ import annotations

from collections.abc import Iterator

from opensearch_funnel.evaluating.columns import aligned
from opensearch_funnel.evaluating.gating.checks import Gate
from opensearch_funnel.evaluating.pages import Block, Heading, Paragraph, Table, as_markdown

_NOTHING = "-"


def gate_lines(gate: Gate) -> Iterator[str]:
    """Lay out a gate as lines: a line a check, what to know, then a line for each failure.

    Example:
        >>> from opensearch_funnel.evaluating.gating.checks import Check
        >>> slow = Check(name="bm25 p50", outcome="failed", finding="grew", cells=["9 ms"])
        >>> for line in gate_lines(Gate(title="films", columns=["now"], checks=[slow])):
        ...     print(line)
        films
        <BLANKLINE>
        check     now   outcome
        bm25 p50  9 ms  failed
        <BLANKLINE>
        failed: bm25 p50 grew
        failed: 1 of 1 checks
    """
    yield gate.title
    if gate.checks:
        yield ""
        yield from aligned([_header(gate), *_rows(gate)])
    yield ""
    yield from (f"warning: {warning}" for warning in gate.warnings)
    yield from (f"note: {note}" for note in gate.notes)
    yield from (check.line() for check in gate.failed)
    yield gate.verdict


def gate_markdown(gate: Gate) -> str:
    """Return a gate as Markdown: the verdict first, then failures, figures and notes."""
    return as_markdown(f"Gate: {gate.title}", [*_page(gate)], pictures={})


def _page(gate: Gate) -> Iterator[Block]:
    yield Paragraph(_sentence(gate.verdict))
    for check in gate.failed:
        yield Paragraph(_sentence(check.line()))
    for warning in gate.warnings:
        yield Paragraph(_sentence(f"warning: {warning}"))
    if gate.checks:
        header = _header(gate)
        yield Heading("Checks")
        yield Table(header, _rows(gate), frozenset({0, len(header) - 1}))
    for note in gate.notes:
        yield Paragraph(_sentence(f"note: {note}"))


def _sentence(line: str) -> str:
    return f"{line[:1].upper()}{line[1:]}."


def _header(gate: Gate) -> tuple[str, ...]:
    return ("check", *gate.columns, "outcome")


def _rows(gate: Gate) -> list[tuple[str, ...]]:
    width = len(gate.columns)
    return [
        (check.name, *[*check.cells, *[_NOTHING] * width][:width], check.outcome)
        for check in gate.checks
    ]
