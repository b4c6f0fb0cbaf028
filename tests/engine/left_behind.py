"""What applying a pipeline can leave in a cluster."""

from __future__ import annotations

from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.records import STATE_INDEX


def known_pipelines(client: OpenSearch, index: str) -> list[str]:
    """Return the pipelines of an index that are applied, or were half applied."""
    keys = [key.partition(":") for key in documents(client) if index in key]
    return sorted({name for kind, _, name in keys if kind != "plan"})


def documents(client: OpenSearch) -> dict[str, Any]:
    """Return what the state index holds, by id."""
    found = client.search(
        index=STATE_INDEX, body={"size": 1000}, params={"ignore_unavailable": "true"}
    )
    return {hit["_id"]: hit["_source"] for hit in found["hits"]["hits"]}


def left(client: OpenSearch) -> dict[str, Any]:
    """Return everything that applying a pipeline can leave in a cluster."""
    found: dict[str, Any] = {
        "state": documents(client),
        "settings": client.cluster.get_settings(params={"flat_settings": "true"}),
        "pipelines": pipelines(client),
        "ingest": none_of_that(client, "GET", "/_ingest/pipeline"),
        "defaults": client.indices.get_settings(
            index="_all",
            name="index.*default_pipeline",
            params={"expand_wildcards": "all", "flat_settings": "true"},
        ),
    }
    for kind in ("models", "connectors", "model_groups"):
        path = f"/_plugins/_ml/{kind}/_search"
        body = {"query": {"match_all": {}}, "size": 1000}
        answer = none_of_that(client, "POST", path, body=body)
        found[kind] = {hit["_id"] for hit in answer["hits"]["hits"]} if answer else set()
    return found


def pipelines(client: OpenSearch) -> dict[str, Any]:
    return none_of_that(client, "GET", "/_search/pipeline")


def none_of_that(client: OpenSearch, method: str, path: str, **options: Any) -> dict[str, Any]:
    """Ask for all of a kind; a cluster that never had one answers 404."""
    try:
        answer: dict[str, Any] = client.transport.perform_request(method, path, **options)
    except EngineError as error:
        if error.status != 404:
            raise
        return {}
    return answer
