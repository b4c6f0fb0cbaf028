"""Documents of an index to look at: from all over it, and the same ones each time."""

from __future__ import annotations

from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.engine.scanning import read_page, shard_bounds
from opensearch_funnel.engine.source_bytes import decoded_source

_TOGETHER = 5


def read_sample(client: OpenSearch, index: str, *, size: int) -> list[dict[str, Any]]:
    """Read some documents from equally wide parts of each shard's operations.

    By the number of the operation that wrote them, which costs as little on a large index as on a
    small one. Neighbours were written together and are often alike, so no more than five are
    taken of a part.

    Args:
        client: made by ``connect``.
        index: one concrete index.
        size: about how many.

    Returns:
        What is in their ``_source``, in no order that means anything.
    """
    written = {s: bound for s, bound in shard_bounds(client, index).items() if bound >= 0}
    # Where there are more shards than documents to look at, some of them have to do.
    bounds = dict(sorted(written.items())[:: -(-len(written) // size) or 1])
    operations = sum(bound + 1 for bound in bounds.values())
    found: list[dict[str, Any]] = []
    for shard, bound in bounds.items():
        wanted = max(1, round(size * (bound + 1) / operations))
        parts = -(-wanted // _TOGETHER)
        for part in range(parts):
            after = (bound + 1) * part // parts - 1
            upto = (bound + 1) * (part + 1) // parts - 1
            page = read_page(
                client,
                index,
                shard=shard,
                after=after,
                upto=upto,
                size=min(_TOGETHER, wanted - part * _TOGETHER),
            )
            found += [decoded_source(document.source) for document in page]
    return found
