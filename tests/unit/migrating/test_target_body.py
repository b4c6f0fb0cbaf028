"""The body of a migration's target."""

from __future__ import annotations

from typing import Any

import pytest

from opensearch_funnel.migrating.target_body import (
    finishing_settings,
    ingest_settings,
    loading_settings,
    target_body,
    target_mappings,
    target_settings,
)
from tests.unit.migrating.planning.sources import BY, migration_of, source_of

SPARSE_ONLY = {"a": {"sparse": BY}}


def _settings(given: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return target_settings(migration_of(source_of(settings=given), **changes))


def test_the_source_stays_and_the_slot_is_added() -> None:
    mappings = {
        "dynamic": "strict",
        "_routing": {"required": True},
        "_meta": {"owner": "ann"},
        "dynamic_templates": [{"s": {"match": "s*", "mapping": {"type": "keyword"}}}],
        "properties": {"title": {"type": "text", "analyzer": "mine"}},
    }
    made = target_mappings(migration_of(source_of(mappings=mappings)))
    funnel = made["properties"].pop("funnel")["properties"]
    meta = made["_meta"].pop("funnel")
    assert made == mappings
    assert {name: field["type"] for name, field in funnel.items()} == {
        "id": "keyword",
        "origin": "long",
        "model": "keyword",
        "hash": "keyword",
        "state": "keyword",
        "sparse_a": "rank_features",
        "dense_a": "knn_vector",
    }
    assert funnel["dense_a"]["dimension"] == 3
    assert meta == {
        "schema": 1,
        "slots": {"a": {"sparse": BY, "dense": BY}},
        "text_fields": ["title"],
    }


def test_slots_that_are_kept_stay_and_others_go() -> None:
    vector = {"type": "knn_vector", "dimension": 7}
    funnel = {"id": {"type": "keyword"}, "dense_a": vector, "dense_c": vector}
    meta = {"slots": {"a": {"dense": BY}}, "plan": "p", "loading": {}}
    source = source_of(
        mappings={"_meta": {"funnel": meta}, "properties": {"funnel": {"properties": funnel}}}
    )
    slots = {"a": {"dense": BY}, "b": {"sparse": BY}}
    made = target_mappings(migration_of(source, slot="b", slots=slots, kept_slots=("a",)))
    fields = made["properties"]["funnel"]["properties"]
    assert fields["dense_a"] == vector
    assert {"sparse_b", "id", "origin"} <= fields.keys()
    assert not {"dense_c", "dense_b"} & fields.keys()
    assert made["_meta"]["funnel"]["plan"] == "p"
    assert "loading" not in made["_meta"]["funnel"]


def test_settings_of_the_source_are_taken_over_but_for_its_own() -> None:
    made = _settings(
        {
            "codec": "best_compression",
            "analysis": {"analyzer": {"mine": {"type": "english"}}},
            "sort": {"field": ["year"]},
            "version": {"created": "1"},
            "creation_date": "1",
            "provided_name": "films-1",
            "resize": {"source": {"name": "x"}},
            "blocks": {"write": "true", "read_only": None},
            "routing": {"allocation": {"initial_recovery": {"_id": None}, "require": {"z": "1"}}},
            "plugins": {"index_state_management": {"rollover_alias": "films"}},
        },
        slots=SPARSE_ONLY,
        dimension=0,
    )
    assert made == {
        "index.codec": "best_compression",
        "index.analysis.analyzer.mine.type": "english",
        "index.sort.field": ["year"],
        "index.routing.allocation.require.z": "1",
        "index.number_of_shards": "2",
        "index.number_of_replicas": "1",
    }


def test_vectors_need_a_setting_and_documents_are_kept_as_they_were_sent() -> None:
    assert _settings({})["index.knn"] == "true"
    assert _settings({})["index.knn.derived_source.enabled"] == "false"
    own = {"knn": "true", "knn.derived_source": {"enabled": "true"}}
    assert _settings(own)["index.knn.derived_source.enabled"] == "true"


@pytest.mark.parametrize(("shards", "kept"), [(2, True), (3, False)])
def test_routing_shards_go_where_the_number_of_shards_changes(shards: int, kept: bool) -> None:
    made = _settings({"number_of_routing_shards": "8"}, shards=shards)
    assert made["index.number_of_shards"] == str(shards)
    assert ("index.number_of_routing_shards" in made) == kept


@pytest.mark.parametrize(("fields", "raised"), [(90, True), (5, False)])
def test_the_limit_of_fields_is_raised_where_it_is_near(fields: int, raised: bool) -> None:
    properties = {f"f{n}": {"type": "keyword"} for n in range(fields)}
    limit = {"mapping": {"total_fields": {"limit": "150"}}}
    source = source_of(mappings={"properties": properties}, settings=limit)
    made = target_settings(migration_of(source))
    assert made["index.mapping.total_fields.limit"] == ("170" if raised else "150")


def test_the_default_limit_is_raised_too() -> None:
    properties = {f"f{n}": {"type": "keyword"} for n in range(950)}
    made = target_settings(migration_of(source_of(mappings={"properties": properties})))
    assert made["index.mapping.total_fields.limit"] == "1020"


def test_while_loading_nothing_is_refreshed_copied_or_run_through_pipelines() -> None:
    given = {
        "refresh_interval": "5s",
        "auto_expand_replicas": "0-1",
        "default_pipeline": "mine",
        "final_pipeline": "last",
        "search": {"default_pipeline": "found"},
    }
    migration = migration_of(source_of(settings=given))
    loading = loading_settings(migration)
    assert loading["index.refresh_interval"] == "-1"
    assert loading["index.number_of_replicas"] == "0"
    assert loading["index.auto_expand_replicas"] == "false"
    assert loading["index.default_pipeline"] == loading["index.final_pipeline"] == "_none"
    assert loading["index.search.default_pipeline"] == "found"
    back = {**loading, **finishing_settings(migration), **ingest_settings(migration)}
    assert back == target_settings(migration)


def test_what_the_source_leaves_to_the_default_comes_back_as_the_default() -> None:
    migration = migration_of(source_of())
    assert finishing_settings(migration) == {
        "index.refresh_interval": None,
        "index.number_of_replicas": "1",
    }
    assert ingest_settings(migration) == {
        "index.default_pipeline": None,
        "index.final_pipeline": None,
    }


def test_the_target_is_written_through_an_alias_of_its_own() -> None:
    migration = migration_of(source_of(aliases={"films": {}, "movies": {"filter": {}}}))
    body = target_body(migration)
    assert body["aliases"].keys() == {migration.writing_alias}
    assert body["settings"] == loading_settings(migration)
    assert body["mappings"] == target_mappings(migration)
