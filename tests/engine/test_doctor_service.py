"""Services that are down, elsewhere, or want another token: named, and the fixes work."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.engine.binding import bound_plan
from tests.docs.running import free_port
from tests.engine.ward import (
    PATIENT,
    PLAN_FILE,
    Ward,
    applied,
    bad,
    fill,
    kept_cluster_settings,
    plan_of,
    stand_in,
)

pytestmark = pytest.mark.engine

TOKEN, OTHER = "a-token-of-16-or-more", "another-token-of-theirs"


@pytest.fixture(autouse=True)
def folder(
    client: OpenSearch, node_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUNNEL_URL", node_url)
    monkeypatch.setenv("FUNNEL_HOME", str(tmp_path / "home"))
    (tmp_path / "funnel.toml").write_text(PLAN_FILE, encoding="utf-8")
    with kept_cluster_settings(client):
        yield tmp_path


@contextmanager
def ward_at(  # noqa: PLR0913 - the parts of one set-up
    client: OpenSearch,
    node_url: str,
    plan: FunnelPlan,
    *,
    service_url: str,
    token: str | None = None,
    check: bool = True,
) -> Iterator[Ward]:
    options = {"default": True, "token": token, "check": check}
    with applied(client, plan, service_url=service_url, **options) as done:
        yield Ward(
            client=client,
            url=node_url,
            service_url=service_url,
            index=plan.alias,
            plan=plan,
            applied=done,
            folder=Path.cwd(),
        )


def free_address() -> str:
    """Return an address that nothing listens at, and that no connection is given by chance."""
    return f"http://127.0.0.1:{free_port()}"


@contextmanager
def in_background(command: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a fix that goes on until it is stopped, as in a second terminal."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    with subprocess.Popen(shlex.split(command), env={**os.environ, "PATH": path}) as running:
        try:
            yield running
        finally:
            running.terminate()
            running.wait(60)


def wait_for(url: str, running: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end and running.poll() is None:
        try:
            if httpx2.get(f"{url}/health", timeout=5.0).is_success:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.2)
    pytest.fail(f"nothing answers at {url}")


def test_a_service_that_is_down_is_started_by_the_fix(
    client: OpenSearch, node_url: str, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan without models, so that the real service can load it."""
    fill(client, index_name)
    url = free_address()
    monkeypatch.setenv("FUNNEL_SERVICE_URL", url)
    off = Reranking(reason="off: as asked for")
    written = FunnelPlan(alias=index_name, deadlines=PATIENT, rerank=off).with_legs("bm25")
    plan = bound_plan(client, written)
    with ward_at(client, node_url, plan, service_url=url, check=False) as ward:
        found = bad(ward.doctor())
        assert set(found) == {"service.reachable"}
        with in_background(found["service.reachable"]["fix"]) as running:
            wait_for(url, running)
            assert bad(ward.doctor()) == {}


def test_a_service_that_moved_is_applied_by_the_fix(
    client: OpenSearch, node_url: str, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(client, index_name)
    plan = plan_of(client, index_name)
    with stand_in(client, engine_url=node_url) as url:
        monkeypatch.setenv("FUNNEL_SERVICE_URL", url)
        before = free_address()
        with ward_at(client, node_url, plan, service_url=before, check=False) as ward:
            found = bad(ward.doctor())
            assert set(found) == {"service.reachable"}
            assert f"--service-url {url}" in found["service.reachable"]["fix"]
            # Named by hand, it answers here, and still not to the cluster.
            found = bad(ward.doctor("--service-url", url))
            assert set(found) == {"service.from_node"}
            ward.shell(found["service.from_node"]["fix"])
            assert bad(ward.doctor()) == {}


def test_a_service_with_another_token_is_applied_by_the_fix(
    client: OpenSearch, node_url: str, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service was started again with a new token, which the connectors do not carry."""
    fill(client, index_name)
    plan = plan_of(client, index_name)
    with stand_in(client, engine_url=node_url, token=OTHER) as url:
        monkeypatch.setenv("FUNNEL_SERVICE_URL", url)
        monkeypatch.setenv("FUNNEL_SERVICE_TOKEN", OTHER)
        settings = {"service_url": url, "token": TOKEN, "check": False}
        with ward_at(client, node_url, plan, **settings) as ward:  # type: ignore[arg-type]
            findings = ward.doctor()
            assert set(bad(findings)) == {"service.token"}
            assert TOKEN not in str(findings)
            assert OTHER not in str(findings)
            ward.shell(bad(findings)["service.token"]["fix"])
            assert bad(ward.doctor()) == {}


def test_without_the_token_the_clusters_view_counts(
    client: OpenSearch, node_url: str, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(client, index_name)
    plan = plan_of(client, index_name)
    monkeypatch.delenv("FUNNEL_SERVICE_TOKEN", raising=False)
    with stand_in(client, engine_url=node_url, token=TOKEN) as url:
        monkeypatch.setenv("FUNNEL_SERVICE_URL", url)
        with ward_at(client, node_url, plan, service_url=url, token=TOKEN) as ward:
            by_name = {one["check"]: one for one in ward.doctor()}
            assert by_name["service.plan"]["level"] == "skipped"
            assert by_name["service.from_node"]["level"] == "ok"
            assert by_name["search.upgraded"]["level"] == "ok"
            monkeypatch.setenv("FUNNEL_SERVICE_TOKEN", OTHER)
            found = bad(ward.doctor())
            assert {n: one["level"] for n, one in found.items()} == {"service.token": "warning"}


def test_a_stranger_at_the_address_is_no_service(
    client: OpenSearch, node_url: str, index_name: str
) -> None:
    fill(client, index_name)
    plan = plan_of(client, index_name)
    with ward_at(client, node_url, plan, service_url=node_url, check=False) as ward:
        found = bad(ward.doctor())
        assert set(found) == {"service.reachable"}
        assert "is not funnel serve" in found["service.reachable"]["finding"]


def test_a_pipeline_that_nobody_uses_is_named(
    client: OpenSearch, node_url: str, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(client, index_name)
    plan = plan_of(client, index_name)
    with stand_in(client, engine_url=node_url) as url:
        monkeypatch.setenv("FUNNEL_SERVICE_URL", url)
        with applied(client, plan, service_url=url) as done:
            ward = Ward(
                client=client,
                url=node_url,
                service_url=url,
                index=index_name,
                plan=plan,
                applied=done,
                folder=Path.cwd(),
            )
            for _ in range(2):  # looking at it is no use of it
                assert set(bad(ward.doctor())) == {"pipeline.default"}
            client.search(index=index_name, params={"search_pipeline": done.name}, body={})
            assert bad(ward.doctor()) == {}
