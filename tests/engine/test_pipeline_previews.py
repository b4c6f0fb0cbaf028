"""``funnel pipeline apply --dry-run --queries`` on the real node, and the node's own slow log."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.documents.searches import RecordedSearches, read_searches
from opensearch_funnel.engine.indices import index_body
from tests.docs.cluster_state import OF_PLUGINS
from tests.engine.shelf import encoded, fill_index, stand_in_slot

pytestmark = pytest.mark.engine

FOX = {"query": {"match": {"text": "red fox"}}}
NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def index(client: OpenSearch, index_name: str) -> str:
    client.indices.create(index=index_name, body=index_body(slot=stand_in_slot()))
    return index_name


def run(url: str, index: str, *options: str) -> int:
    return main(
        ["pipeline", "apply", "--url", url, "--service-url", NOBODY, "--index", index, *options]
    )


def saved(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "searches"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def test_every_search_of_a_file_is_shown_without_a_service_or_a_change(
    client: OpenSearch,
    node_url: str,
    index: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sorted_ = {**FOX, "sort": ["number"]}
    file = saved(tmp_path, *map(json.dumps, (FOX, {**FOX, "aggs": {}}, sorted_, FOX)))
    before = state_of(client)
    assert run(node_url, index, "--dry-run", "--queries", file, "--default") == 0
    printed = capsys.readouterr().out
    assert "line 1 (2 lines): upgraded, widened" in printed
    assert '"<vector of 8 numbers>"' in printed
    assert "line 3: untouched: it is sorted by something else than the score" in printed
    assert "upgraded     2 of 3 (67%), 3 of 4 lines" in printed
    assert "1 x      it is sorted by something else than the score" in printed
    assert "no model was loaded" in printed
    assert "\x1b" not in printed
    assert state_of(client) == before


def state_of(client: OpenSearch) -> Any:
    """Return what a change to the cluster would change."""
    state = client.cluster.state(metric="metadata", params={"flat_settings": "true"})["metadata"]
    # Plugins make indices of their own when they see fit.
    ours = {n: one for n, one in state["indices"].items() if not n.startswith(OF_PLUGINS)}
    return {**state, "indices": ours, "cluster_coordination": None}


def test_json_gives_it_all(
    node_url: str, index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, "red fox", '"red fox"')
    options = ("--dry-run", "--queries", file, "--rerank", "on", "--output", "json")
    assert run(node_url, index, *options, "--sample", "1") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["format"] == "texts"
    assert report["plan"]["sample"] == 1.0
    assert report["encoded"] is False
    first = report["searches"][0]
    assert first["before"] == {
        "query": {
            "multi_match": {
                "query": "red fox",
                "fields": ["title", "text"],
                "type": "best_fields",
            }
        }
    }
    assert first["after"]["size"] == 50
    assert "rerank" in first["after"]["ext"]
    assert first["outcome"] == "widened"
    assert first["reason"] is None
    assert first["diff"][1] == "+++ what runs"
    assert report["summary"] == {
        "searches": 2,
        "upgraded": 2,
        "upgraded_share": 1.0,
        "lines": 2,
        "upgraded_lines": 2,
        "other_lines": 0,
        "outcomes": {"widened": 2, "same_set": 0, "untouched": 0},
        "reasons": {},
    }


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--queries", "x"], "add --dry-run"),
        (["--dry-run", "--encode"], "--encode is for the searches of --queries"),
        (["--dry-run", "--sample", "0"], "--sample"),
        (["--dry-run", "--sample", "1.5"], "--sample"),
    ],
)
def test_options_that_make_no_sense_exit_with_2(
    node_url: str,
    index: str,
    options: list[str],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(node_url, index, *options) == 2
    assert said in capsys.readouterr().err


def test_a_broken_line_is_named(
    node_url: str, index: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = saved(tmp_path, json.dumps(FOX), '{"query": ')
    assert run(node_url, index, "--dry-run", "--queries", file) == 1
    err = capsys.readouterr().err.strip()
    assert f"{file}:2: not JSON" in err
    assert "\n" not in err


def test_the_slow_log_that_the_node_writes_is_read(client: OpenSearch, index_name: str) -> None:
    fill_index(client, index_name, {"d1": encoded({"text": "red fox"}, doc_id="d1")})
    threshold = "index.search.slowlog.threshold.query.trace"
    client.indices.put_settings(index=index_name, body={threshold: "0ms"})
    typed = f'{index_name} "quoted" ], id[7], é'
    client.search(index=index_name, body={"query": {"match": {"text": typed}}, "size": 3})
    found = slow_searches(client, index_name)
    assert found.format == "slow log"
    (own,) = [one for one in found.searches if index_name in json.dumps(one.body)]
    assert own.body["query"]["match"]["text"]["query"] == typed
    assert own.body["size"] == 3


def slow_searches(client: OpenSearch, index: str) -> RecordedSearches:
    """Wait until the node has written a search of an index into its log, and read that."""
    nodes = client.nodes.info(metric="settings")["nodes"]
    (settings,) = (node["settings"] for node in nodes.values())
    log = Path(settings["path"]["logs"]) / f"{settings['cluster']['name']}.log"
    for _ in range(600):
        if f"[{index}][0] took[" in log.read_text(encoding="utf-8"):
            return read_searches(log, as_body=lambda text: {"typed": text})
        time.sleep(0.05)
    raise AssertionError(f"{log} says nothing of {index}")
