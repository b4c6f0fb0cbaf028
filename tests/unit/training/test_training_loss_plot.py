"""A run's plot, by what is drawn on its axes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.training.loss_plot import draw_loss, loss_figure, read_log, running_mean

FIRST_LOOK = {"bm25": 0.5, "reranked": 0.6, "gain": 0.1, "gain_95": 0.05, "queries": 9}
LOG: list[dict[str, Any]] = [
    {"step": 0, "minutes": 0.0, "device": "cpu", "data": {"judged_queries": 7}},
    {"step": 1, "minutes": 0.1, "loss": 4.0, "rate": 1e-4},
    {"step": 20, "minutes": 0.4, "loss": 2.0, "rate": 3e-4},
    {"step": 20, "minutes": 0.5, "films": FIRST_LOOK},
    {"step": 40, "minutes": 0.9, "loss": 1.0, "rate": 1e-5},
    {"step": 40, "minutes": 1.0, "films": {**FIRST_LOOK, "reranked": 0.7}, "papers": FIRST_LOOK},
]


def written(path: Path, *lines: dict[str, Any], cut: str = "") -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + cut, encoding="utf-8")
    return path


def lines_of(axes: Any) -> dict[str, list[tuple[float, float]]]:
    """What is drawn, by its label."""
    return {
        str(line.get_label()): list(zip(*(map(float, d) for d in line.get_data()), strict=True))
        for line in axes.get_lines()
    }


def test_loss_mean_and_rate_are_drawn_against_steps() -> None:
    losses, _, rates = loss_figure(LOG, title="a run").axes
    drawn = lines_of(losses)
    assert drawn["loss, of up to 100 steps a line"] == [(1, 4.0), (20, 2.0), (40, 1.0)]
    (mean,) = (points for label, points in drawn.items() if "running mean" in label)
    assert mean == [(1, 4.0), (20, pytest.approx(7 / 3)), (40, 1.0)]
    (rate,) = lines_of(rates).values()
    assert rate == [(1, 1e-4), (20, 3e-4), (40, 1e-5)]
    assert rates.get_lines()[0].get_alpha() < 0.5


def test_looks_are_points_beside_the_bm25_that_they_reranked() -> None:
    figure = loss_figure(LOG, title="a run")
    looks = figure.axes[1]
    points = {
        bars.get_label(): list(zip(*(map(float, d) for d in bars[0].get_data()), strict=True))
        for bars in looks.containers
    }
    assert points == {"films": [(20, 0.6), (40, 0.7)], "papers": [(40, 0.6)]}
    levels = [line for line in looks.get_lines() if line.get_linestyle() == "--"]
    assert [float(line.get_ydata()[0]) for line in levels] == [0.5, 0.5]
    bars = looks.containers[0][2][0].get_segments()
    assert [float(end[1]) for end in bars[0]] == [pytest.approx(0.55), pytest.approx(0.65)]
    assert figure.get_suptitle() == "a run"


def test_a_log_without_looks_or_rates_has_one_panel() -> None:
    lines = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.9}]
    (axes,) = loss_figure(lines, title="").axes
    assert axes.get_xlabel() == "step"
    assert axes.get_yscale() == "linear"


@pytest.mark.parametrize(("last", "scale"), [(1.0, "linear"), (0.1, "log"), (0.0, "linear")])
def test_a_loss_that_falls_far_has_a_scale_that_shows_it(last: float, scale: str) -> None:
    lines = [{"step": 1, "loss": 8.0}, {"step": 2, "loss": last}]
    assert loss_figure(lines, title="").axes[0].get_yscale() == scale


@pytest.mark.parametrize("cut", ['{"step": 60, "lo', "{", '{"loss": 3}', "[1]"])
def test_a_line_that_was_cut_short_is_passed_over(tmp_path: Path, cut: str) -> None:
    assert read_log(written(tmp_path / "log.jsonl", *LOG, cut=cut)) == LOG


def test_steps_that_were_taken_again_are_drawn_once(tmp_path: Path) -> None:
    resumed: list[dict[str, Any]] = [{"step": 20, "device": "cpu"}, {"step": 30, "loss": 1.5}]
    found = read_log(written(tmp_path / "log.jsonl", *LOG, *resumed))
    assert [line["step"] for line in found] == [0, 1, 20, 20, 20, 30]
    losses = loss_figure(found, title="").axes[0]
    assert lines_of(losses)["loss, of up to 100 steps a line"] == [(1, 4.0), (20, 2.0), (30, 1.5)]


def test_the_file_is_a_picture_with_the_name_of_the_run(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", *LOG, cut='{"step')
    draw_loss(log, tmp_path / "loss.svg")
    assert "<svg" in (tmp_path / "loss.svg").read_text(encoding="utf-8")
    draw_loss(log, tmp_path / "loss.png")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("lines", [[], [{"step": 0, "device": "cpu"}]])
def test_a_log_without_a_loss_is_said(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="no loss to draw"):
        draw_loss(written(tmp_path / "log.jsonl", *lines), tmp_path / "loss.png")
    with pytest.raises(InputError, match="missing: name the --out of a run"):
        read_log(tmp_path / "none.jsonl")


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", *LOG)
    with pytest.raises(InputError, match="cannot write"):
        draw_loss(log, tmp_path / "nowhere" / "loss.png")


def test_without_matplotlib_the_extra_is_named(tmp_path: Path) -> None:
    log = written(tmp_path / "log.jsonl", *LOG)
    program = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "from pathlib import Path\n"
        "from opensearch_funnel.core.errors import MissingExtraError\n"
        "from opensearch_funnel.training.loss_plot import draw_loss\n"
        "try: draw_loss(Path(sys.argv[1]), Path('loss.png'))\n"
        "except MissingExtraError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(log)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "matplotlib is not installed: pip install 'opensearch-funnel[train]'\n"


def test_the_mean_does_not_lag_and_a_straight_line_stays_one() -> None:
    straight = [float(n) for n in range(20)]
    assert running_mean(straight, around=4) == straight
    assert running_mean([], around=4) == []
    assert running_mean([0.0, 9.0, 0.0], around=4) == [0.0, 3.0, 0.0]
