"""The roles of ``docs/roles.yml`` are enough for what they are for, and hold nothing more.

Behind a proxy that refuses what a role does not name, in front of the real node.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path
from typing import Any

import httpx2
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.build.trusting import Trusting
from opensearch_funnel.cli.main import main
from opensearch_funnel.core.plan import Trust
from opensearch_funnel.engine import state
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.settings import Settings, load_settings
from tests.conftest import missing
from tests.engine.rights_proxy import PREDICT, Guarded, guarded
from tests.engine.rights_roles import Role, role
from tests.engine.ward import (
    PLAN_FILE,
    applied,
    bad,
    fill,
    kept_cluster_settings,
    models_of,
    plan_of,
    stand_in,
)

pytestmark = pytest.mark.engine

HOME = load_settings().home
"""Where this machine keeps its models; commands that open none get a home of their own here."""
FOX = {"query": {"match": {"text": "red fox"}}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where a user sits who runs commands against a cluster."""

    client: OpenSearch
    """Of somebody who may do everything."""
    node_url: str
    index: str
    monkeypatch: pytest.MonkeyPatch

    def role(self, name: str) -> Role:
        return role(name, index=self.index)

    @contextmanager
    def used_by(self, user: Role) -> Iterator[Guarded]:
        """Let the commands call the cluster as a user of one role."""
        with guarded(self.node_url, user=user) as seen, self.monkeypatch.context() as patch:
            patch.setenv("FUNNEL_URL", seen.url)
            yield seen

    def run(self, *arguments: str) -> tuple[int, Any]:
        """Run a command; return its exit status and what it printed."""
        with redirect_stdout(StringIO()) as printed:
            code = main([*arguments, "--output", "json"])
        return code, json.loads(printed.getvalue() or "null")


@pytest.fixture
def desk(
    client: OpenSearch,
    node_url: str,
    index_name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUNNEL_HOME", str(tmp_path / "home"))
    (tmp_path / "funnel.toml").write_text(PLAN_FILE, encoding="utf-8")
    fill(client, index_name)
    with kept_cluster_settings(client):
        yield Desk(client=client, node_url=node_url, index=index_name, monkeypatch=monkeypatch)


@pytest.fixture
def service_url(desk: Desk) -> Iterator[str]:
    """A service whose user has the service's role, and that belongs to the cluster behind."""
    with (
        guarded(desk.node_url, user=desk.role("funnel_service")) as seen,
        stand_in(connect(Settings(url=seen.url)), engine_url=desk.node_url) as url,
    ):
        desk.monkeypatch.setenv("FUNNEL_SERVICE_URL", url)
        yield url
        assert seen.refused == [], "the service needs what its role does not name"


@pytest.fixture
def _pipeline(desk: Desk, service_url: str) -> Iterator[None]:
    """The index's default pipeline with a reranker, applied by somebody who may do everything."""
    rerank = {"enabled": True, "reason": "on: as asked for"}
    plan = plan_of(desk.client, desk.index, rerank=rerank)
    with applied(desk.client, plan, service_url=service_url, default=True, ingest=True):
        yield


@contextmanager
def traced(client: OpenSearch) -> Iterator[set[str]]:
    """Collect the actions that the node registers meanwhile: those that a user has to have."""
    level = {"logger.org.opensearch.tasks.TaskManager": "TRACE"}
    found: set[str] = set()
    log = _log(client)
    client.cluster.put_settings(body={"transient": level})
    start = log.stat().st_size
    try:
        yield found
    finally:
        # An action is logged when it starts, so those of calls that were answered are there.
        text = _after(log, start)
        client.cluster.put_settings(body={"transient": dict.fromkeys(level)})
    for line in text.splitlines():
        registered = re.search(r"register \d+ \[transport\] \[(\S+)\] \[(.*)", line)
        if registered and not _is_of_the_nodes(registered[1], registered[2]):
            found.add(registered[1])


def _log(client: OpenSearch) -> Path:
    found = client.transport.perform_request("GET", "/_nodes/_local/settings")
    (node,) = found["nodes"].values()
    path = Path(node["settings"]["path"]["logs"]) / f"{found['cluster_name']}.log"
    if not path.is_file():
        missing("the node's log: is it on another machine?")
    return path


def _after(log: Path, start: int) -> str:
    with log.open("rb") as stream:
        # A log that is shorter than it was has begun anew.
        stream.seek(start if log.stat().st_size >= start else 0)
        return stream.read().decode(errors="replace")


def _is_of_the_nodes(action: str, description: str) -> bool:
    """Say whether an action is one that nodes and plugins do by themselves, for nobody."""
    internal = ("internal:", "cluster:admin/opensearch/mlinternal", "indices:admin/seq_no")
    return (
        action.startswith((*internal, "retention_lease"))
        or ".plugins-ml-" in description
        # How a plugin changes its own index, and asks itself; the description does not say whose.
        or action in {"indices:data/write/update", "indices:data/write/bulk"}
        or action in {"cluster:monitor/nodes/info", "cluster:monitor/state"}
    )


@pytest.mark.usefixtures("service_url")
def test_applying_needs_no_more_and_no_less_than_its_role(desk: Desk) -> None:
    user = desk.role("funnel_apply")
    apply = ["pipeline", "apply", "--index", desk.index, "--default", "--ingest"]
    with desk.used_by(user) as seen, traced(desk.client) as registered:
        codes = [
            desk.run(*apply, "--rerank", "off")[0],
            desk.run(*apply, "--rerank", "on")[0],
            desk.run("pipeline", "remove", "--index", desk.index)[0],
        ]
    assert codes == [0, 0, 0]
    assert state.load_pipeline(desk.client, f"funnel-{desk.index}") is None
    assert seen.refused == []
    assert registered <= seen.used, "a call takes more than the table says"
    # The state index is made by the first apply in a cluster only, and a model is waited for only
    # where its deployment has not ended with the call that asks for it. Nothing is asked of an
    # index that no probe can be made of.
    at_times = {
        "indices:admin/create",
        "cluster:admin/opensearch/ml/tasks/get",
        "indices:data/read/msearch",
        "indices:data/read/mtv",
        "indices:data/read/mtv[shard]",
    }
    assert user.rights - seen.used - at_times == set()


@pytest.mark.usefixtures("_pipeline")
def test_the_doctor_needs_no_more_and_no_less_than_its_role(desk: Desk) -> None:
    user = desk.role("funnel_doctor")
    with desk.used_by(user) as seen, traced(desk.client) as registered:
        code, report = desk.run("doctor", "--index", desk.index)
        others = [
            desk.run("search", "red fox", "--index", desk.index)[0],
            desk.run("pipeline", "show")[0],
        ]
    assert seen.refused == []
    assert bad(report["findings"]) == {}
    assert report["counts"]["skipped"] == 0
    assert [code, *others] == [0, 0, 0]
    assert registered <= seen.used | desk.role("funnel_service").rights
    assert user.rights - seen.used == set()


@pytest.mark.usefixtures("_pipeline")
def test_each_right_that_is_missing_is_named_with_what_grants_it(desk: Desk) -> None:
    whole = desk.role("funnel_doctor")
    for right in sorted(whole.rights):
        with desk.used_by(whole.without(right)) as seen:
            _, report = desk.run("doctor", "--index", desk.index)
        assert seen.refused, right
        told = [
            one
            for one in report["findings"]
            if right in one["finding"] and f'"{right}"' in one["fix"]
        ]
        assert told, right
        # Nothing is called broken because it may not be seen; but who may not call models gets
        # plain answers, and nothing else says so.
        wrong = {"rights.predict"} if right == PREDICT else set()
        assert set(bad(report["findings"])) == wrong, right


def test_the_role_that_applies_is_enough_to_measure_the_legs(desk: Desk) -> None:
    plan = replace(plan_of(desk.client, desk.index), trust=Trust())
    with guarded(desk.node_url, user=desk.role("funnel_apply")) as seen:
        measuring = Trusting(client=connect(Settings(url=seen.url)))
        found = measuring.measured(plan, models=models_of(plan))
    assert seen.refused == []
    assert found.trust.decided


def test_the_role_of_the_service_is_enough_to_fuse(desk: Desk, service_url: str) -> None:
    plan = plan_of(desk.client, desk.index, fusion={"technique": "auto"})
    with applied(desk.client, plan, service_url=service_url, default=True):
        answer = desk.client.search(index=desk.index, body=FOX)
        later = desk.client.search(index=desk.index, body={**FOX, "from": 1, "size": 1})
        asked = {"index": desk.index, "query": "red fox"}
        shown = httpx2.post(f"{service_url}/search?trace=true", json=asked, timeout=60).json()
    assert not degraded(answer)
    assert not degraded(later)
    assert shown["hits"]
    assert shown["trace"]["technique"] == "auto"


@pytest.mark.usefixtures("_pipeline")
def test_who_searches_needs_the_right_to_call_models(desk: Desk) -> None:
    user = desk.role("funnel_search")
    with guarded(desk.node_url, user=user) as seen, traced(desk.client) as registered:
        user_client = connect(Settings(url=seen.url))
        answer = user_client.search(index=desk.index, body=FOX)
        # For a page after the first the service asks for the fused list.
        later = user_client.search(index=desk.index, body={**FOX, "from": 1, "size": 1})
    assert not degraded(answer)
    assert not degraded(later)
    assert answer["hits"]["max_score"] > 1000, "reranked"
    assert seen.refused == []
    service = desk.role("funnel_service").rights
    assert user.rights <= registered, "the engine itself takes the right while it searches"
    assert registered <= user.rights | service
    with guarded(desk.node_url, user=user.without(PREDICT)) as seen:
        plain = connect(Settings(url=seen.url)).search(index=desk.index, body=FOX)
    assert degraded(plain)


@pytest.mark.usefixtures("_pipeline")
def test_who_writes_needs_the_right_to_call_models(desk: Desk) -> None:
    user = desk.role("funnel_write")
    lines: list[Any] = [{"index": {"_id": "n"}}, {"text": "a new fox"}]
    lines += [
        {"update": {"_id": "d0"}},
        {"doc": {"text": "the old fox"}},
        {"delete": {"_id": "d2"}},
    ]
    with traced(desk.client) as registered:
        done = desk.client.bulk(body=lines, index=desk.index, params={"refresh": "true"})
    assert not done["errors"]
    assert PREDICT in registered
    assert registered <= user.rights
    stored = desk.client.get(index=desk.index, id="n")["_source"]["funnel"]
    assert stored["state"] == "ready"


@pytest.mark.usefixtures("_pipeline")
def test_an_ordinary_user_gets_a_report_of_what_may_be_seen(desk: Desk) -> None:
    with desk.used_by(desk.role("funnel_search")):
        code, report = desk.run("doctor", "--index", desk.index)
    assert code == 0
    assert bad(report["findings"]) == {}
    by_name = {one["check"]: one for one in report["findings"]}
    skipped = {name for name, one in by_name.items() if one["level"] == "skipped"}
    assert {"cluster.version", "cluster.plugins", "state.record", "index.found"} <= skipped
    assert by_name["install.runtime"]["level"] == "ok"
    assert "funnel_search may not cluster:monitor/main" in by_name["cluster.version"]["finding"]


@pytest.mark.model
def test_migrating_needs_no_more_and_no_less_than_its_role(desk: Desk) -> None:
    """From the plan to the clean-up, with a rollback, and writes on the way."""
    alias, source = f"{desk.index}-live", f"{desk.index}-1"
    text = {"properties": {"title": {"type": "text"}, "text": {"type": "text"}}}
    settings = {"number_of_replicas": 0}
    body = {"settings": settings, "mappings": text, "aliases": {alias: {}}}
    desk.client.indices.create(index=source, body=body)
    for number in range(6):
        fox = {"title": f"film {number}", "text": "a red fox"}
        desk.client.index(index=source, id=str(number), body=fox)
    desk.client.indices.refresh(index=source)
    desk.monkeypatch.setenv("FUNNEL_HOME", str(HOME))
    patient = ["--max-block", "3600"]
    user = desk.role("funnel_migrate")
    with desk.used_by(user) as seen, traced(desk.client) as registered:
        for arguments in (
            ["plan", alias, "--dense-model", "none", "--fields", "title,text"],
            ["run", alias, "--throttle", "off"],
            ["verify", alias],
            ["cutover", alias, *patient],
            ["status", alias],
        ):
            code, report = desk.run("migrate", *arguments)
            assert code == 0, (arguments, report, seen.refused)
        desk.client.index(index=alias, id="new", body={"title": "n", "text": "a whale"})
        for arguments in (["rollback", alias, *patient], ["cleanup", alias, "--yes"]):
            code, report = desk.run("migrate", *arguments)
            assert code == 0, (arguments, report, seen.refused)
    assert seen.refused == []
    assert registered <= seen.used
    assert user.rights - seen.used <= {
        "indices:admin/flush",
        "indices:admin/flush[s]",
        "indices:admin/mapping/put",
    }
    assert desk.client.count(index=alias)["count"] == 7
