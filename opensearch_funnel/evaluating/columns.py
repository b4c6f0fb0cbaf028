"""Rows of texts as lines whose columns line up."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a line for each row; nothing is cut off, however wide the terminal is.

    Example:
        >>> aligned([("leg", "alone"), ("bm25", "0.67")])
        ['leg   alone', 'bm25  0.67']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
