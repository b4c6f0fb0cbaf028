"""A comparison as a report: figures, verdicts, drawings, and the queries that moved most."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.comparing import LEVEL, Compared, Comparison
from opensearch_funnel.evaluating.difference_plot import draw_differences, require_plots
from opensearch_funnel.evaluating.measures import bootstrap_interval, mean
from opensearch_funnel.evaluating.moved_page import how_to_read, moved_blocks
from opensearch_funnel.evaluating.pages import (
    Block,
    Heading,
    Paragraph,
    Picture,
    Table,
    as_html,
    as_markdown,
)
from opensearch_funnel.evaluating.significance import EXACT_UP_TO, SAMPLES
from opensearch_funnel.evaluating.whole_files import write_whole

_ENDINGS = (".md", ".html")
_SMALL_P = 1e-4
# Stands where an effect has no value.
_NOTHING = "-"


def check_report(path: Path) -> None:
    """Refuse a report that could not be written, before long work.

    Raises:
        InputError: the ending is none of ``.md`` and ``.html``.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix not in _ENDINGS:
        raise InputError(f"{path} is no report: end it with {' or '.join(_ENDINGS)}")
    require_plots()


def write_report(comparison: Comparison, path: Path) -> list[Path]:
    """Write a comparison as one HTML file, or as Markdown with its drawings beside it.

    Args:
        comparison: what was found.
        path: where to; the ending says the format.

    Returns:
        The files, the report first.

    Raises:
        InputError: the ending is none that can be written, or a file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    check_report(path)
    blocks = [*page(comparison, drawn=True)]
    if path.suffix == ".html":
        files = {path: as_html(title(comparison), blocks).encode()}
    else:
        svgs = [block.svg for block in blocks if isinstance(block, Picture)]
        names = {svg: f"{path.stem}-{number}.svg" for number, svg in enumerate(svgs, start=1)}
        report = as_markdown(title(comparison), blocks, pictures=names).encode()
        files = {path: report, **{path.with_name(name): svg for svg, name in names.items()}}
    write_whole(files)
    return list(files)


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
