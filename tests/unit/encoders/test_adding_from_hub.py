"""``funnel models add owner/name``: the real client of the Hub against a server of our own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from opensearch_funnel.encoders.manifest_files import load_manifest
from tests.unit.encoders.conftest import CONFIG
from tests.unit.encoders.hub_server import COMMIT, HubServer, hub_server, run_with_hub

ADD = ("-m", "opensearch_funnel", "models", "add")


@pytest.fixture
def repository(tiny_model: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(tiny_model, tmp_path / "repository"))
    config = {**CONFIG, "architectures": ["BertForMaskedLM"]}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n", encoding="utf-8")
    # What a repository holds besides is not fetched.
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    return folder


def add(hub: HubServer, home: Path, *options: str, **environment: str) -> tuple[int, str, str]:
    command = [*ADD, "me/tiny", "--output", "json", *options]
    done = run_with_hub(command, endpoint=hub.url, home=home, **environment)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("fault", ["", "slow"])
def test_a_repository_is_added_and_pinned_to_its_commit(
    repository: Path, home: Path, fault: str
) -> None:
    with hub_server(repository, fault=fault) as hub:
        code, out, err = add(hub, home)
        asked = hub.asked
    assert code == 0, err
    found = json.loads(out)
    assert (found["name"], found["kind"], found["licence"]) == ("tiny", "splade", "mit")
    assert found["revision"] == COMMIT
    assert load_manifest("tiny").sources[0].revision == COMMIT
    assert not [path for path in asked if path.endswith(".bin")]
    assert all(COMMIT in path for path in asked if "/resolve/" in path)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("truncated", "hub me/tiny: "),
        ("changed", "model.safetensors is not what hub me/tiny promises: fetch it again"),
        ("gone", "hub me/tiny: "),
        ("gated", "hub me/tiny: "),
    ],
)
def test_a_hub_that_misbehaves_adds_nothing(
    repository: Path, home: Path, fault: str, reason: str
) -> None:
    with hub_server(repository, fault=fault) as hub:
        code, out, err = add(hub, home)
    assert (code, out) == (1, "")
    error = err.strip().splitlines()[-1]
    assert error.startswith("error: "), err
    assert reason in error
    assert "Traceback" not in err
    assert list((home / "manifests").iterdir()) == []
    assert list((home / "models").iterdir()) == []


def test_without_a_network_the_reason_is_said(repository: Path, home: Path) -> None:
    with hub_server(repository) as hub:
        code, _, err = add(hub, home, HF_HUB_OFFLINE="1")
        assert hub.asked == []
    assert code == 1
    assert "error: hub me/tiny: " in err
