"""The target has all that the source has, and keeps documents as they were sent: on a real node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.engine.scanning import read_page, shard_bounds
from opensearch_funnel.migrating.target import (
    finish_target,
    make_target,
    put_ingest_pipelines,
)
from opensearch_funnel.migrating.target_body import (
    target_settings,
)
from tests.engine.migrations import Vectors, films, make_source, stand_in
from tests.engine.plans import forget_all, mappings_of, saved, settings_of

pytestmark = pytest.mark.engine


@pytest.fixture
def alias(client: OpenSearch, index_name: str) -> Iterator[str]:
    """A free alias; the record of its migration goes with it."""
    yield index_name
    forget_all(client, index_name)


RICH: dict[str, Any] = {
    "settings": {
        "index": {
            "number_of_shards": 2,
            "number_of_replicas": 0,
            "number_of_routing_shards": 8,
            "codec": "best_compression",
            "refresh_interval": "7s",
            "max_result_window": 20_000,
            "sort": {"field": ["year", "day"], "order": ["desc", "asc"]},
            "mapping": {"total_fields": {"limit": 60}, "ignore_malformed": True},
            "search": {"slowlog": {"threshold": {"query": {"warn": "9s"}}}, "idle.after": "20m"},
            "indexing.slowlog.threshold.index.info": "8s",
            "translog": {"durability": "async", "sync_interval": "9s"},
            "query.default_field": ["title", "text"],
            "similarity": {"flat": {"type": "BM25", "b": 0.1, "k1": 1.1}},
            "analysis": {
                "char_filter": {"dash": {"type": "mapping", "mappings": ["- => _"]}},
                "filter": {"same": {"type": "synonym", "synonyms": ["car, auto", "tv => set"]}},
                "analyzer": {
                    "mine": {
                        "type": "custom",
                        "char_filter": ["dash"],
                        "tokenizer": "standard",
                        "filter": ["lowercase", "same"],
                    }
                },
                "normalizer": {"low": {"type": "custom", "filter": ["lowercase"]}},
            },
        }
    },
    "mappings": {
        "dynamic": "strict",
        "date_detection": False,
        "numeric_detection": True,
        "dynamic_date_formats": ["yyyy"],
        "_meta": {"owner": "ann", "nested": {"of": ["many"]}},
        "_routing": {"required": True},
        "dynamic_templates": [
            {"s": {"match_mapping_type": "string", "mapping": {"type": "keyword"}}},
            {"l": {"match": "l_*", "mapping": {"type": "long", "index": False}}},
        ],
        "derived": {"shout": {"type": "keyword", "script": {"source": "emit('x')"}}},
        "properties": {
            "title": {
                "type": "text",
                "analyzer": "mine",
                "search_analyzer": "standard",
                "similarity": "flat",
                "copy_to": ["everything"],
                "fields": {
                    "raw": {"type": "keyword", "normalizer": "low", "ignore_above": 40},
                    "en": {"type": "text", "analyzer": "english"},
                },
            },
            "text": {"type": "text", "index_options": "offsets", "term_vector": "yes"},
            "everything": {"type": "text"},
            "year": {"type": "integer", "coerce": False},
            "day": {"type": "date", "format": "yyyy-MM-dd||epoch_millis"},
            "price": {"type": "scaled_float", "scaling_factor": 100.0},
            "rel": {"type": "join", "relations": {"film": ["review", "scene"]}},
            "cast": {"properties": {"name": {"type": "text"}, "age": {"type": "short"}}},
            "open": {"type": "object", "dynamic": "true"},
            "off": {"type": "object", "enabled": False},
            "flat": {"type": "flat_object"},
            "other": {"type": "alias", "path": "year"},
            "where": {"type": "geo_point"},
            "from": {"type": "ip", "null_value": "::1"},
            "soon": {"type": "completion", "max_input_length": 33},
            "typed": {"type": "search_as_you_type", "max_shingle_size": 4},
            "rank": {"type": "rank_feature", "positive_score_impact": False},
            "vector": {"type": "binary"},
            "one": {"type": "constant_keyword", "value": "film"},
        },
    },
}


def _rich(client: OpenSearch, alias: str) -> str:
    body = {**RICH, "aliases": {alias: {"is_write_index": True}, f"{alias}-x": {"routing": "r"}}}
    client.indices.create(index=f"{alias}-1", body=body)
    film = {"title": "a film", "text": "of thieves and a city", "rel": "film", "year": 1}
    for number in range(5):
        client.index(index=f"{alias}-1", id=str(number), body=film, params={"routing": "r"})
    return f"{alias}-1"


def test_everything_of_a_rich_index_is_in_the_target(client: OpenSearch, alias: str) -> None:
    """What ``GET`` says of the two is the same, but for what a plan says that it changes."""
    source = _rich(client, alias)
    migration = make_target(client, saved(client, alias))
    finish_target(client, migration)
    put_ingest_pipelines(client, migration)
    made, given = mappings_of(client, migration.target), mappings_of(client, source)
    assert made["properties"].pop("funnel")["properties"].keys() == {
        "id",
        "origin",
        "model",
        "hash",
        "state",
        "sparse_a",
        "dense_a",
    }
    assert made["_meta"].pop("funnel")["slots"] == migration.slots
    assert made == given
    assert settings_of(client, migration.target) == {
        **settings_of(client, source),
        "index.knn": "true",
        "index.knn.derived_source.enabled": "false",
        "index.mapping.total_fields.limit": "80",
    }
    assert settings_of(client, migration.target) == target_settings(migration)


def test_a_target_of_sparse_fields_alone_has_the_settings_of_the_source(
    client: OpenSearch, alias: str
) -> None:
    source = make_source(client, alias)
    films(client, source, range(3))
    encoder = replace(stand_in(), dense=None)
    migration = make_target(client, saved(client, alias, encoder=encoder))
    finish_target(client, migration)
    put_ingest_pipelines(client, migration)
    assert settings_of(client, migration.target) == settings_of(client, source)


SENT = '{"title" : "a", "price": 1.50, "big": 12345678901234567890.5, "funnel": {"dense_a": [1,2]}}'


def _read_back(client: OpenSearch, index: str) -> bytes:
    """Write a document, and read it as the engine gives it back."""
    client.transport.perform_request("PUT", f"/{index}/_doc/1", body=SENT)
    (shard,) = (s for s, bound in shard_bounds(client, index).items() if bound >= 0)
    (found,) = read_page(client, index, shard=shard, after=-1, upto=0, size=1)
    return found.source


def test_documents_are_kept_as_they_were_sent(client: OpenSearch, alias: str) -> None:
    films(client, make_source(client, alias), range(5))
    encoder = replace(stand_in(), dense=Vectors(dimension=2))
    made = make_target(client, saved(client, alias, encoder=encoder))
    assert _read_back(client, made.target) == SENT.encode()


def test_by_default_the_engine_writes_documents_with_vectors_anew(
    client: OpenSearch, index_name: str
) -> None:
    """A fact that the target's settings rest on."""
    slot = replace(stand_in(), dense=Vectors(dimension=2)).slot
    body = {"settings": {"index.knn": True}, "mappings": slot.mapping}
    client.indices.create(index=index_name, body=body)
    found = _read_back(client, index_name)
    assert found != SENT.encode()
    assert b'"price":1.5,' in found


def test_neither_pipeline_runs_over_copies_until_the_end(client: OpenSearch, alias: str) -> None:
    """A final pipeline runs on a write that asks for no pipeline, too."""
    name = alias
    for pipeline in ("first", "last"):
        body = {"processors": [{"set": {"field": pipeline, "value": 1}}]}
        client.ingest.put_pipeline(id=f"{name}-{pipeline}", body=body)
    try:
        pipelines: dict[str, Any] = {
            "index.default_pipeline": f"{name}-first",
            "index.final_pipeline": f"{name}-last",
        }
        source = make_source(client, alias, **pipelines)
        client.index(index=source, id="1", body={"title": "a film"}, params={"pipeline": "_none"})
        assert client.get(index=source, id="1")["_source"] == {"title": "a film", "last": 1}
        migration = make_target(client, saved(client, alias))
        none = {"pipeline": "_none", "require_alias": "true"}
        copy = {"title": "a film", "last": 0}
        client.index(index=migration.writing_alias, id="1", body=copy, params=none)
        assert client.get(index=migration.target, id="1")["_source"] == copy
        finish_target(client, migration)
        client.index(index=migration.writing_alias, id="2", body=copy, params=none)
        assert client.get(index=migration.target, id="2")["_source"] == copy
        put_ingest_pipelines(client, migration)
        client.index(index=migration.target, id="3", body={"title": "new"})
        assert client.get(index=migration.target, id="3")["_source"] == {
            "title": "new",
            "first": 1,
            "last": 1,
        }
    finally:
        client.indices.delete(index=f"{name}*")
        for pipeline in ("first", "last"):
            client.ingest.delete_pipeline(id=f"{name}-{pipeline}")
