"""The wheel that users get: built, installed into an empty environment, and run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, timeout=120)
    install = [str(folder / "bin" / "pip"), "install", "--quiet", str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=600)
    return folder / "bin"


def funnel(environment: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(environment / "funnel"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=cwd,
        # Nothing that this machine has cached may make up for what the wheel lacks.
        env={"PATH": os.defpath, "FUNNEL_HOME": str(cwd / "home")},
    )


def test_the_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for wanted in (
        "opensearch_funnel/_resources/mappings/documents.v1.json",
        "opensearch_funnel/_resources/models/splade-tiny.toml",
        "opensearch_funnel/engine/node/lock.json",
        "opensearch_funnel/demo/dev_questions.jsonl",
        "opensearch_funnel/demo/questions.jsonl",
        "opensearch_funnel/demo/qrels/dev.tsv",
        "opensearch_funnel/demo/qrels/test.tsv",
        "opensearch_funnel/service/page/index.html",
        "opensearch_funnel/service/page/page.css",
        "opensearch_funnel/service/page/page.js",
    ):
        assert wanted in names
    assert not [n for n in names if n.endswith(".pth") or n.startswith(("tests/", "benchmarks/"))]


def test_the_base_install_runs_and_finds_its_resources(environment: Path, tmp_path: Path) -> None:
    assert "pipeline" in funnel(environment, "--help", cwd=tmp_path).stdout
    listed = funnel(environment, "models", "list", "--output", "json", cwd=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "splade-tiny" in json.dumps(json.loads(listed.stdout))
    read = "from opensearch_funnel.resources import mapping; print(len(mapping('documents.v1')))"
    found = subprocess.run(
        [str(environment / "python"), "-c", read],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert found.stdout.strip() == "2"


def test_without_an_extra_the_command_names_it(environment: Path, tmp_path: Path) -> None:
    failed = funnel(environment, "serve", "--port", "0", cwd=tmp_path)
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")
    assert "opensearch-funnel[service]" in failed.stderr
