"""Which documents a shard of the source and the target do not have in common.

A copy knows the operation that it was made of (``funnel.origin``). So the documents of a shard
and their copies are two sets of numbers, and are compared as such: both sides count theirs in
ranges of operations, ranges whose counts differ are counted again in smaller ones, and what is
left in the end is read. Some ten requests, whatever the size of the index.

Equal counts mean equal sets only where one set holds the other. So a dead letter, which is in the
source and not in the target, is left out of the source's counts by the number that the journal
has of it: beside a deleted document it would make up for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from opensearchpy import OpenSearch

from opensearch_funnel.engine.scanning import ask_within_window
from opensearch_funnel.engine.scanning.asking import SEQ_NO, check_answered, search_params
from opensearch_funnel.migrating.migration import origin_of

ORIGIN = "funnel.origin"
_BUCKETS = 8192
_CLAUSES = 500
_PAGE = 10_000
_TERMS = 50_000

Part = TypeVar("Part")
Range = tuple[int, int]
"""Operations from the one to the other, both included."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A document by the operation that wrote it, or that its copy was made of."""

    at: int
    doc_id: str
    routing: str | None


@dataclass(frozen=True, slots=True)
class Difference:
    """What a shard and its copies do not have in common.

    Attributes:
        extra: copies of documents that the shard does not have at that operation: deleted in the
            source, or written again since.
        missing: documents without a copy of that operation.
    """

    extra: tuple[Placed, ...]
    missing: tuple[Placed, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbered:
    """Documents with a number each, of one shard: those of the source, or their copies.

    Attributes:
        client: the cluster.
        index: where they are; refreshed since they were written.
        field: holds the number.
        shard: asked alone; ``None`` for all.
        base: the number of operation 0.
        without: operations that are not looked at.
    """

    client: OpenSearch
    index: str
    field: str
    shard: int | None
    base: int = 0
    without: frozenset[int] = frozenset()

    def counts(self, ranges: Sequence[Range], *, interval: int) -> dict[int, int]:
        """Count the documents in each bucket of so many operations that has any.

        Args:
            ranges: what is counted; each begins and ends with a bucket.
            interval: operations of a bucket.

        Returns:
            A bucket's number → its documents; operation ``n`` is in bucket ``n // interval``.
        """
        found: dict[int, int] = {}
        for some in _chunks(ranges, _CLAUSES):
            histogram = {
                "field": self.field,
                "interval": interval,
                "offset": self.base % interval,
                "min_doc_count": 1,
            }
            answer = self._search(some, size=0, aggregations={"ranges": {"histogram": histogram}})
            for bucket in answer["aggregations"]["ranges"]["buckets"]:
                found[(int(bucket["key"]) - self.base) // interval] = bucket["doc_count"]
        return found

    def read(self, ranges: Sequence[Range]) -> dict[int, Placed]:
        """Read which documents there are, by operation."""
        found: dict[int, Placed] = {}
        for some in _chunks(ranges, _CLAUSES):
            rest = list(some)
            while rest:
                answer, size = ask_within_window(
                    self.client, self.index, size=_PAGE, ask=partial(self._sorted, rest)
                )
                hits = answer["hits"]["hits"]
                for hit in hits:
                    at = hit["sort"][0] - self.base
                    found[at] = Placed(at, hit["_id"], hit.get("_routing"))
                if len(hits) < size:
                    break
                rest = list(_behind(rest, after=hits[-1]["sort"][0] - self.base))
        return found

    def read_at(self, operations: Iterable[int]) -> dict[int, Placed]:
        """Read which documents there are at some operations."""
        return self.read([(at, at) for at in sorted(operations)])

    def _sorted(self, ranges: Sequence[Range], size: int) -> Any:
        return self._search(ranges, size=size, sort=[{self.field: "asc"}], _source=False)

    def _search(self, ranges: Sequence[Range], *, size: int, **body: Any) -> Any:
        low, high = ranges[0][0], ranges[-1][1]
        without = [at + self.base for at in sorted(self.without) if low <= at <= high]
        query = {
            "bool": {
                "filter": [{"bool": {"should": [self._range(one) for one in ranges]}}],
                "must_not": [
                    {"terms": {self.field: list(some)}} for some in _chunks(without, _TERMS)
                ],
            }
        }
        answer = self.client.search(
            index=self.index,
            # Without the exact total a bare range of a long leaves documents out (scanning/pages).
            # Not seen of one inside a bool (3.6.0), but nothing promises that.
            body={"size": size, "query": query, "track_total_hits": self.field != SEQ_NO, **body},
            params=search_params(shard=self.shard),
        )
        check_answered(answer["_shards"], answer["timed_out"], index=self.index, shard=self.shard)
        return answer

    def _range(self, one: Range) -> dict[str, Any]:
        return {"range": {self.field: {"gte": self.base + one[0], "lte": self.base + one[1]}}}


def source_shard(
    client: OpenSearch, index: str, *, shard: int, without: Iterable[int] = ()
) -> Numbered:
    """Return the documents of a shard by the operations that wrote them.

    Args:
        client: the cluster.
        index: the source, refreshed.
        shard: which.
        without: operations that are not looked at: those of dead letters.
    """
    return Numbered(
        client=client, index=index, field=SEQ_NO, shard=shard, without=frozenset(without)
    )


def copies_of(client: OpenSearch, index: str, *, shard: int) -> Numbered:
    """Return the copies of a source shard's documents, wherever they are in the target."""
    return Numbered(
        client=client,
        index=index,
        field=ORIGIN,
        shard=None,
        base=origin_of(shard=shard, seq_no=0),
    )


def difference(source: Numbered, copies: Numbered, *, bound: int) -> Difference:
    """Compare a shard with its copies, up to an operation.

    Args:
        source: the shard, without its dead letters.
        copies: of the same shard.
        bound: the last operation that is looked at; all up to it was copied.

    Returns:
        What they do not have in common. The dead letters that are still in the source are among
        what is missing.
    """
    suspects = _suspects(source, copies, bound=bound)
    present, copied = source.read(suspects), copies.read(suspects)
    dead = _with_all(source).read_at(at for at in source.without if at <= bound)
    dead_copied = copies.read_at(dead)
    missing = [present[at] for at in present.keys() - copied.keys()]
    missing += [dead[at] for at in dead.keys() - dead_copied.keys()]
    extra = [copied[at] for at in copied.keys() - present.keys() - dead.keys()]
    return Difference(
        extra=tuple(sorted(extra, key=lambda one: one.at)),
        missing=tuple(sorted(missing, key=lambda one: one.at)),
    )


def _suspects(source: Numbered, copies: Numbered, *, bound: int) -> list[Range]:
    """Close in on the operations at which the two differ, until few documents are left."""
    # Powers of two, so that a smaller bucket never lies across the edge of a larger one.
    interval = 1 << max(0, (bound // _BUCKETS).bit_length())
    ranges = [(0, bound)] if bound >= 0 else []
    while ranges:
        ours = source.counts(ranges, interval=interval)
        theirs = copies.counts(ranges, interval=interval)
        differ = sorted(
            bucket
            for bucket in ours.keys() | theirs.keys()
            if ours.get(bucket, 0) != theirs.get(bucket, 0)
        )
        ranges = list(_joined(differ, interval=interval, bound=bound))
        documents = sum(max(ours.get(one, 0), theirs.get(one, 0)) for one in differ)
        finer = _BUCKETS // max(1, len(differ))
        if interval == 1 or documents <= _PAGE or finer <= 1:
            break
        interval = max(1, interval >> (finer.bit_length() - 1))
    return ranges


def _with_all(source: Numbered) -> Numbered:
    return Numbered(
        client=source.client,
        index=source.index,
        field=source.field,
        shard=source.shard,
        base=source.base,
    )


def _joined(buckets: Sequence[int], *, interval: int, bound: int) -> Iterator[Range]:
    """Return the ranges of some buckets, in order; neighbours are one range."""
    begin = end = None
    for bucket in buckets:
        low, high = bucket * interval, min(bound, (bucket + 1) * interval - 1)
        if begin is None or end is None:
            begin, end = low, high
        elif low == end + 1:
            end = high
        else:
            yield begin, end
            begin, end = low, high
    if begin is not None and end is not None:
        yield begin, end


def _behind(ranges: Sequence[Range], *, after: int) -> Iterator[Range]:
    """Return what of some ranges lies behind an operation."""
    for low, high in ranges:
        if high > after:
            yield max(low, after + 1), high


def _chunks(parts: Iterable[Part], size: int) -> Iterator[list[Part]]:
    rest = iter(parts)
    while some := list(islice(rest, size)):
        yield some
