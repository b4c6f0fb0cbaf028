"""Whether anybody but the migration has written to its target since it was verified."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.engine.scanning import ask_within_window
from opensearch_funnel.engine.scanning.asking import SEQ_NO, check_answered, search_params
from opensearch_funnel.migrating.differences import ORIGIN
from opensearch_funnel.migrating.migration import seq_no_of
from opensearch_funnel.migrating.verifying.report import Named

_PAGE = 5_000


def changed_by_others(
    client: OpenSearch, index: str, *, after: Mapping[int, int], upto: Mapping[int, int]
) -> Named:
    """Name documents of the target that were written between two bounds, and are no copies.

    The migration writes each document under the version that belongs to its origin. Whoever else
    writes one, by whatever call, leaves it with another version, or without an origin. A document
    that somebody deleted leaves nothing here: the counts of both indices show it.

    Args:
        client: made by ``connect``.
        index: the target, refreshed since ``upto`` was taken.
        after: by shard of the target, the operation behind which to begin.
        upto: by shard of the target, the last operation.

    Raises:
        EngineError: a shard did not answer.
    """
    others = Named()
    for shard, bound in sorted(upto.items()):
        reached = after.get(shard, -1)
        while hits := _page(client, index, shard=shard, after=reached, upto=bound):
            for hit in hits:
                origin = hit.get("fields", {}).get(ORIGIN, [None])[0]
                if origin is None or hit["_version"] != seq_no_of(origin) + 1:
                    others.add(hit["_id"])
            reached = hits[-1]["sort"][0]
    return others


def _page(
    client: OpenSearch, index: str, *, shard: int, after: int, upto: int
) -> list[dict[str, Any]]:
    if after >= upto:
        return []
    answer, _ = ask_within_window(
        client,
        index,
        size=_PAGE,
        ask=lambda size: client.search(
            index=index,
            body={
                "size": size,
                "query": {"range": {SEQ_NO: {"gt": after, "lte": upto}}},
                "sort": [{SEQ_NO: "asc"}],
                "docvalue_fields": [ORIGIN],
                "_source": False,
                "version": True,
                "track_total_hits": False,
            },
            params=search_params(shard=shard),
        ),
    )
    check_answered(answer["_shards"], answer["timed_out"], index=index, shard=shard)
    hits: list[dict[str, Any]] = answer["hits"]["hits"]
    return hits
