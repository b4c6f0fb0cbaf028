"""All that a page may have left in a cluster: read before and after it, and compared."""

from __future__ import annotations

from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.applying import remove_pipeline
from opensearch_funnel.engine.records import STATE_INDEX, delete_record
from opensearch_funnel.engine.state import list_pipelines

State = dict[str, Any]

# What plugins keep for themselves comes with the first request to them, and stays.
OF_PLUGINS = (".plugins-", ".opensearch-", ".opendistro", "top_queries-")
_NOT_FOUND = 404
_MOST = 1000
_PATHS = {
    "search pipeline": "/_search/pipeline",
    "ingest pipeline": "/_ingest/pipeline",
    "snapshot repository": "/_snapshot",
    "index_template": "/_index_template",
    "component_template": "/_component_template",
    "stored script": "/_scripts",
}


def cluster_state(client: OpenSearch) -> State:
    """Read what is in a cluster, each thing under its name, so that two states can be compared."""
    return {**_indices(client), **_named(client), **_settings(client), **_of_ml_commons(client)}


def _indices(client: OpenSearch) -> State:
    state: State = {f"record {doc_id}": "kept" for doc_id, _ in _documents(client, STATE_INDEX)}
    for name, index in _get(client, "/_all", expand_wildcards="all", flat_settings="true").items():
        if name != STATE_INDEX and not name.startswith(OF_PLUGINS):
            state[f"index {name}"] = index
            state[f"documents of {name}"] = _documents(client, name)
    return state


def _named(client: OpenSearch) -> State:
    state: State = {}
    for kind in ("search pipeline", "ingest pipeline", "snapshot repository"):
        for name, body in _get(client, _PATHS[kind]).items():
            state[f"{kind} {name}"] = body
    for kind in ("index_template", "component_template"):
        for one in _get(client, f"/_{kind}").get(f"{kind}s", ()):
            state[f"{kind} {one['name']}"] = one[kind]
    scripts = _get(client, "/_cluster/state/metadata", filter_path="metadata.stored_scripts")
    for name, script in scripts.get("metadata", {}).get("stored_scripts", {}).items():
        state[f"stored script {name}"] = script
    return state


def _settings(client: OpenSearch) -> State:
    scopes = _get(client, "/_cluster/settings", flat_settings="true").items()
    return {f"{scope} setting {n}": v for scope, found in scopes for n, v in found.items()}


def _of_ml_commons(client: OpenSearch) -> State:
    return {
        f"{kind} {one['_id']}": one["_source"].get("name")
        for kind in ("models", "connectors")
        for one in _search(client, f"/_plugins/_ml/{kind}/_search")
    }


def difference(before: State, after: State) -> list[str]:
    """Say in words what is not as it was."""
    added = [f"{name} was left behind" for name in sorted(after.keys() - before.keys())]
    gone = [f"{name} is gone" for name in sorted(before.keys() - after.keys())]
    changed = [
        f"{name} was {before[name]!r} and is {after[name]!r}"
        for name in sorted(before.keys() & after.keys())
        if before[name] != after[name]
    ]
    return [*added, *gone, *changed]


def take_away(client: OpenSearch, before: State) -> None:
    """Undo what a user undoes at the end: remove the pipelines, delete the indices."""
    for applied in list_pipelines(client):
        if f"record pipeline:{applied.name}" not in before:
            remove_pipeline(client, applied.name)
    for what in cluster_state(client).keys() - before.keys():
        if what.startswith("index "):
            client.transport.perform_request("DELETE", what.replace("index ", "/"))


def restore(client: OpenSearch, before: State) -> None:
    """Take away whatever was not there before, after a page that failed."""
    take_away(client, before)
    for what in sorted(cluster_state(client).keys() - before.keys()):
        kind, _, name = what.rpartition(" ")
        if kind == "record":
            delete_record(client, name)
        elif kind.endswith(" setting"):
            body = {kind.removesuffix(" setting"): {name: None}}
            client.transport.perform_request("PUT", "/_cluster/settings", body=body)
        elif kind in _PATHS:
            client.transport.perform_request("DELETE", f"{_PATHS[kind]}/{name}")


def _documents(client: OpenSearch, index: str) -> list[tuple[str, Any]]:
    _ask(client, "POST", f"/{index}/_refresh")
    found = _search(client, f"/{index}/_search", search_pipeline="_none")
    return sorted((one["_id"], one["_source"]) for one in found)


def _search(client: OpenSearch, path: str, **params: str) -> list[dict[str, Any]]:
    body = {"query": {"match_all": {}}, "size": _MOST}
    hits: list[dict[str, Any]] = _ask(client, "POST", path, body=body, **params).get(
        "hits", {"hits": []}
    )["hits"]
    return hits


def _get(client: OpenSearch, path: str, **params: str) -> dict[str, Any]:
    return _ask(client, "GET", path, **params)


def _ask(
    client: OpenSearch, method: str, path: str, *, body: Any = None, **params: str
) -> dict[str, Any]:
    """Send a request; what is not there (yet) is empty."""
    try:
        found: dict[str, Any] = client.transport.perform_request(
            method, path, params=params, body=body
        )
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
        return {}
    return found
