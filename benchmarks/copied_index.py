"""A copy of an index for the time of a measurement: with other shards, fields or documents."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from opensearchpy import OpenSearch

SLOW: dict[str, Any] = {"request_timeout": 600}
"""Filling and merging take longer than the client waits by default."""
_KEPT = frozenset({"knn", "analysis"})


@contextmanager
def copied_index(
    client: OpenSearch,
    index: str,
    *,
    fill: Callable[[str], object],
    shards: int = 1,
    added: Mapping[str, Any] | None = None,
) -> Iterator[str]:
    """Make an index like another one, fill it, and delete it afterwards.

    Args:
        client: the cluster.
        index: the other one, or an alias of it.
        fill: puts the documents into the index that it is given the name of.
        shards: of the copy, each of which becomes one segment.
        added: mappings of fields that it has beside those of the other one.
    """
    copy = f"funnel-copy-{uuid.uuid4().hex[:8]}"
    (about,) = client.indices.get(index=index).values()
    mappings = about["mappings"]
    settings = {k: v for k, v in about["settings"]["index"].items() if k in _KEPT}
    body = {
        "settings": {"index": {**settings, "number_of_shards": shards, "number_of_replicas": 0}},
        "mappings": {**mappings, "properties": {**mappings["properties"], **(added or {})}},
    }
    try:
        client.indices.create(index=copy, body=body)
        fill(copy)
        client.indices.forcemerge(index=copy, params={"max_num_segments": 1, **SLOW})
        client.indices.refresh(index=copy)
        yield copy
    finally:
        client.indices.delete(index=copy, params={"ignore_unavailable": "true"})
