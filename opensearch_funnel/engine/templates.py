"""Templates that name a pipeline: an index made from one would have it by default."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearchpy import OpenSearch

_SETTING = "index.search.default_pipeline"


def templates_naming(client: OpenSearch, pipeline: str, *, setting: str = _SETTING) -> list[str]:
    """Return the templates whose settings name a pipeline as the default.

    Args:
        client: the cluster.
        pipeline: its name.
        setting: what the default is named in, for searches if not given.

    Returns:
        The kind and the name of each, to show to a person.
    """
    ask = client.transport.perform_request
    composable = ask("GET", "/_index_template")["index_templates"]
    parts = ask("GET", "/_component_template")["component_templates"]
    found = {
        "template": {
            name: one.get("settings", {}) for name, one in ask("GET", "/_template").items()
        },
        "index template": {one["name"]: _settings(one["index_template"]) for one in composable},
        "component template": {one["name"]: _settings(one["component_template"]) for one in parts},
    }
    return [
        f"{kind} {name}"
        for kind, templates in found.items()
        for name, settings in sorted(templates.items())
        if default_named_in(settings, setting=setting) == pipeline
    ]


def default_named_in(settings: Mapping[str, Any], *, setting: str = _SETTING) -> str | None:
    """Return the default pipeline that settings name, however they are nested.

    Example:
        >>> default_named_in({"index": {"search.default_pipeline": "p"}})
        'p'
        >>> default_named_in({"index": {"number_of_shards": "1"}}) is None
        True
    """
    return _at(settings, tuple(setting.split(".")))


def _at(settings: Mapping[str, Any], path: tuple[str, ...]) -> str | None:
    for length in range(1, len(path) + 1):
        value = settings.get(".".join(path[:length]))
        if length == len(path):
            return value if isinstance(value, str) else None
        if isinstance(value, Mapping) and (found := _at(value, path[length:])) is not None:
            return found
    return None


def _settings(one: Mapping[str, Any]) -> Mapping[str, Any]:
    settings: Mapping[str, Any] = one.get("template", {}).get("settings") or {}
    return settings
