"""What the training scripts say before they need torch, and where they do without it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.training.conftest import MakeCorpus

SCRIPTS = Path(__file__).parents[3] / "scripts"
NAMES = ("train-cross-encoder", "train-splade", "train-dense")


def call(name: str, *options: str | Path, without: Path) -> subprocess.CompletedProcess[str]:
    """Run a script with an interpreter that has neither torch nor transformers."""
    for package in ("torch", "transformers"):
        folder = without / package
        folder.mkdir(parents=True, exist_ok=True)
        missing = f"raise ModuleNotFoundError('No module named {package}', name={package!r})\n"
        (folder / "__init__.py").write_text(missing, encoding="utf-8")
    return subprocess.run(
        [sys.executable, str(SCRIPTS / name), *map(str, options)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "PYTHONPATH": str(without)},
    )


def corpus_of(name: str, folder: Path) -> list[str]:
    """Say where the data is, as each script takes it."""
    return [str(folder / "msrd_movies")] if name == "train-dense" else ["--datasets", str(folder)]


@pytest.fixture
def without(tmp_path: Path) -> Path:
    return tmp_path / "without"


@pytest.mark.parametrize("name", NAMES)
def test_help_needs_no_torch(name: str, without: Path) -> None:
    shown = call(name, "--help", without=without)
    assert (shown.returncode, shown.stderr) == (0, "")
    for option in ("--minutes", "--resume", "--device", "--plot-only"):
        assert option in shown.stdout


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        *((name, [], "say how long: --minutes or --steps") for name in NAMES),
        ("train-splade", ["--steps", "0"], "--minutes and --steps must be above 0"),
        ("train-splade", ["--minutes", "-1"], "--minutes and --steps must be above 0"),
        ("train-splade", ["--steps", "4", "--device", "tpu"], "invalid choice: 'tpu'"),
    ],
)
def test_a_run_needs_a_budget_and_a_device_that_there_is(
    name: str, options: list[str], reason: str, tmp_path: Path, without: Path
) -> None:
    where = corpus_of(name, tmp_path)
    refused = call(name, "--out", tmp_path / "out", *where, *options, without=without)
    assert refused.returncode == 2
    assert reason in refused.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", NAMES)
def test_missing_data_is_said_before_torch_is_loaded(
    name: str, tmp_path: Path, without: Path
) -> None:
    where = corpus_of(name, tmp_path / "nowhere")
    failed = call(name, "--out", tmp_path / "out", *where, "--steps", "4", without=without)
    assert failed.returncode == 1
    assert "is missing: " in failed.stderr
    assert failed.stderr.count("\n") == 1
    assert str(tmp_path / "nowhere" / "msrd_movies") in failed.stderr


@pytest.mark.parametrize("name", NAMES)
def test_without_torch_the_extra_is_named(
    name: str, make_corpus: MakeCorpus, tmp_path: Path, without: Path
) -> None:
    for folder in ("msrd_movies", "scifact"):
        make_corpus(f"data/{folder}", train=range(30), dev=range(30, 40))
    where = corpus_of(name, tmp_path / "data")
    failed = call(name, "--out", tmp_path / "out", *where, "--steps", "4", without=without)
    assert failed.returncode == 1
    assert failed.stderr == "torch is not installed: pip install 'opensearch-funnel[train]'\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_log_is_drawn_on_demand(name: str, tmp_path: Path, without: Path) -> None:
    where = [*corpus_of(name, tmp_path), "--out", str(tmp_path), "--plot-only"]
    failed = call(name, *where, without=without)
    assert failed.returncode == 1
    assert failed.stderr == f"{tmp_path / 'log.jsonl'} is missing: name the --out of a run\n"
    line = json.dumps({"step": 1, "loss": 2.0}) + "\n"
    (tmp_path / "log.jsonl").write_text(line, encoding="utf-8")
    drawn = call(name, *where, without=without)
    assert (drawn.returncode, drawn.stderr) == (0, "")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", NAMES)
def test_figures_need_a_model(name: str, tmp_path: Path, without: Path) -> None:
    where = corpus_of(name, tmp_path)
    failed = call(name, "--out", tmp_path / "out", *where, "--measure-only", without=without)
    assert failed.returncode == 1
    assert "model is missing: name the --out of a run that came to its end" in failed.stderr


def test_a_bad_line_of_clicks_is_named(
    make_corpus: MakeCorpus, tmp_path: Path, without: Path
) -> None:
    clicks = tmp_path / "clicks.tsv"
    clicks.write_text("query\tdocument\tclicks\nfox\td1\tmany\n", encoding="utf-8")
    options = ["--clicks", str(clicks), "--out", str(tmp_path / "out"), "--steps", "4"]
    start = [str(make_corpus()), *options]
    failed = call("train-dense", *start, without=without)
    assert failed.returncode == 1
    assert failed.stderr == (
        f"{clicks} line 2: clicks is 'many', expected a whole number from 0 on\n"
    )
    refused = call("train-dense", *start, "--least-clicks", "0", without=without)
    assert refused.returncode == 2
    assert "--least-clicks must be at least 1" in refused.stderr
