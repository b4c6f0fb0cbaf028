"""A run drawn from its log: how the loss fell, and what the looks at dev queries found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import InputError, MissingExtraError

_LINES_AROUND = 4
_WIDE = 10.0
"""From this ratio of the highest loss to the lowest on, the loss has a logarithmic scale."""

_Line = Mapping[str, Any]


def read_log(path: Path) -> list[_Line]:
    """Read the ``log.jsonl`` of a run.

    A line that a kill cut short is passed over. Where a run went back to a checkpoint, what it had
    noted beyond is left out: those weights are lost, and their steps were taken again.

    Returns:
        Lines with a ``step``, which never falls.

    Raises:
        InputError: there is no such file.
    """
    if not path.is_file():
        raise InputError(f"{path} is missing: name the --out of a run")
    found: list[_Line] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if not isinstance(value, dict) or "step" not in value:
            continue
        while found and found[-1]["step"] > value["step"]:
            found.pop()
        found.append(value)
    return found


def running_mean(values: Sequence[float], *, around: int) -> list[float]:
    """Return the mean of each value and so many before and behind it.

    Near an end there are as few on both sides as the nearer end has, so that the mean does not lag.

    Example:
        >>> running_mean([4.0, 2.0, 0.0, 10.0], around=1)
        [4.0, 2.0, 4.0, 10.0]
    """
    found = []
    for place in range(len(values)):
        reach = min(around, place, len(values) - 1 - place)
        window = values[place - reach : place + reach + 1]
        found.append(sum(window) / len(window))
    return found


def draw_loss(log: Path, path: Path) -> None:
    """Draw the log of a run into a file.

    Args:
        log: the run's ``log.jsonl``.
        path: where to; the ending says the format.

    Raises:
        InputError: the log is missing or holds no loss, or the file cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    figure = loss_figure(read_log(log), title=log.resolve().parent.name)
    try:
        figure.savefig(path, dpi=120)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def loss_figure(lines: Sequence[_Line], *, title: str) -> Any:
    """Draw the lines of a log.

    The loss has a running mean, and the learning rate behind it; below, where there was a look at
    dev queries, each look is a point, beside the level of the BM25 that it reranked.

    Args:
        lines: what ``read_log`` gives.
        title: above it all.

    Returns:
        A ``matplotlib.figure.Figure``.

    Raises:
        InputError: no line has a loss.
        MissingExtraError: matplotlib is not installed.
    """
    losses = _column(lines, "loss")
    if not losses:
        raise InputError("the log has no loss to draw yet")
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", extra="train") from error
    looks = _looks(lines)
    figure = Figure(figsize=(9, 7 if looks else 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = figure.subplots(2 if looks else 1, 1, sharex=True, squeeze=False)[:, 0]
    _draw_losses(panels[0], losses, rates=_column(lines, "rate"))
    if looks:
        _draw_looks(panels[1], looks)
    panels[-1].set_xlabel("step")
    return figure


def _column(lines: Sequence[_Line], name: str) -> list[tuple[int, float]]:
    return [(line["step"], line[name]) for line in lines if name in line]


def _draw_losses(
    axes: Any, losses: Sequence[tuple[int, float]], *, rates: Sequence[tuple[int, float]]
) -> None:
    steps, values = zip(*losses, strict=True)
    axes.plot(steps, values, ".-", color="C0", alpha=0.4, label="loss, of up to 100 steps a line")
    mean = running_mean(values, around=_LINES_AROUND)
    axes.plot(
        steps, mean, color="C0", lw=2, label=f"running mean, {_LINES_AROUND} lines on each side"
    )
    if min(values) > 0 and max(values) / min(values) > _WIDE:
        axes.set_yscale("log")
    axes.set_ylabel("loss")
    axes.grid(visible=True, which="both", alpha=0.2)
    axes.legend(loc="upper right", fontsize=8)
    if rates:
        behind = axes.twinx()
        behind.plot(*zip(*rates, strict=True), color="grey", alpha=0.4, lw=1)
        behind.set_ylabel("learning rate", color="grey")
        behind.set_ylim(bottom=0)
        behind.tick_params(axis="y", colors="grey", labelsize=8)


def _looks(lines: Sequence[_Line]) -> dict[str, list[tuple[int, Mapping[str, float]]]]:
    """Return the looks by what they are called; a look that was noted twice counts once."""
    found: dict[str, dict[int, Mapping[str, float]]] = {}
    for line in lines:
        for name, figures in _figures_in(line):
            found.setdefault(name, {})[line["step"]] = figures
    return {name: sorted(at.items()) for name, at in found.items()}


def _figures_in(line: _Line) -> Iterator[tuple[str, Mapping[str, float]]]:
    for name, value in line.items():
        if isinstance(value, dict) and "reranked" in value:
            yield name, value


def _draw_looks(axes: Any, looks: Mapping[str, list[tuple[int, Mapping[str, float]]]]) -> None:
    for number, (name, points) in enumerate(looks.items()):
        colour = f"C{number + 1}"
        steps, figures = zip(*points, strict=True)
        axes.errorbar(
            steps,
            [one["reranked"] for one in figures],
            yerr=[one["gain_95"] for one in figures],
            fmt="o",
            color=colour,
            ecolor=(colour, 0.4),
            capsize=3,
            label=name,
        )
        axes.axhline(figures[-1]["bm25"], color=colour, ls="--", lw=1)
    axes.set_ylabel("nDCG@10 of a look\n(dashed: BM25; bars: 95 % of the gain)")
    axes.grid(visible=True, alpha=0.2)
    axes.legend(loc="best", fontsize=8)
