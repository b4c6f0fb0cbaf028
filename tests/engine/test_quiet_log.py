"""What the engine writes into its log because of a search pipeline; on the real node."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Reranking
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.engine.service_access import LOG_LEVEL
from opensearch_funnel.testing import DownScorer, WordVector, WordWeights
from tests.engine.shelf import fill_index, stand_in_service

pytestmark = pytest.mark.engine

SPARSE, DENSE = WordWeights(), WordVector()
FOX = {"query": {"match": {"text": "red fox"}}}
UNTOUCHED: dict[str, Any] = {"query": {"match_all": {}}}
LEVELS = {"persistent", "transient"}


class NodeLog:
    """The file that the node writes, from a moment on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = path.stat().st_size

    def lines(self) -> list[str]:
        """Return what was written since, once nothing more comes."""
        size = -1
        while size != (size := self.path.stat().st_size):
            time.sleep(0.3)
        with self.path.open(encoding="utf-8") as log:
            log.seek(self.start)
            return log.read().splitlines()


@pytest.fixture
def since(client: OpenSearch) -> Callable[[], NodeLog]:
    """Start to watch the node's log; it lies on this machine."""
    (node,) = client.nodes.info(metric="settings")["nodes"].values()
    settings = node["settings"]
    path = Path(settings["path"]["logs"]) / f"{settings['cluster']['name']}.log"
    assert os.access(path, os.R_OK), f"the log of the node is not at {path}"
    return lambda: NodeLog(path)


@pytest.fixture(scope="module")
def url(client: OpenSearch) -> Iterator[str]:
    """A service whose reranker fails: the one error that has to be seen."""
    models = PlanModels(sparse=SPARSE, dense=DENSE, reranker=DownScorer())
    with stand_in_service(client, models=models) as address:
        yield address


@pytest.fixture
def index(client: OpenSearch, index_name: str) -> Iterator[str]:
    fill_index(client, index_name, {"d0": {"text": "a red fox"}, "d1": {"text": "a whale"}})
    assert level(client) is None, "somebody set it before"
    yield index_name
    client.cluster.put_settings(
        body={kind: {LOG_LEVEL: None, "logger.org.opensearch.search": None} for kind in LEVELS}
    )


@contextmanager
def applied(client: OpenSearch, index: str, *, url: str, **options: Any) -> Iterator[str]:
    patient = Deadlines(rewrite_ms=20_000, rank_ms=20_000)
    plan = FunnelPlan(alias=index, deadlines=patient, rerank=Reranking(enabled=True))
    name = options.pop("name", None)
    done = apply_pipeline(
        client, bound_plan(client, plan), service_url=url, name=name, default=True, **options
    )
    try:
        yield done.name
    finally:
        remove_pipeline(client, done.name)


def level(client: OpenSearch) -> str | None:
    found = client.cluster.get_settings(params={"flat_settings": "true"})
    value: str | None = found["persistent"].get(LOG_LEVEL)
    return value


def test_a_request_that_passes_untouched_leaves_no_line_in_the_log(
    client: OpenSearch, index: str, url: str, since: Callable[[], NodeLog]
) -> None:
    with applied(client, index, url=url):
        client.search(index=index, body=UNTOUCHED)  # opens the connections
        log = since()
        for _ in range(5):
            assert len(client.search(index=index, body=UNTOUCHED)["hits"]["hits"]) == 2
        assert client.count(index=index)["count"] == 2
        client.delete_by_query(index=index, body={"query": {"term": {"funnel.id": "none"}}})
        # What is informed of is the node's own work: tasks of the models that were deployed.
        assert [line for line in log.lines() if "[INFO ]" not in line] == []


def test_without_it_the_log_fills_up(
    client: OpenSearch, index: str, url: str, since: Callable[[], NodeLog]
) -> None:
    with applied(client, index, url=url, quiet_log=False):
        assert level(client) is None
        log = since()
        client.search(index=index, body=UNTOUCHED)
        # 28 lines, until the node's compiler leaves the stack of so frequent an error out.
        assert any("was ignored" in line for line in log.lines())


def test_why_a_stage_failed_is_still_logged(
    client: OpenSearch, index: str, url: str, since: Callable[[], NodeLog]
) -> None:
    with applied(client, index, url=url):
        log = since()
        assert degraded(client.search(index=index, body=FOX))
        assert any("ERROR" in line and "no answer for" in line for line in log.lines())


def test_the_level_holds_as_long_as_one_pipeline_wants_it(
    client: OpenSearch, index: str, url: str
) -> None:
    with applied(client, index, url=url, name=f"{index}-loud", quiet_log=False):
        assert level(client) is None
        with applied(client, index, url=url, name=f"{index}-quiet"):
            assert level(client) == "ERROR"
            with applied(client, index, url=url, name=f"{index}-too"):
                pass
            assert level(client) == "ERROR"
        assert level(client) is None


def test_applying_again_changes_the_mind_about_the_log(
    client: OpenSearch, index: str, url: str
) -> None:
    with applied(client, index, url=url) as name:
        record = state.load_pipeline(client, name)
        assert record is not None
        plan = state.load_plan(client, record.plan_id)
        loud = apply_pipeline(client, plan, service_url=url, quiet_log=False)
        assert level(client) is None
        assert loud.models == record.models, "nothing else was made again"
        apply_pipeline(client, plan, service_url=url)
        assert level(client) == "ERROR"


@pytest.mark.parametrize("kind", sorted(LEVELS))
@pytest.mark.parametrize("setting", [LOG_LEVEL, "logger.org.opensearch.search"])
def test_a_level_that_somebody_set_stays(
    client: OpenSearch, index: str, url: str, kind: str, setting: str
) -> None:
    client.cluster.put_settings(body={kind: {setting: "INFO"}})
    before = client.cluster.get_settings(params={"flat_settings": "true"})
    with applied(client, index, url=url):
        during = client.cluster.get_settings(params={"flat_settings": "true"})
        assert during["persistent"].get(LOG_LEVEL) == before["persistent"].get(LOG_LEVEL)
    assert client.cluster.get_settings(params={"flat_settings": "true"}) == before


def test_a_level_that_was_changed_meanwhile_stays(client: OpenSearch, index: str, url: str) -> None:
    with applied(client, index, url=url):
        client.cluster.put_settings(body={"persistent": {LOG_LEVEL: "DEBUG"}})
    assert level(client) == "DEBUG"
