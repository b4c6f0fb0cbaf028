"""The ingest pipeline that an index had runs before ours, refuses as before, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.applying import apply_pipeline, remove_pipeline
from tests.engine.ingest_defaults import (
    DEFAULT,
    cleaned_index,
    default_of,
    make_index,
    plan_for,
    their_pipeline,
)
from tests.engine.live import bulk, fake_service, funnel_of, ready, refused
from tests.engine.shelf import stand_in_service

pytestmark = pytest.mark.engine

FOX = "a red fox"


@pytest.fixture
def url(client: OpenSearch) -> Iterator[str]:
    with stand_in_service(client) as address:
        yield address


@pytest.fixture
def index(client: OpenSearch, index_name: str) -> Iterator[str]:
    with cleaned_index(client, index_name):
        yield index_name


def outcomes(client: OpenSearch, index: str) -> list[tuple[Any, ...]]:
    """Write a good document, one that theirs refuses, and one that theirs drops; in both ways."""
    sources = {"good": {"text": FOX}, "bad": {"bad": True}, "drop": {"drop": True}}
    found: list[tuple[Any, ...]] = []
    for doc_id, source in sources.items():
        try:
            found.append((client.index(index=index, id=doc_id, body=source)["result"],))
        except EngineError as error:
            found.append((error.status, str(error)))
    lines = [
        line
        for doc_id, source in sources.items()
        for line in ({"index": {"_index": index, "_id": f"bulk-{doc_id}"}}, source)
    ]
    found += [(one["status"], one.get("error", {}).get("reason")) for one in bulk(client, *lines)]
    found.append((client.count(index=index)["count"],))
    return found


def test_their_pipeline_runs_first_and_refuses_and_drops_as_before(
    client: OpenSearch, index: str, url: str
) -> None:
    theirs = their_pipeline(client, index)
    before = outcomes(client, index)
    client.delete_by_query(
        index=index, body={"query": {"match_all": {}}}, params={"refresh": "true"}
    )
    done = apply_pipeline(client, plan_for(client, index), service_url=url, ingest=True)
    assert done.ingest_of == {index: theirs}
    assert outcomes(client, index) == before
    assert any("theirs refuses this" in str(one) for one in before)
    for doc_id in ("good", "bulk-good"):
        assert client.get(index=index, id=doc_id)["_source"]["by"] == "them"
        assert funnel_of(client, index, doc_id) == ready(FOX, key=doc_id)
    remove_pipeline(client, done.name)
    assert default_of(client, index) == theirs


def test_their_pipeline_refuses_as_before_where_the_service_is_gone(
    client: OpenSearch, index: str
) -> None:
    their_pipeline(client, index)
    with fake_service() as fake:
        fake.says({"error": "x"}, status=500)
        plan = plan_for(client, index)
        apply_pipeline(client, plan, service_url=fake.url, ingest=True, check=False)
        assert "theirs refuses this" in str(refused(client, index, "1", {"bad": True}))
        client.index(index=index, id="2", body={"text": FOX})
    source = client.get(index=index, id="2")["_source"]
    assert source == {"text": FOX, "by": "them", "funnel": {"id": "2", "state": "pending"}}


def test_a_final_pipeline_is_left_alone(client: OpenSearch, index: str, url: str) -> None:
    final = f"{index}-final"
    client.ingest.put_pipeline(
        id=final, body={"processors": [{"set": {"field": "saw", "value": "{{funnel.state}}"}}]}
    )
    client.indices.put_settings(index=index, body={"index.final_pipeline": final})
    apply_pipeline(client, plan_for(client, index), service_url=url, ingest=True)
    client.index(index=index, id="1", body={"text": FOX})
    assert client.get(index=index, id="1")["_source"]["saw"] == "ready"


@pytest.mark.parametrize("none", [None, "_none"])
def test_no_pipeline_on_purpose_comes_back(
    client: OpenSearch, index: str, url: str, none: str | None
) -> None:
    client.indices.put_settings(index=index, body={DEFAULT: none})
    done = apply_pipeline(client, plan_for(client, index), service_url=url, ingest=True)
    client.index(index=index, id="1", body={"text": FOX})
    assert funnel_of(client, index, "1") == ready(FOX, key="1")
    remove_pipeline(client, done.name)
    assert default_of(client, index) == none


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_two_plans_of_one_index_leave_what_was_before(
    client: OpenSearch, index: str, url: str, order: tuple[int, int]
) -> None:
    theirs = their_pipeline(client, index)
    plan = plan_for(client, index)
    for number in (1, 2):
        apply_pipeline(client, plan, service_url=url, name=f"{index}-{number}", ingest=True)
    body = client.ingest.get_pipeline(id=f"{index}-2")[f"{index}-2"]
    assert body["processors"][0] == {"pipeline": {"name": theirs}}
    for number in order:
        client.index(index=index, id="1", body={"text": FOX})
        assert funnel_of(client, index, "1") == ready(FOX, key="1")
        remove_pipeline(client, f"{index}-{number}")
    assert default_of(client, index) == theirs


def test_an_index_that_was_replaced_behind_its_alias_gets_its_own_pipeline_back(
    client: OpenSearch, index: str, url: str
) -> None:
    alias = f"{index}-alias"
    make_index(client, f"{alias}-1", aliases={alias: {}})
    theirs = their_pipeline(client, index, of=f"{alias}-1")
    done = apply_pipeline(client, plan_for(client, alias), service_url=url, ingest=True)
    assert done.ingest_of == {f"{alias}-1": theirs}
    make_index(client, f"{alias}-2")
    actions = [
        {"remove": {"index": f"{alias}-1", "alias": alias}},
        {"add": {"index": f"{alias}-2", "alias": alias}},
    ]
    client.indices.update_aliases(body={"actions": actions})
    done = apply_pipeline(client, plan_for(client, alias), service_url=url)
    assert done.ingest_of == {f"{alias}-2": ""}
    assert default_of(client, f"{alias}-1") == theirs
    client.index(index=alias, id="1", body={"text": FOX})
    assert client.get(index=alias, id="1")["_source"] == {
        "text": FOX,
        "funnel": client.get(index=alias, id="1")["_source"]["funnel"],
    }
    assert funnel_of(client, alias, "1") == ready(FOX, key="1")


@pytest.mark.parametrize("applies", [True, False])
def test_an_index_that_was_made_a_copy_of_gets_their_pipeline_back_too(
    client: OpenSearch, index: str, url: str, applies: bool
) -> None:
    alias = f"{index}-alias"
    make_index(client, f"{alias}-1", aliases={alias: {}})
    theirs = their_pipeline(client, index, of=f"{alias}-1")
    done = apply_pipeline(client, plan_for(client, alias), service_url=url, ingest=True)
    # As a migration leaves it: the target has the settings of its source.
    make_index(client, f"{alias}-2")
    client.indices.put_settings(index=f"{alias}-2", body={DEFAULT: done.name})
    actions = [
        {"remove": {"index": f"{alias}-1", "alias": alias}},
        {"add": {"index": f"{alias}-2", "alias": alias}},
    ]
    client.indices.update_aliases(body={"actions": actions})
    if applies:
        other = apply_pipeline(client, plan_for(client, alias, depth=77), service_url=url)
        assert other.ingest_of == {f"{alias}-2": theirs}
    client.index(index=alias, id="1", body={"text": FOX})
    assert client.get(index=alias, id="1")["_source"]["by"] == "them"
    assert funnel_of(client, alias, "1") == ready(FOX, key="1")
    remove_pipeline(client, done.name)
    for number in (1, 2):
        assert default_of(client, f"{alias}-{number}") == theirs
