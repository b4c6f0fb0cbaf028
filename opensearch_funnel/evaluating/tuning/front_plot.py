"""What plans reach against what they cost, drawn."""

from __future__ import annotations

from io import BytesIO
from typing import Any

from opensearch_funnel.evaluating.difference_plot import require_plots
from opensearch_funnel.evaluating.tuning.search import Trial, Tuning

_TRIED, _FRONT, _CHOSEN, _PRESENT = "#b9c4cc", "#2a78b5", "#c8553d", "#1a1a1a"


def draw_front(found: Tuning) -> bytes:
    """Draw each plan that was tried on all queries, the front, the present and the chosen one.

    Args:
        found: of a search.

    Returns:
        An SVG; the same search gives the same bytes.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_plots()
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots()

    def marks(trials: list[Trial]) -> tuple[list[float], list[float]]:
        return [trial.cost for trial in trials], [trial.mean for trial in trials]

    whole = [trial for trial in found.trials if trial.queries == found.present.queries]
    # As a picture inside the drawing: thousands of marks would be most of a report's size.
    dots: dict[str, Any] = {"color": _TRIED, "markersize": 4, "rasterized": True}
    axes.plot(*marks(whole), ".", label=f"tried on all: {len(whole):,}", **dots)
    axes.plot(*marks([*found.front]), "o-", color=_FRONT, label="no cheaper plan is as good")
    axes.plot(*marks([found.present]), "x", color=_PRESENT, markersize=9, label="present")
    label = "chosen" if found.proposed else "best in reach, not surely better"
    axes.plot(*marks([found.chosen]), "*", color=_CHOSEN, markersize=13, label=label)
    if found.limit is not None:
        axes.axvline(found.limit, color="black", linestyle="--", linewidth=1, label="limit")
    axes.set_xlim(left=0.0)
    axes.set_xlabel("milliseconds a query, added up from what its parts took")
    axes.set_ylabel("nDCG@10 on the queries tuned on")
    axes.grid(visible=True, alpha=0.2)
    axes.legend(loc="best", fontsize=8)
    written = BytesIO()
    # Without the salt and the date each run would write other bytes.
    with rc_context({"svg.hashsalt": "funnel"}):
        figure.savefig(written, format="svg", dpi=150, metadata={"Date": None, "Creator": None})
    return written.getvalue()
