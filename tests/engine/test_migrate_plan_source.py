"""Which indices are refused, on a real node: by their name, and by what they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import (
    FunnelError,
    IndexMissingError,
    InputError,
)
from tests.engine.migrations import films, make_source
from tests.engine.plans import (
    forget_all,
    planned,
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


def test_an_index_is_no_alias_and_both_ways_out_are_named(
    client: OpenSearch, alias: str, source: str
) -> None:
    del alias
    reason = refused(client, source)
    assert f"{source} is an index" in reason
    assert f"add alias {source}-live to {source}" in reason
    assert f"POST {source}/_clone/{source}-1" in reason


def test_the_way_out_with_a_clone_works(client: OpenSearch, index_name: str) -> None:
    """As the refusal says: after it, the name is an alias, writes pass and it can be planned."""
    client.indices.create(index=index_name, body={"settings": {"number_of_replicas": 0}})
    films(client, index_name, range(3))
    client.indices.add_block(index=index_name, block="write")
    client.indices.clone(
        index=index_name,
        target=f"{index_name}-1",
        body={"settings": {"index.blocks.write": None}},
    )
    client.indices.update_aliases(
        body={
            "actions": [
                {"remove_index": {"index": index_name}},
                {"add": {"index": f"{index_name}-1", "alias": index_name}},
            ]
        }
    )
    films(client, index_name, [3])
    client.indices.refresh(index=index_name)
    assert planned(client, index_name).report.documents == 4


def test_an_alias_over_several_indices_is_refused(
    client: OpenSearch, alias: str, source: str
) -> None:
    body = {"aliases": {alias: {"is_write_index": True}}}
    client.indices.create(index=f"{alias}-2", body=body)
    reason = refused(client, alias)
    assert f"2 indices ({source}, {alias}-2; writes go to {alias}-2)" in reason
    assert "an alias of its own" in reason
    client.indices.put_alias(index=source, name=f"{alias}-own")
    assert planned(client, f"{alias}-own").report.aliases.keys() == {alias, f"{alias}-own"}


def test_an_alias_over_several_without_a_write_index(client: OpenSearch, alias: str) -> None:
    make_source(client, alias)
    client.indices.create(index=f"{alias}-2", body={"aliases": {alias: {}}})
    assert "with no write index" in refused(client, alias)


def test_a_data_stream_is_refused(client: OpenSearch, index_name: str) -> None:
    body = {"index_patterns": [index_name], "data_stream": {}}
    client.indices.put_index_template(name=index_name, body=body)
    try:
        client.indices.create_data_stream(name=index_name)
        assert f"{index_name} is a data stream" in refused(client, index_name)
        client.indices.delete_data_stream(name=index_name)
    finally:
        client.indices.delete_index_template(name=index_name)


def test_a_closed_index_is_refused(client: OpenSearch, alias: str, source: str) -> None:
    client.indices.close(index=source)
    assert f"is closed: POST {source}/_open" in refused(client, alias)


@pytest.mark.parametrize(
    ("name", "kind", "reason"),
    [
        ("test-there-is-none", IndexMissingError, "no alias test-there-is-none"),
        ("a,b", InputError, "not the name of one alias"),
        ("a*", InputError, "not the name of one alias"),
        ("", InputError, "not the name of one alias"),
        ("far:films", InputError, "names another cluster"),
    ],
)
def test_names_that_stand_for_nothing(
    client: OpenSearch, name: str, kind: type[FunnelError], reason: str
) -> None:
    with pytest.raises(kind, match=reason):
        planned(client, name)


# What the index is


@pytest.mark.parametrize(
    ("settings", "mappings", "reason"),
    [
        ({"index.append_only.enabled": True}, {}, "index.append_only.enabled"),
        ({"index.derived_source.enabled": True}, {}, "index.derived_source.enabled"),
        ({"index.blocks.write": True}, {}, "index.blocks.write"),
        ({"index.blocks.read_only": True}, {}, "index.blocks.read_only"),
        ({}, {"_source": {"enabled": False}}, "_source.enabled is false"),
        ({}, {"_source": {"excludes": ["price"]}}, "_source.excludes"),
        ({}, {"_source": {"includes": ["title"]}}, "_source.includes"),
        ({}, {"properties": {"funnel": {"type": "keyword"}}}, "'funnel' of its own"),
    ],
)
def test_indices_that_cannot_be_copied(
    client: OpenSearch,
    alias: str,
    settings: dict[str, Any],
    mappings: dict[str, Any],
    reason: str,
) -> None:
    title = {"type": "text", "store": True}
    properties = {"title": title, **mappings.get("properties", {})}
    body = {
        "settings": {"number_of_replicas": 0, **settings},
        "mappings": {**mappings, "properties": properties},
        "aliases": {alias: {}},
    }
    client.indices.create(index=f"{alias}-1", body=body)
    assert reason in refused(client, alias)
    if "index.blocks.read_only" in settings:
        client.indices.put_settings(index=f"{alias}-1", body={"index.blocks.read_only": None})


def test_a_red_index_is_refused(client: OpenSearch, alias: str) -> None:
    body = {
        "settings": {"index.routing.allocation.require._name": "nobody", "number_of_replicas": 0},
        "aliases": {alias: {}},
    }
    nobody = {"wait_for_active_shards": "0"}
    client.indices.create(index=f"{alias}-1", body=body, params=nobody)
    assert "its health is red" in refused(client, alias)


def test_documents_with_a_funnel_field_of_their_own_are_refused(
    client: OpenSearch, alias: str
) -> None:
    body = {
        "mappings": {"dynamic": False, "properties": {"title": {"type": "text"}}},
        "aliases": {alias: {}},
    }
    client.indices.create(index=f"{alias}-1", body=body)
    client.index(index=alias, id="1", body={"title": "Heat", "funnel": "red"})
    assert "have a field 'funnel' of their own" in refused(client, alias)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (["nope"], "no field 'nope' in the mapping; fields with text: text, title"),
        (["price"], "'price' is of type"),
        (["cast.words"], "inside of cast"),
    ],
)
def test_fields_that_are_no_text_are_refused(
    client: OpenSearch, alias: str, fields: list[str], reason: str
) -> None:
    nested = {"type": "nested", "properties": {"words": {"type": "text"}}}
    name = make_source(client, alias, properties={"cast": nested, "price": {"type": "float"}})
    films(client, name, range(3))
    assert reason in refused(client, alias, text_fields=fields)


def test_an_index_without_text_is_refused(client: OpenSearch, alias: str) -> None:
    body = {"mappings": {"properties": {"n": {"type": "integer"}}}, "aliases": {alias: {}}}
    client.indices.create(index=f"{alias}-1", body=body)
    assert "the mapping has no text field" in refused(client, alias)


def test_routing_and_other_shards_do_not_go_together(
    client: OpenSearch, alias: str, source: str
) -> None:
    assert planned(client, alias, shards=3).migration.shards == 3
    client.index(index=source, id="r", body={"title": "x"}, params={"routing": "a"})
    client.indices.refresh(index=source)
    reason = refused(client, alias, shards=3)
    assert f"1 documents of {source} were written with routing" in reason
    assert "leave --shards out (2)" in reason
    assert planned(client, alias).migration.shards == 2
    assert planned(client, alias, shards=2).migration.shards == 2


def test_an_index_that_gives_out_small_pages_only_is_planned(
    client: OpenSearch, alias: str
) -> None:
    name = make_source(client, alias, max_result_window=20)
    films(client, name, range(300))
    client.indices.refresh(index=name)
    report = planned(client, alias, sample=100).report
    assert report.documents == 300
