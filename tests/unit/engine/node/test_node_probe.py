"""Ports, and the reason in a log."""

import socket
from pathlib import Path

import pytest

from opensearch_funnel.engine.node.probe import (
    ask,
    failure_in_log,
    free_port,
    is_free,
    is_ready,
    read_from,
)

STARTUP_FAILURE = """\
[2026-01-01T00:00:00,000][INFO ][o.o.n.Node] starting
[2026-01-01T00:00:01,000][ERROR][o.o.b.Uncaught] uncaught exception in thread [main]
org.opensearch.bootstrap.StartupException: BindHttpException[Failed to bind]
\tat org.opensearch.bootstrap.OpenSearch.init(OpenSearch.java:180)
Caused by: org.opensearch.http.BindHttpException: Failed to bind
\tat org.opensearch.http.Server.bind(Server.java:1)
Caused by: java.net.BindException: Address already in use
\tat java.base/sun.nio.ch.Net.bind0(Native Method)
\t... 12 more
"""


def test_the_deepest_cause_is_the_reason() -> None:
    assert failure_in_log(STARTUP_FAILURE) == "java.net.BindException: Address already in use"


def test_without_causes_the_last_error_line_is_the_reason() -> None:
    log = "[INFO ] fine\n[ERROR] first\n[ERROR] second\n\tat x.Error(y)\n[INFO ] stopping\n"
    assert failure_in_log(log) == "[ERROR] second"


def test_what_java_printed_counts_when_the_log_is_empty() -> None:
    console = "Error: Could not create the Java Virtual Machine.\nSee the manual.\n"
    assert failure_in_log("", console) == "Error: Could not create the Java Virtual Machine."


def test_a_node_that_logged_no_error_was_killed() -> None:
    log = "[2026-01-01][INFO ][o.o.n.Node] JVM arguments [-XX:+ExitOnOutOfMemoryError]\n"
    assert failure_in_log("WARNING: Error-prone\n", log).startswith("no error is logged")


def test_an_error_that_the_node_survived_long_ago_is_not_the_reason() -> None:
    log = "Caused by: java.io.IOException: a refused call\n" + "[INFO ] busy\n" * 500
    assert failure_in_log("", log).startswith("no error is logged")


def test_what_java_printed_last_counts_before_the_log() -> None:
    console = "Terminating due to java.lang.OutOfMemoryError: Java heap space\n"
    log = "[ERROR] a refused call\n"
    assert failure_in_log(console, log) == console.strip()


def test_a_reason_is_short() -> None:
    assert len(failure_in_log("[ERROR] " + "x" * 5000)) <= 300


def test_a_log_is_read_from_a_position_or_whole_if_it_was_rolled(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before|after")
    assert read_from(log, 7) == "after"
    assert read_from(log, 500) == "before|after"
    assert read_from(tmp_path / "none", 0) == ""


def test_a_port_is_free_until_something_listens() -> None:
    port = free_port()
    assert is_free(port)
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)


@pytest.mark.parametrize("path", ["/", "/_cluster/health"])
def test_silence_is_no_answer(path: str) -> None:
    port = free_port()
    assert ask(port, path) is None
    assert not is_ready(port)
