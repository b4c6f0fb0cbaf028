"""State files, and knowing a process again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from opensearch_funnel.engine.node.launch import stop_process
from opensearch_funnel.engine.node.lifecycle import node_status, stop_node
from opensearch_funnel.engine.node.state import (
    NodeRecord,
    every_record,
    process_birth,
    read_record,
    write_record,
)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Another process, which somebody could mistake for a node."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def record_of(process: subprocess.Popen[bytes], data: Path) -> NodeRecord:
    return NodeRecord(
        port=9,
        pid=process.pid,
        birth=process_birth(process.pid) or "",
        version="3.6.0",
        data=str(data),
        started_at="2026-01-01T00:00:00+00:00",
    )


def test_a_record_survives_a_round_trip(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    record = record_of(sleeper, tmp_path)
    write_record(tmp_path / "run" / "9.json", record)
    assert read_record(tmp_path / "run" / "9.json") == record
    assert every_record(tmp_path / "run") == [record]
    assert names_in(tmp_path / "run") == ["9.json"]
    assert record.url == "http://127.0.0.1:9"
    assert record.is_alive


@pytest.mark.parametrize("text", ["", "{", "[]", '{"port": 1}', '{"unknown": 1}'])
def test_a_state_file_that_makes_no_sense_counts_as_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "9.json").write_text(text)
    assert read_record(tmp_path / "9.json") is None
    assert every_record(tmp_path) == []


def test_a_process_that_got_the_same_pid_is_not_the_node(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    stranger = replace(record_of(sleeper, tmp_path), birth="long ago")
    assert not stranger.is_alive
    stop_process(stranger)
    assert sleeper.poll() is None


def test_the_node_itself_is_ended(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    record = record_of(sleeper, tmp_path)
    stop_process(record)
    assert not record.is_alive
    assert sleeper.wait(10) != 0


def test_a_killed_child_that_nobody_reaped_is_not_alive(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    record = record_of(sleeper, tmp_path)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table
    assert process_birth(sleeper.pid) is None
    assert not record.is_alive


def test_a_stopped_node_is_stopped_again_without_fuss(tmp_path: Path) -> None:
    assert not stop_node(port=9, home=tmp_path)
    assert node_status(port=9, home=tmp_path).state == "stopped"


def test_a_dead_node_says_why(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "logs").mkdir(parents=True)
    before = "[ERROR] an old story\n"
    (data / "logs" / "opensearch-funnel.log").write_text(before + "[ERROR] out of luck\n")
    record = replace(record_of(sleeper, data), birth="long ago", log_offset=len(before))
    write_record(tmp_path / "node" / "run" / "9.json", record)
    status = node_status(port=9, home=tmp_path)
    assert (status.state, status.reason) == ("dead", "[ERROR] out of luck")
    assert not stop_node(port=9, home=tmp_path)
    assert node_status(port=9, home=tmp_path).state == "stopped"
    assert sleeper.poll() is None
