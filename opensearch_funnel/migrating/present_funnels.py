"""What the copies of some documents have in their object ``funnel``, at this moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.funnel_object import FUNNEL
from opensearch_funnel.migrating.present import Key

_UNAVAILABLE = 503


def present_funnels(client: OpenSearch, *, index: str, keys: Sequence[Key]) -> list[Any]:
    """Read the object ``funnel`` of each document; ``None`` where there is none.

    Sees what was written just now. Far slower than a look at versions alone: to give a part of a
    document back, the engine reads all of it (1 to 3 ms for one with vectors).

    Raises:
        EngineError: a document could not be looked up.
    """
    if not keys:
        return []
    asked = [
        {"_id": doc_id} | ({"routing": routing} if routing else {}) for doc_id, routing in keys
    ]
    answer = client.mget(index=index, body={"docs": asked}, params={"_source_includes": FUNNEL})
    for one in answer["docs"]:
        # A shard that is away fails its own documents, and the request is a 200.
        if "error" in one:
            raise EngineError(
                f"document {one['_id']!r} of {index} cannot be read ({one['error']}): see GET "
                "_cluster/health",
                status=_UNAVAILABLE,
            )
    return [one.get("_source", {}).get(FUNNEL) for one in answer["docs"]]
