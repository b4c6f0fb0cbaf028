"""The documents that a repair looks at, page by page: all of them, or those that say so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.funnel_object import READY
from opensearch_funnel.engine.scanning import StoredDocument, ask_within_window, read_page
from opensearch_funnel.engine.scanning.asking import search_params

_FOUND_AT_ONCE = 1000
_ENCODED = [{"term": {"funnel.state": READY}}, {"exists": {"field": "funnel.hash"}}]
# A document that was never encoded has neither, and one that is marked has another state.
_WAITING = {"bool": {"must_not": [{"bool": {"must": _ENCODED}}]}}


def pages(  # noqa: PLR0913 - a range, and how it is read
    client: OpenSearch,
    index: str,
    *,
    after: Mapping[int, int],
    bounds: Mapping[int, int],
    size: int,
    pending_only: bool,
) -> Iterator[tuple[Sequence[StoredDocument], int]]:
    """Read the documents of an index in the order of their operations, shard by shard.

    Args:
        client: made by ``connect``.
        index: a concrete index, refreshed since the bounds were taken.
        after: by shard, the last operation that was looked at; none for a shard that was not.
        bounds: by shard, the last operation to look at.
        size: most documents of a page.
        pending_only: leave out documents whose state is ready and that have a hash.

    Yields:
        The documents, and how many operations they bring the reader further.
    """
    for shard, bound in sorted(bounds.items()):
        done = after.get(shard, -1)
        ranges = (
            _waiting_ranges(client, index, shard=shard, after=done, upto=bound, size=size)
            if pending_only
            else iter([(done, bound, None)])
        )
        for begin, end, wanted in ranges:
            for documents in _pages(client, index, shard=shard, after=begin, upto=end, size=size):
                last = documents[-1].seq_no
                kept = [one for one in documents if wanted is None or one.seq_no in wanted]
                yield kept, last - done
                done = last
        yield [], bound - done


def _pages(  # noqa: PLR0913 - a range, and how it is read
    client: OpenSearch, index: str, *, shard: int, after: int, upto: int, size: int
) -> Iterator[list[StoredDocument]]:
    while after < upto:
        documents = read_page(client, index, shard=shard, after=after, upto=upto, size=size)
        if not documents:
            return
        yield documents
        after = documents[-1].seq_no


def _waiting_ranges(  # noqa: PLR0913 - a range, and how it is read
    client: OpenSearch, index: str, *, shard: int, after: int, upto: int, size: int
) -> Iterator[tuple[int, int, frozenset[int]]]:
    """Find the operations of documents that wait, those near each other in one range.

    A range is read by one page, whatever else is in it: fewer requests than one for each.
    """
    near: list[int] = []
    for operation in _waiting(client, index, shard=shard, after=after, upto=upto):
        if near and operation - near[0] >= size:
            yield near[0] - 1, near[-1], frozenset(near)
            near = []
        near.append(operation)
    if near:
        yield near[0] - 1, near[-1], frozenset(near)


def _waiting(client: OpenSearch, index: str, *, shard: int, after: int, upto: int) -> Iterator[int]:
    while True:
        operations = {"range": {"_seq_no": {"gt": after, "lte": upto}}}
        body = {
            "query": {"bool": {"filter": [operations, _WAITING]}},
            "sort": [{"_seq_no": "asc"}],
            "_source": False,
            "track_total_hits": False,
        }
        answer, size = ask_within_window(
            client,
            index,
            size=_FOUND_AT_ONCE,
            ask=partial(_asked, client, index, shard=shard, body=body),
        )
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise EngineError(f"a search of {index} was cut short: see GET _cluster/health")
        found = [int(hit["sort"][0]) for hit in answer["hits"]["hits"]]
        yield from found
        if len(found) < size:
            return
        after = found[-1]


def _asked(
    client: OpenSearch, index: str, size: int, *, shard: int, body: Mapping[str, Any]
) -> Any:
    return client.search(
        index=index, body={**body, "size": size}, params=search_params(shard=shard)
    )
