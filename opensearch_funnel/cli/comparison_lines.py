"""What a comparison found, as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from opensearch_funnel.evaluating.columns import aligned

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.comparing import Comparison
    from opensearch_funnel.evaluating.moves import Move, Moves


def comparison_lines(comparison: Comparison) -> Iterator[str]:
    """Lay out means, verdicts and the queries that moved most.

    Lines and not tables: an interval that is cut off at the terminal's edge says something else.

    Args:
        comparison: what was found.
    """
    from opensearch_funnel.evaluating.comparison_page import (
        DIFFERENCE_COLUMNS,
        difference_rows,
        reached_rows,
        reading,
    )

    dataset = comparison.dataset
    yield f"{dataset.name}/{dataset.split}: {len(dataset.queries):,} queries"
    yield from (f"note: {note}" for note in comparison.notes)
    yield ""
    yield from aligned(reached_rows(comparison))
    yield ""
    yield from aligned([DIFFERENCE_COLUMNS, *difference_rows(comparison)])
    yield ""
    yield reading(comparison)
    for moves in comparison.moves:
        yield from _moved(moves)
    if comparison.why_note:
        yield ""
        yield comparison.why_note


def _moved(moves: Moves) -> Iterator[str]:
    pair = moves.difference
    for word, found in (("gained", moves.gained), ("lost", moves.lost)):
        if found:
            yield ""
            grades = "top 3 with grades, - where nobody judged"
            yield f"{pair.system} {word} most over {pair.reference}, {moves.measure}; {grades}"
        for move in found:
            text = " ".join(move.query.text.split())
            yield f"{move.difference:+.4f}  {move.query.query_id}: {text}"
            yield from (f"         {line}" for line in _sides(moves, move))
            yield from (f"         {line}" for line in _why(moves, move))


def _sides(moves: Moves, move: Move) -> Iterator[str]:
    from opensearch_funnel.evaluating.moved_page import first_relevant, top

    names = (moves.difference.reference, moves.difference.system)
    sides = (move.reference, move.system)
    yield from aligned(
        [
            (name, f"{side.value:.4f}", f"first relevant {first_relevant(side)}", top(side))
            for name, side in zip(names, sides, strict=True)
        ]
    )


def _why(moves: Moves, move: Move) -> Iterator[str]:
    """Say of the document that decides most how it came to its places."""
    from opensearch_funnel.evaluating.reasons import reason_lines

    names = (moves.difference.reference, moves.difference.system)
    for document in move.deciding[:1]:
        first, *rest = reason_lines(document, names=names)
        yield f"why: {first}"
        yield from (f"     {line}" for line in rest)
