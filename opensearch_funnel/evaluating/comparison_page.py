"""A comparison as a report: figures, verdicts, drawings, and the queries that moved most."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from opensearch_funnel.evaluating.comparing import LEVEL, Compared, Comparison
from opensearch_funnel.evaluating.difference_plot import draw_differences
from opensearch_funnel.evaluating.measures import bootstrap_interval, mean
from opensearch_funnel.evaluating.moved_page import how_to_read, moved_blocks
from opensearch_funnel.evaluating.page_files import write_page
from opensearch_funnel.evaluating.pages import (
    Block,
    Heading,
    Paragraph,
    Picture,
    Table,
    as_markdown,
)
from opensearch_funnel.evaluating.significance import EXACT_UP_TO, SAMPLES

_SMALL_P = 1e-4
# Stands where an effect has no value.
_NOTHING = "-"


def write_report(comparison: Comparison, path: Path) -> list[Path]:
    """Write a comparison with a drawing of each verdict; as ``page_files.write_page``."""
    return write_page(path, title(comparison), [*page(comparison, drawn=True)])


def markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown without drawings, for a pull request or a chat."""
    return as_markdown(title(comparison), [*page(comparison)], pictures={})


def title(comparison: Comparison) -> str:
    """Return what a comparison is called."""
    names = ", ".join(one.name for one in comparison.systems)
    dataset = comparison.dataset
    return f"{names} on {dataset.name}/{dataset.split}"


def page(comparison: Comparison, *, drawn: bool = False) -> Iterator[Block]:
    """Lay out a comparison.

    Args:
        comparison: what was found.
        drawn: with a drawing of each verdict.
    """
    yield Paragraph(f"{len(comparison.dataset.queries):,} queries.")
    for note in comparison.notes:
        yield Paragraph(f"Note: {note}.")
    yield Heading("What each system reached")
    header, *rows = reached_rows(comparison)
    yield Table(header, rows)
    yield Paragraph("Means over queries with 95 % bootstrap intervals. " + _judged_note(comparison))
    yield Heading("Differences")
    yield Table(DIFFERENCE_COLUMNS, difference_rows(comparison), frozenset({0, 1, 9}))
    yield Paragraph(reading(comparison))
    if drawn:
        for verdict in comparison.verdicts:
            pair = f"{verdict.difference.system} over {verdict.difference.reference}"
            yield Heading(f"{pair}, {verdict.measure}")
            yield Picture(
                draw_differences(verdict),
                f"Difference of each query in {verdict.measure}, {pair}, sorted",
            )
    told = " ".join(filter(None, (how_to_read(comparison.moves), comparison.why_note)))
    if told:
        yield Heading("Why queries moved")
        yield Paragraph(told)
    for moves in comparison.moves:
        yield from moved_blocks(moves)


DIFFERENCE_COLUMNS = (
    "difference",
    "measure",
    "mean",
    "95 % interval",
    "p",
    "corrected p",
    "Cohen's d",
    "win/tie/loss",
    "changed",
    "verdict",
)


def reached_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Lay out what each system reached, a row each, below a row of names."""
    header = ("system", *map(str, comparison.measures), "judged@10")
    return [header, *map(_reached, comparison.systems)]


def difference_rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """Lay out every verdict, a row each, below ``DIFFERENCE_COLUMNS``."""
    rows: list[tuple[str, ...]] = []
    for verdict in comparison.verdicts:
        low, high = verdict.difference.interval(verdict.measure)
        rows.append(
            (
                f"{verdict.difference.system} over {verdict.difference.reference}",
                str(verdict.measure),
                f"{verdict.difference.mean(verdict.measure):+.4f}",
                f"{low:+.4f} to {high:+.4f}",
                _p(verdict.p),
                _p(verdict.corrected_p),
                _NOTHING if verdict.effect is None else f"{verdict.effect:+.2f}",
                str(verdict.outcomes),
                f"{verdict.outcomes.changed:.0%}",
                verdict.word,
            )
        )
    return rows


def reading(comparison: Comparison) -> str:
    """Say how the differences were tested."""
    tests = len(comparison.verdicts)
    return (
        "The mean of the per-query differences with its 95 % bootstrap interval; p of the "
        f"two-sided paired randomisation test ({SAMPLES:,} sign flips; all of them where at most "
        f"{EXACT_UP_TO} queries differ), then corrected by Holm for {tests} "
        f"{'test' if tests == 1 else 'tests'}. The verdict is by the corrected p and {LEVEL}: "
        "not shown means that this set does not tell the two apart, not that they are equal."
    )


def _reached(system: Compared) -> tuple[str, ...]:
    cells = []
    for values in system.values.values():
        low, high = bootstrap_interval(values)
        cells.append(f"{mean(values):.4f} ({low:.3f} to {high:.3f})")
    return (system.name, *cells, f"{system.judged:.2f}")


def _judged_note(comparison: Comparison) -> str:
    if min(one.judged for one in comparison.systems) > 1 - 1e-9:
        return "Every document among the first ten was judged."
    return (
        "A document that nobody judged counts as not relevant: where judged@10 is low, or differs "
        "between systems, look at Bpref and at condensed measures, too."
    )


def _p(value: float) -> str:
    return "< 0.0001" if value < _SMALL_P else f"{value:.4f}"
