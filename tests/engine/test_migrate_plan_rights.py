"""Planning for users who may not do everything, or do not see everything."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import (
    EngineDeniedError,
)
from tests.engine.migrations import films, make_source
from tests.engine.other_answers import answered, denied
from tests.engine.plans import (
    DOCUMENTS,
    forget_all,
    planned,
    proxied,
    refused,
    source_of_films,
)

pytestmark = pytest.mark.engine


@pytest.fixture
def alias(client: OpenSearch, index_name: str) -> Iterator[str]:
    """A free alias; the record of its migration goes with it."""
    yield index_name
    forget_all(client, index_name)


@pytest.fixture
def source(client: OpenSearch, alias: str) -> str:
    """An index with films behind the alias."""
    return source_of_films(client, alias)


NEEDED = {
    "GET /_resolve/index/[^.]*": "indices:admin/resolve/index",
    "GET /[^/_.][^/]*": "indices:admin/get",
    "GET /[^/]*/_stats/docs,store": "indices:monitor/stats",
    "GET /_cluster/health/.*": "cluster:monitor/health",
    "POST /[^/_.][^/]*/_search": "indices:data/read/search",
    "POST /[^/]*/_refresh": "indices:admin/refresh",
    "GET /_index_template": "indices:admin/index_template/get",
    "POST /_index_template/_simulate_index/.*": "indices:admin/index_template/simulate_index",
}


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize(("call", "action"), NEEDED.items())
def test_a_right_that_is_missing_is_named(
    node_url: str, alias: str, call: str, action: str
) -> None:
    with proxied(node_url, {call: denied(action)}) as limited:
        reason = refused(limited, alias, kind=EngineDeniedError)
    assert f"needs the right {action}, which user ann does not have" in reason


@pytest.mark.usefixtures("source")
@pytest.mark.parametrize("call", ["GET /_nodes/stats/fs", "GET /_cluster/settings"])
def test_a_plan_can_do_without_seeing_the_machines(node_url: str, alias: str, call: str) -> None:
    with proxied(node_url, {call: denied("cluster:monitor/x")}) as limited:
        risks = planned(limited, alias).report.risks
    (found,) = [one for one in risks if one.startswith("whether the target fits on the disks")]
    assert "needs the right cluster:monitor/x" in found


def _fewer(asked: Any, answer: Any) -> tuple[int, Any]:
    if asked and asked.get("size") == 0:
        answer["hits"]["total"]["value"] -= 1
    return 200, answer


def test_a_user_who_sees_a_part_of_the_index_is_refused(
    node_url: str, alias: str, source: str
) -> None:
    with proxied(node_url, {f"POST /{source}/_search": _fewer}) as limited:
        reason = refused(limited, alias)
    assert f"sees {DOCUMENTS - 1} of the {DOCUMENTS} documents" in reason
    assert "no document-level security" in reason


def test_writers_at_work_are_not_taken_for_a_user_who_sees_a_part(
    client: OpenSearch, alias: str, source: str
) -> None:
    """What is deleted and what is written between two counts is in one of them only."""
    stopped = Event()

    def write() -> None:
        number = DOCUMENTS
        while not stopped.is_set():
            films(client, source, [number])
            client.delete(index=source, id=f"d{number - DOCUMENTS}")
            number += 1

    with ThreadPoolExecutor() as pool:
        writer = pool.submit(write)
        try:
            for _ in range(5):
                planned(client, alias, measured=False)
        finally:
            stopped.set()
        writer.result()


def test_with_nested_documents_it_cannot_be_told_what_a_user_sees(
    node_url: str, client: OpenSearch, alias: str
) -> None:
    nested = {"type": "nested", "properties": {"words": {"type": "text"}}}
    name = make_source(client, alias, properties={"cast": nested})
    body = {"title": "a film", "cast": [{"words": "x"}, {"words": "y"}]}
    client.index(index=name, id="1", body=body, params={"refresh": "true"})
    assert not [one for one in planned(client, alias).report.risks if "document-level" in one]
    secured = {"GET /_plugins/_security/authinfo": answered({"user_name": "ann"})}
    with proxied(node_url, secured) as limited:
        risks = planned(limited, alias).report.risks
    assert [one for one in risks if "nested documents are counted along" in one]


def test_under_the_security_plugin_hidden_fields_are_a_risk(
    node_url: str, alias: str, source: str
) -> None:
    del source
    secured = {"GET /_plugins/_security/authinfo": answered({"user_name": "ann"})}
    with proxied(node_url, secured) as limited:
        risks = planned(limited, alias).report.risks
    assert [one for one in risks if "field-level security" in one]


def test_a_policy_that_manages_the_index_is_a_risk(node_url: str, alias: str, source: str) -> None:
    explained = {
        source: {"index.plugins.index_state_management.policy_id": "hot-warm"},
        "total_managed_indices": 1,
    }
    path = f"GET /_plugins/_ism/explain/{source}"
    with proxied(node_url, {path: answered(explained)}) as managed:
        risks = planned(managed, alias).report.risks
    assert [one for one in risks if one.startswith(f"policy hot-warm manages {source}")]
