"""The differences between two systems drawn: every query, the most gained first."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import BytesIO
from itertools import pairwise

import numpy as np

from opensearch_funnel.core.errors import MissingExtraError
from opensearch_funnel.evaluating.comparing import Verdict

_BETTER, _WORSE = "#2a78b5", "#c8553d"
_MOST_STEPS = 250
# A hundredth of a point is less than anybody sees.
_OUTLINE = re.compile(rb' d="[^"]*"')
_DIGITS = re.compile(rb"(\d\.\d\d)\d+")


def require_plots() -> None:
    """Say that nothing can be drawn before long work, not after it.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib as _  # noqa: F401, ICN001 - only whether it is there
    except ImportError as error:
        raise MissingExtraError("matplotlib", extra="evaluation") from error


def draw_differences(verdict: Verdict) -> bytes:
    """Draw the difference of each query as a bar, sorted, with the mean and its interval.

    Of very many queries not every one is drawn: a drawing has not more columns than that.

    No name is drawn: names may hold letters that the plot's font does not have.

    Args:
        verdict: a pair of systems by one measure.

    Returns:
        An SVG; the same verdict gives the same bytes.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_plots()
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    each = sorted(verdict.values.values(), reverse=True)
    mean = verdict.difference.mean(verdict.measure)
    low, high = verdict.difference.interval(verdict.measure)
    found = verdict.outcomes
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()
    for colour, label, side in (
        (_BETTER, f"better: {found.wins:,}", [max(value, 0.0) for value in each]),
        (_WORSE, f"worse: {found.losses:,}", [min(value, 0.0) for value in each]),
    ):
        axes.stairs(*steps(side), fill=True, color=colour, label=label)
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.axhline(mean, color="black", linestyle="--", linewidth=1, label=f"mean: {mean:+.4f}")
    axes.axhspan(low, high, color="black", alpha=0.15, linewidth=0, label="its 95 % interval")
    if not found.wins + found.losses:
        axes.set_ylim(-1.0, 1.0)  # else what is drawn of nothing is rounding, magnified
    axes.set_xlim(0.5, len(each) + 0.5)
    axes.set_xlabel(f"queries, sorted by difference ({found.ties:,} tied)")
    axes.set_ylabel(f"difference in {verdict.measure}")
    axes.grid(visible=True, axis="y", alpha=0.2)
    axes.legend(loc="best", fontsize=8)
    written = BytesIO()
    # Without the salt and the date each run would write other bytes; letters drawn as outlines
    # would be most of them.
    with rc_context({"svg.hashsalt": "funnel", "svg.fonttype": "none"}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return _OUTLINE.sub(lambda one: _DIGITS.sub(rb"\1", one[0]), written.getvalue())


def steps(values: Sequence[float], *, most: int = _MOST_STEPS) -> tuple[list[float], list[float]]:
    """Return sorted values as the steps of a staircase: equal neighbours make one step.

    Args:
        values: sorted.
        most: of more values, so many are taken at equal distances, the first and the last too.

    Returns:
        The height of each step, and where the steps begin and the last one ends; the value of
        rank r lies from r - 0.5 to r + 0.5.

    Example:
        >>> steps([0.5, 0.0, 0.0, -1.0])
        ([0.5, 0.0, -1.0], [0.5, 1.5, 3.5, 4.5])
    """
    taken = np.unique(np.linspace(0, len(values) - 1, min(len(values), most)).round().astype(int))
    heights: list[float] = []
    edges: list[float] = []
    for before, place in pairwise([-1, *map(int, taken)]):
        if not heights or values[place] != heights[-1]:
            heights.append(values[place])
            edges.append((before + place) / 2 + 1 if before >= 0 else 0.5)
    return heights, [*edges, len(values) + 0.5]
