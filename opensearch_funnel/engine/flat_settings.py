"""The settings of an index by their full names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearchpy import OpenSearch


def flat_settings(settings: Mapping[str, Any], *, prefix: str = "") -> dict[str, Any]:
    """Return settings by their full names; those that are set to nothing are left out.

    Example:
        >>> flat_settings({"index": {"knn": "true", "knn.derived_source": {"enabled": "false"},
        ...                          "blocks": {"write": None}}})
        {'index.knn': 'true', 'index.knn.derived_source.enabled': 'false'}
    """
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat |= flat_settings(value, prefix=f"{path}.")
        elif value is not None:
            flat[path] = value
    return flat


def index_setting(client: OpenSearch, *, index: str, name: str) -> str | None:
    """Read one setting of one index; ``None`` where it was never set.

    Raises:
        IndexMissingError: there is no such index.
    """
    (found,) = client.indices.get_settings(index=index, params={"flat_settings": "true"}).values()
    value: str | None = found["settings"].get(name)
    return value
