"""The study drawn: what ``auto`` gains, how its weights follow the evidence, ablations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.fusion_study.ablating import CEILING
from benchmarks.fusion_study.cases import KINDS
from benchmarks.fusion_study.folds import BEST_LEG, DEFAULT, EQUAL, RRF
from benchmarks.fusion_study.signals import Floats

Figures = Mapping[str, Any]

_COMPARED = {
    BEST_LEG: ("its best leg", "#c8553d"),
    RRF: ("RRF", "#8a6fb0"),
    EQUAL: ("min-max 1:1:1", "#5d9e6f"),
    DEFAULT: ("min-max 1:0.5:1", "#2a78b5"),
}
_LOOKS = {"natural": "#2a78b5", "permuted": "#c8553d", "degraded": "#d9a441"}
_POINTS = 120
_DPI = 110


def draw(study: Figures, folder: Path) -> list[Path]:
    """Draw everything into a folder.

    Args:
        study: a whole one, not a quick one.
        folder: where to; it exists.

    Returns:
        The files that were written.
    """
    drawn: Mapping[str, Callable[[Any, Figures], None]] = {
        "gains": _gains,
        "weights": _weights,
        "ablations": _ablations,
    }
    return [_written(folder / f"{name}.png", study, of) for name, of in drawn.items()]


def _written(path: Path, study: Figures, of: Callable[[Any, Figures], None]) -> Path:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    FigureCanvasAgg(figure)
    of(figure, study)
    written = BytesIO()
    # The same figures give the same bytes.
    figure.savefig(written, format="png", dpi=_DPI, metadata={"Software": None})
    path.write_bytes(written.getvalue())
    return path


def _gains(figure: Any, study: Figures) -> None:
    """Draw what ``auto`` gains on each set as it is, over each reference, with intervals."""
    rows = [row for row in study["rows"] if row["kind"] == "natural"]
    figure.set_size_inches(8.5, 0.62 * len(rows) + 1.2)
    axes = figure.subplots()
    offsets = np.linspace(-0.27, 0.27, len(_COMPARED))
    for offset, (name, (label, colour)) in zip(offsets, _COMPARED.items(), strict=True):
        gains = [row["gains"][name] for row in rows]
        means = np.array([gain["mean"] for gain in gains])
        ends = np.array([[gain["low"], gain["high"]] for gain in gains]).T
        axes.errorbar(
            means,
            np.arange(len(rows)) + offset,
            xerr=np.abs(ends - means),
            fmt="o",
            markersize=4,
            capsize=2,
            linewidth=1.2,
            color=colour,
            label=label,
        )
    axes.axvline(0.0, color="black", linewidth=0.8)
    axes.set_yticks(range(len(rows)), [f"{row['part']}\n{row['queries']} queries" for row in rows])
    axes.tick_params(axis="y", labelsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("gain of auto in nDCG@10, with its 95 % interval")
    axes.grid(visible=True, axis="x", alpha=0.2)
    axes.legend(title="over", fontsize=8, loc="best")


def _weights(figure: Any, study: Figures) -> None:
    """Draw the dense leg's share of each query against two pieces of evidence."""
    shown = {part: own for part, own in study["shares"].items() if part.endswith("/test")}
    figure.set_size_inches(10, 5.2)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, signal in zip(panels, ("match", "gap"), strict=True):
        for number, (part, own) in enumerate(shown.items()):
            axes.scatter(
                own[signal][:_POINTS],
                own["weight"][:_POINTS],
                s=9,
                alpha=0.55,
                linewidths=0,
                color=f"C{number}",
                label=part.removesuffix("/test"),
            )
        axes.grid(visible=True, alpha=0.2)
        axes.set_ylim(0, 1)
    panels[0].set_xlabel("match: how much of the query the best document holds")
    panels[1].set_xlabel("gap of the dense leg less that of the others, in standard deviations")
    panels[0].set_ylabel("share of the dense leg, one query a point")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, markerscale=2.5)


def _ablations(figure: Any, study: Figures) -> None:
    """Draw how far each way to weigh is from ``auto``, and by how much it misses its goals."""
    ways = study["ablations"]
    auto = next(way for way in ways if way["name"] == "auto")
    others = [way for way in ways if way["name"] != "auto" and way["means"] != auto["means"]]
    left_out = [way for way in others if way["name"] in (RRF, CEILING)]
    others = [way for way in others if way not in left_out]
    figure.set_size_inches(11, 0.36 * len(others) + 1.9)
    means, short = figure.subplots(1, 2, sharey=True)

    def apart(way: Mapping[str, Any]) -> str:
        own = (f"{way['means'][kind] - auto['means'][kind]:+.3f} {kind}" for kind in KINDS)
        return f"{way['name']}: {', '.join(own)}"

    places = np.arange(len(others) + 1)
    left: Floats = np.zeros(len(places))
    for number, kind in enumerate(KINDS):
        worth = [way["means"][kind] - auto["means"][kind] for way in others]
        height = places[1:] + (number - 1) * 0.26
        means.barh(height, worth, height=0.25, color=_LOOKS[kind], label=kind)
        missed = np.array([way["short"][kind] for way in (auto, *others)])
        short.barh(places, missed, left=left, height=0.6, color=_LOOKS[kind], label=kind)
        left = left + missed
    means.axvline(0.0, color="black", linewidth=0.8)
    means.set_yticks(places, ["auto", *(way["name"] for way in others)], fontsize=8)
    means.invert_yaxis()
    means.set_xlabel("mean nDCG@10 less that of auto")
    figure.suptitle("too long to be drawn: " + "; ".join(map(apart, left_out)), fontsize=8)
    short.set_xlabel("goals missed by, all cases together")
    for axes in (means, short):
        axes.grid(visible=True, axis="x", alpha=0.2)
    short.legend(fontsize=8, loc="best")
