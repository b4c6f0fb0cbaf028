"""The embedded node for real: it starts, survives, dies, recovers and stops."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.node import (
    NodeStatus,
    ensure_node_installed,
    node_status,
    start_node,
    stop_node,
)
from opensearch_funnel.engine.node.account import MARK
from opensearch_funnel.engine.node.probe import free_port
from opensearch_funnel.engine.node.state import process_birth

pytestmark = pytest.mark.engine

START = """
import sys
from pathlib import Path
from opensearch_funnel.engine.node import start_node
print(start_node(port=int(sys.argv[1]), heap="512m", data=Path(sys.argv[2])).pid)
"""


@pytest.fixture(scope="module", autouse=True)
def _installed() -> None:
    ensure_node_installed()


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder that the node's user can reach: pytest's own are closed as root."""
    folder = Path(tempfile.mkdtemp(prefix="funnel-test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def port() -> Iterator[int]:
    """A free port, without a node afterwards."""
    chosen = free_port()
    yield chosen
    stop_node(port=chosen)


def request(method: str, url: str, body: dict[str, Any] | None = None) -> Any:
    wanted = urllib.request.Request(  # noqa: S310 - loopback
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(wanted, timeout=30) as answer:
        return json.load(answer)


def wait_for(state: str, *, port: int) -> NodeStatus:
    deadline = time.monotonic() + 20
    while (status := node_status(port=port)).state != state and time.monotonic() < deadline:
        time.sleep(0.1)
    return status


def test_a_node_outlives_its_starter_and_a_kill_and_keeps_its_data(port: int, data: Path) -> None:
    starter = subprocess.run(
        [sys.executable, "-c", START, str(port), str(data)],
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    pid = int(starter.stdout)
    status = node_status(port=port)
    assert (status.state, status.pid, status.data) == ("running", pid, data)
    plugins = {row["component"] for row in request("GET", f"{status.url}/_cat/plugins?format=json")}
    assert plugins == {
        "opensearch-job-scheduler",
        "opensearch-knn",
        "opensearch-ml",
        "opensearch-neural-search",
    }
    assert (data / "indices" / "nodes").stat().st_uid != 0

    again = start_node(port=port)
    assert (again.pid, again.was_running) == (pid, True)

    with pytest.raises(NodeError, match=f"is used by the node on port {port}"):
        start_node(port=free_port(), data=data)

    request("PUT", f"{status.url}/kept/_doc/1?refresh=true", {"text": "still here"})
    os.kill(pid, signal.SIGKILL)
    dead = wait_for("dead", port=port)
    assert dead.state == "dead"
    assert dead.reason == "no error is logged, so something killed it (too little memory?)"

    recovered = start_node(port=port, heap="512m", data=data)
    assert recovered.pid != pid
    assert not recovered.was_running
    kept = request("GET", f"{recovered.url}/kept/_doc/1")
    assert kept["_source"] == {"text": "still here"}

    assert stop_node(port=port)
    assert process_birth(recovered.pid) is None
    assert node_status(port=port).state == "stopped"
    assert not stop_node(port=port)


def test_the_node_can_do_what_the_funnel_asks_of_it(node_url: str) -> None:
    index = f"{node_url}/lifecycle-features"
    vector = {"type": "knn_vector", "dimension": 2, "method": {"name": "hnsw", "engine": "lucene"}}
    properties = {
        "terms": {"type": "rank_features"},
        "vector": vector,
        # Needs word breaks that a trimmed Java runtime lacks.
        "thai": {"type": "text", "analyzer": "thai"},
    }
    settings = {"index": {"knn": True, "number_of_replicas": 0}}
    request("PUT", index, {"settings": settings, "mappings": {"properties": properties}})
    try:
        document = {"terms": {"fox": 1.5}, "vector": [1, 0], "thai": "สวัสดีครับ"}
        request("PUT", f"{index}/_doc/1?refresh=true", document)
        legs = [
            {"neural_sparse": {"terms": {"query_tokens": {"fox": 2.0}}}},
            {"knn": {"vector": {"vector": [1, 0], "k": 1}}},
            {"match": {"thai": "สวัสดี"}},
        ]
        for leg in legs:
            hits = request("POST", f"{index}/_search", {"query": leg})["hits"]["hits"]
            assert [hit["_id"] for hit in hits] == ["1"], leg
    finally:
        request("DELETE", index)


def test_a_node_that_cannot_start_says_why_and_leaves_no_process(port: int, data: Path) -> None:
    (data / MARK).touch()
    (data / "indices").mkdir()
    (data / "indices" / "nodes").write_text("a file where OpenSearch wants a folder")
    with pytest.raises(NodeError, match="the node ended while starting: ") as caught:
        start_node(port=port, heap="512m", data=data)
    message = str(caught.value)
    assert "\n" not in message
    assert "nodes" in message
    assert node_status(port=port).state == "stopped"


def test_a_start_that_takes_too_long_is_given_up(port: int, data: Path) -> None:
    with pytest.raises(NodeError, match="did not answer within 1 s"):
        start_node(port=port, heap="512m", data=data, timeout=1)
    assert node_status(port=port).state == "stopped"


def test_ctrl_c_while_starting_ends_the_node(port: int, data: Path) -> None:
    command = [sys.executable, "-c", START, str(port), str(data)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as starter:
        status = wait_for("starting", port=port)
        assert status.state == "starting"
        assert status.pid is not None
        starter.send_signal(signal.SIGINT)
        assert starter.wait(60) != 0
    assert process_birth(status.pid) is None
    assert node_status(port=port).state == "stopped"
