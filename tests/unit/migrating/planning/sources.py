"""Sources and migrations as values, for tests of what is pure."""

from __future__ import annotations

from typing import Any

from opensearch_funnel.migrating.migration import Migration, Snapshot
from opensearch_funnel.migrating.planning.source import Source

BY = {"model": "m", "fingerprint": "f"}


def source_of(
    *,
    mappings: dict[str, Any] | None = None,
    settings: dict[str, Any] | None = None,
    aliases: dict[str, Any] | None = None,
    **changes: Any,
) -> Source:
    own = {"number_of_shards": "2", "number_of_replicas": "1", "uuid": "u"}
    values: dict[str, Any] = {
        "alias": "films",
        "name": "films-1",
        "snapshot": Snapshot(
            mappings={"properties": {"title": {"type": "text"}}} if mappings is None else mappings,
            settings={"index": {**own, **(settings or {})}},
            aliases={"films": {}} if aliases is None else aliases,
        ),
        "documents": 10,
        "lucene_documents": 10,
        "deleted": 0,
        "bytes": 1000,
    }
    return Source(**{**values, **changes})


def migration_of(source: Source, **changes: Any) -> Migration:
    values: dict[str, Any] = {
        "alias": source.alias,
        "source": source.name,
        "source_uuid": "u",
        "target": "films-funnel-1",
        "snapshot": source.snapshot,
        "text_fields": ("title",),
        "slots": {"a": {"sparse": BY, "dense": BY}},
        "dimension": 3,
        "shards": source.shards,
    }
    return Migration(**{**values, **changes})
