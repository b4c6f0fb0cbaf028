"""The differences between two systems drawn: every query, the most gained first."""

from __future__ import annotations

from io import BytesIO

from opensearch_funnel.core.errors import MissingExtraError
from opensearch_funnel.evaluating.comparing import Verdict

_BETTER, _WORSE = "#2a78b5", "#c8553d"


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
    edges = [rank + 0.5 for rank in range(len(each) + 1)]
    for colour, label, side in (
        (_BETTER, f"better: {found.wins:,}", [max(value, 0.0) for value in each]),
        (_WORSE, f"worse: {found.losses:,}", [min(value, 0.0) for value in each]),
    ):
        axes.stairs(side, edges, fill=True, color=colour, label=label)
    axes.axhline(0.0, color="black", linewidth=0.8)
    axes.axhline(mean, color="black", linestyle="--", linewidth=1, label=f"mean: {mean:+.4f}")
    axes.axhspan(low, high, color="black", alpha=0.15, linewidth=0, label="its 95 % interval")
    if not found.wins + found.losses:
        axes.set_ylim(-1.0, 1.0)  # else what is drawn of nothing is rounding, magnified
    axes.set_xlim(edges[0], edges[-1])
    axes.set_xlabel(f"queries, sorted by difference ({found.ties:,} tied)")
    axes.set_ylabel(f"difference in {verdict.measure}")
    axes.grid(visible=True, axis="y", alpha=0.2)
    axes.legend(loc="best", fontsize=8)
    written = BytesIO()
    # Without the salt and the date each run would write other bytes.
    with rc_context({"svg.hashsalt": "funnel"}):
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return written.getvalue()
