"""``funnel models`` lists, fetches and verifies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from opensearch_funnel.cli.models import models
from opensearch_funnel.encoders.fetch import model_folder
from opensearch_funnel.encoders.manifests import Manifest


@pytest.fixture
def manifest(tiny_model: Path, make_manifest: Any) -> Manifest:
    made: Manifest = make_manifest(tiny_model)
    return made


def call(*arguments: str) -> Result:
    return CliRunner().invoke(models, list(arguments))


def described(name: str) -> Any:
    listed = json.loads(call("list", "--output", "json").stdout)["models"]
    return next(model for model in listed if model["name"] == name)


def test_list_says_what_is_here(manifest: Manifest) -> None:
    assert described("tiny")["here"] is False
    assert call("pull", "tiny").exit_code == 0
    tiny = described("tiny")
    assert tiny["here"] is True
    assert tiny["fingerprint"] == manifest.fingerprint()
    assert "splade-tiny" in call("list").stdout


def test_pull_says_where_the_files_are(manifest: Manifest) -> None:
    done = call("pull", "tiny", "--output", "json")
    assert json.loads(done.stdout) == {
        "models": [{"name": "tiny", "folder": str(model_folder(manifest))}]
    }


def test_verify_fails_on_a_changed_file_and_says_how_to_mend_it(manifest: Manifest) -> None:
    call("pull", "tiny")
    right = call("verify", "tiny")
    assert (right.exit_code, right.stdout) == (0, "tiny: right\n")
    (model_folder(manifest) / "config.json").write_text("{}")
    wrong = call("verify", "--output", "json")
    assert wrong.exit_code == 1
    assert json.loads(wrong.stdout)["models"] == [
        {"name": "tiny", "broken": ["config.json does not match its SHA-256"]}
    ]
    assert "funnel models pull tiny" in wrong.stderr


@pytest.mark.usefixtures("home")
def test_with_no_model_here_verify_has_nothing_to_do() -> None:
    done = call("verify")
    assert (done.exit_code, done.stdout) == (0, "no model is here yet\n")


@pytest.mark.parametrize("command", ["list", "pull", "verify"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    assert f"Example: funnel models {command}" in " ".join(call(command, "--help").stdout.split())
