"""Which indices the service may search: those with an applied plan that it can read."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.client import connect
from opensearch_funnel.service.search_api_applied import AppliedSearches, UnknownIndexError
from opensearch_funnel.settings import Settings

_VERSION = {"_seq_no": 0, "_primary_term": 1}


class StateOfCluster:
    """The state index of a cluster, and what was asked of anything else."""

    def __init__(self) -> None:
        self.pipelines: list[dict[str, Any]] = []
        self.plans: dict[str, dict[str, Any]] = {}
        self.searched: list[str] = []
        self.url = ""

    def apply(self, plan: dict[str, Any], *, name: str, default: bool = False) -> None:
        plan_id = f"{plan['alias']}.{len(self.plans)}"
        self.plans[plan_id] = plan
        pipeline = {
            "name": name,
            "plan_id": plan_id,
            "service_url": "http://127.0.0.1:9",
            "connectors": [],
            "models": [],
            "default_of": {plan["alias"]: ""} if default else {},
        }
        self.pipelines.append(pipeline)

    def answer(self, path: str) -> tuple[int, dict[str, Any]]:
        if path.startswith("/.funnel-state-1/_search"):
            sources = [{"pipeline": pipeline} for pipeline in self.pipelines]
            hits = [
                {"_id": f"pipeline:{n}", "_source": source, **_VERSION}
                for n, source in enumerate(sources)
            ]
            return 200, {"hits": {"hits": hits}}
        if path.startswith("/.funnel-state-1/_doc/plan%3A"):
            plan = self.plans[path.partition("%3A")[2]]
            return 200, {"_source": {"plan": plan}, **_VERSION}
        self.searched.append(path)
        return 200, {"took": 1, "hits": {"total": {"value": 0, "relation": "eq"}, "hits": []}}


@pytest.fixture
def cluster() -> Iterator[StateOfCluster]:
    made = StateOfCluster()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, body = made.answer(self.path)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            self.do_GET()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def searches_of(cluster: StateOfCluster, *, clock: Clock | None = None) -> AppliedSearches:
    client = connect(Settings(url=cluster.url))
    return AppliedSearches(client, ready_plan=lambda _: None, clock=clock or Clock())


def plan(alias: str) -> dict[str, Any]:
    return FunnelPlan(alias=alias, searched_fields=("title", "text")).to_dict()


def test_an_index_without_a_plan_is_not_searched(cluster: StateOfCluster) -> None:
    cluster.apply(plan("films"), name="funnel-films")
    searches = searches_of(cluster)
    for name in (".funnel-state-1", "secrets", "*", "films,secrets", "_all", "film?", ""):
        with pytest.raises(UnknownIndexError, match="no plan is applied"):
            searches.search({"index": name, "text": "fox"}, system="bm25", trace=False)
    assert cluster.searched == [], "nothing was even asked"
    searches.search({"index": "films", "text": "fox"}, system="funnel", trace=False)
    assert len(cluster.searched) == 1
    assert cluster.searched[0].startswith("/films/_search")
    assert "search_pipeline=funnel-films" in cluster.searched[0]


def test_a_field_that_is_no_text_is_refused(cluster: StateOfCluster) -> None:
    cluster.apply(plan("films"), name="funnel-films")
    asked = {"index": "films", "text": "fox", "fields": ("title^2", "salary")}
    with pytest.raises(InputError, match="salary is no text field of films: there are title, text"):
        searches_of(cluster).search(asked, system="bm25", trace=False)


def test_of_several_pipelines_the_one_that_clients_get(cluster: StateOfCluster) -> None:
    cluster.apply(plan("films"), name="funnel-films", default=True)
    cluster.apply(plan("films"), name="funnel-trial")
    cluster.apply(plan("books"), name="funnel-books")
    found = searches_of(cluster).indices()
    assert [(one.index, one.pipeline, one.default) for one in found] == [
        ("books", "funnel-books", False),
        ("films", "funnel-films", True),
    ]


def test_a_plan_that_cannot_be_read_hides_no_other(cluster: StateOfCluster) -> None:
    cluster.apply({"alias": "old", "unheard_of": 1}, name="funnel-old")
    cluster.apply(plan("films"), name="funnel-films")
    assert [one.index for one in searches_of(cluster).indices()] == ["films"]


def test_what_was_just_applied_is_found_after_a_moment(cluster: StateOfCluster) -> None:
    clock = Clock()
    searches = searches_of(cluster, clock=clock)
    assert searches.indices() == []
    cluster.apply(plan("films"), name="funnel-films")
    assert searches.indices() == []
    clock.now += 1.5
    assert [one.index for one in searches.indices()] == ["films"]


def test_a_trace_without_models_says_why_and_keeps_the_answer(cluster: StateOfCluster) -> None:
    cluster.apply(plan("films"), name="funnel-films")
    found = searches_of(cluster).search(
        {"index": "films", "text": "fox"}, system="funnel", trace=True
    )
    assert "not loaded yet" in found.answer.trace_failed
    assert found.answer.hits == []
