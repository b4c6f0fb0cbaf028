"""Models drawn: how good against how large, and how good against how slow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import InputError, MissingExtraError
from opensearch_funnel.evaluating.model_figures import ModelFigures

_QUALITY = "nDCG@10"
_ENDINGS = (".png", ".svg", ".pdf")


def draw_models(found: Sequence[ModelFigures], path: Path, *, title: str) -> None:
    """Draw quality against bytes a document and against the time to encode a query.

    A dense model has a mark for each form in which the engine kept its vectors; bars are 95 %
    intervals of the model itself.

    Args:
        found: models that were measured on one data set.
        path: where to; the ending says the format.
        title: above both plots.

    Raises:
        InputError: the ending is none that can be drawn, or the file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    if path.suffix not in _ENDINGS:
        raise InputError(f"{path} cannot be drawn: end it with {', '.join(_ENDINGS)}")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", extra="evaluation") from error
    figure = Figure(figsize=(11, 5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    by_size, by_speed = figure.subplots(1, 2, sharey=True)
    for number, model in enumerate(found):
        colour = f"C{number % 10}"
        quality = model.measures[_QUALITY]
        low, high = model.intervals[_QUALITY]
        bars = {"yerr": [[quality - low], [high - quality]], "capsize": 3, "alpha": 0.8}
        look: dict[str, Any] = {"color": colour, "label": f"{model.name} {model.precision}"}
        if model.bytes_per_document:
            by_size.errorbar([model.bytes_per_document], [quality], fmt="o", **look, **bars)
        for form in model.forms:
            place = (form.searched_bytes_per_document, form.measures[_QUALITY])
            by_size.plot(*place, "x", color=colour)
            by_size.annotate(form.form, place, textcoords="offset points", xytext=(4, -9), size=8)
        by_speed.errorbar([model.query_ms[0]], [quality], fmt="o", **look, **bars)
    by_size.set(xscale="log", xlabel="bytes a document that a search goes through")
    by_size.set_ylabel(f"{_QUALITY}, model alone, exact (o) or by the engine (x)")
    by_speed.set_xlabel("milliseconds (median) to encode a query, or to rerank 50 documents")
    by_speed.set_xlim(left=0)
    by_speed.legend(loc="best", fontsize=8)
    for axes in (by_size, by_speed):
        axes.grid(visible=True, which="both", alpha=0.2)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
