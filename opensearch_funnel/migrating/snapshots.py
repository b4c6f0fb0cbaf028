"""What an index is like now, against what it was when its migration was planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.engine.flat_settings import flat_settings
from opensearch_funnel.migrating.migration import Snapshot


def snapshot_differences(client: OpenSearch, *, index: str, snapshot: Snapshot) -> list[str]:
    """Name what of an index's mapping, settings and aliases is not as a snapshot has it.

    Raises:
        IndexMissingError: there is no such index.
    """
    found = client.indices.get(index=index)[index]
    settings = client.indices.get_settings(index=index)[index]["settings"]
    pairs: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("mapping", leaves(snapshot.mappings), leaves(found["mappings"])),
        ("setting", flat_settings(snapshot.settings), flat_settings(settings)),
        ("alias", snapshot.aliases, found["aliases"]),
    ]
    return [
        f"{kind} {name}: {present.get(name, 'nothing')!r} now, {was.get(name, 'nothing')!r} then"
        for kind, was, present in pairs
        for name in sorted(was.keys() | present.keys())
        if was.get(name) != present.get(name)
    ]


def leaves(body: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Return the leaves of an object by their paths; one without anything in it is a leaf, too.

    Example:
        >>> leaves({"properties": {"title": {"type": "text"}}, "_meta": {}})
        {'properties.title.type': 'text', '_meta': {}}
    """
    flat: dict[str, Any] = {}
    for name, value in body.items():
        if isinstance(value, Mapping) and value:
            flat |= leaves(value, prefix=f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat
