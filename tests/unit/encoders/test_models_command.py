"""``funnel models`` lists, fetches and verifies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from opensearch_funnel.cli.models import MODULES, models
from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.fetch import model_folder
from opensearch_funnel.encoders.manifest import Manifest
from opensearch_funnel.encoders.manifest_files import write_manifest
from opensearch_funnel.encoders.opening import open_cross_encoder
from opensearch_funnel.encoders.packing import Packing, pack


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


def test_an_exported_checkpoint_is_a_model_by_its_name(tiny_model: Path, home: Path) -> None:
    small = home / "manifests" / "small"
    options = ["--kind", "cross_encoder", "--max-tokens", "32", "--licence", "MIT"]
    done = call("export", str(tiny_model), str(small), *options, "--output", "json")
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    assert made["manifest"] == str(small.with_suffix(".toml"))
    assert sorted(path.name for path in small.iterdir()) == ["model.onnx", "tokenizer.json"]
    encoder = open_cross_encoder("small")
    same = Packing(
        kind="cross_encoder", pooling="pair", precision="fp32", max_tokens=32, licence="MIT"
    )
    exact = home / "manifests" / "exact"
    write_manifest(pack(tiny_model, exact, same), exact.with_suffix(".toml"))
    texts = ["sea", "the fish", "paris ."]
    expected = open_cross_encoder("exact").score("hotel", texts)
    assert encoder.score("hotel", texts) == pytest.approx(expected, abs=0.2)
    assert encoder.fingerprint != open_cross_encoder("exact").fingerprint


def test_a_checkpoint_of_another_kind_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    folder = tmp_path / "out"
    packing = Packing(kind="splade", pooling="max", precision="int8", max_tokens=8, licence="MIT")
    with pytest.raises(ModelError, match=r"has no tokenizer\.json"):
        pack(tmp_path / "checkpoint", folder, packing)
    (tmp_path / "checkpoint" / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"cannot read config\.json"):
        pack(tmp_path / "checkpoint", folder, packing)
    assert not folder.exists()


@pytest.mark.parametrize("command", MODULES)
def test_every_command_has_help_with_an_example(command: str) -> None:
    assert f"Example: funnel models {command}" in " ".join(call(command, "--help").stdout.split())
