"""How many documents there are in each range of operations."""

from __future__ import annotations

from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.engine.scanning.asking import SEQ_NO, check_answered, search_params

_BUCKETS = 10_000
"""Asked for at once; the engine refuses more than ``search.max_buckets``, 65,535 by default."""
_EXACT = 2**53
"""The engine counts in doubles, which are exact below this."""


def seq_no_histogram(  # noqa: PLR0913 - a field, a shard and a range
    client: OpenSearch,
    index: str,
    *,
    field: str = SEQ_NO,
    shard: int | None = None,
    after: int,
    upto: int,
    interval: int,
) -> dict[int, int]:
    """Count the documents in each of equal ranges of a field of whole numbers.

    Buckets begin at ``after + 1``, so that two histograms whose ranges begin at different numbers
    compare by the distance from there. One request is made for every 10,000 ranges, whether there
    are documents in them or not: choose ``interval`` with the range in mind.

    Args:
        client: made by ``connect``.
        index: an index that was refreshed since what is to be counted was written.
        field: ``_seq_no``, or a field of type long.
        shard: count in the primary of this shard alone.
        after: values are above this.
        upto: values are at most this; below 2**53.
        interval: how many numbers a bucket holds.

    Returns:
        A bucket's first number → how many documents; buckets without documents are left out.

    Raises:
        ValueError: the range or the interval cannot be.
        EngineError: a shard did not answer, or there is no such shard.
    """
    if interval < 1 or after < -1 or upto >= _EXACT:
        raise ValueError(f"no histogram of {after} to {upto} by {interval}")
    counts: dict[int, int] = {}
    for begin in range(after + 1, upto + 1, interval * _BUCKETS):
        end = min(upto, begin - 1 + interval * _BUCKETS)
        body = _body(field=field, after=begin - 1, upto=end, interval=interval)
        answer = client.search(index=index, body=body, params=search_params(shard=shard))
        check_answered(answer["_shards"], answer["timed_out"], index=index, shard=shard)
        for bucket in answer["aggregations"]["ranges"]["buckets"]:
            counts[int(bucket["key"])] = bucket["doc_count"]
    return counts


def _body(*, field: str, after: int, upto: int, interval: int) -> dict[str, Any]:
    return {
        "size": 0,
        "track_total_hits": False,
        "query": {"range": {field: {"gt": after, "lte": upto}}},
        "aggregations": {
            "ranges": {
                "histogram": {
                    "field": field,
                    "interval": interval,
                    "offset": (after + 1) % interval,
                    "min_doc_count": 1,
                }
            }
        },
    }
