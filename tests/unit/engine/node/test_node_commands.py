"""``funnel node`` as it is typed, without a node."""

import json
import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from opensearch_funnel.cli.node import node
from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.node.account import MARK


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``FUNNEL_HOME`` with a distribution, data and something that is not ours."""
    for folder in ("opensearch-3.6.0-abc/lib", "data-9250/indices", "downloads"):
        (tmp_path / "node" / folder).mkdir(parents=True)
    (tmp_path / "node" / "opensearch-3.6.0-abc" / "lib" / "server.jar").write_bytes(bytes(2000))
    (tmp_path / "node" / "data-9250" / MARK).touch()
    (tmp_path / "models").mkdir()
    monkeypatch.setenv("FUNNEL_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("home")
def test_status_and_stop_of_a_node_that_was_never_started() -> None:
    status = CliRunner().invoke(node, ["status", "--output", "json"])
    assert json.loads(status.stdout)["state"] == "stopped"
    stopped = CliRunner().invoke(node, ["stop"])
    assert (stopped.exit_code, stopped.stdout) == (0, "the node on port 9250 was not running\n")


def test_remove_needs_yes_where_nobody_can_be_asked(home: Path) -> None:
    result = CliRunner().invoke(node, ["remove"])
    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert (home / "node" / "data-9250").is_dir()


def test_a_dry_run_says_what_and_how_big_and_deletes_nothing(home: Path) -> None:
    result = CliRunner().invoke(node, ["remove", "--dry-run", "--output", "json"])
    told = json.loads(result.stdout)
    assert told["dry_run"] is True
    assert told["bytes"] == 2000
    assert [folder["kind"] for folder in told["folders"]] == ["distribution", "data", "downloads"]
    assert (home / "node" / "data-9250").is_dir()


def test_remove_deletes_the_node_and_nothing_else(home: Path) -> None:
    (home / "node" / "notes.txt").write_text("mine")
    (home / "node" / "data-link").symlink_to(home / "models")
    result = CliRunner().invoke(node, ["remove", "--yes"])
    assert result.exit_code == 0
    assert "0.0 MB deleted" in result.stdout
    assert sorted(path.name for path in (home / "node").iterdir()) == ["data-link", "notes.txt"]
    assert (home / "models").is_dir()
    again = CliRunner().invoke(node, ["remove", "--yes"])
    assert (again.exit_code, again.stdout) == (0, "nothing to delete\n")


@pytest.mark.usefixtures("home")
def test_a_port_in_use_is_an_error_before_anything_is_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        result = CliRunner().invoke(node, ["start", "--port", str(port)])
    assert isinstance(result.exception, NodeError)
    assert str(result.exception).startswith(f"port {port} is used by another program")


@pytest.mark.parametrize("command", ["start", "stop", "status", "remove"])
def test_every_command_has_help_with_an_example(command: str) -> None:
    result = CliRunner().invoke(node, [command, "--help"])
    assert result.exit_code == 0
    assert f"Example: funnel node {command}" in result.stdout
