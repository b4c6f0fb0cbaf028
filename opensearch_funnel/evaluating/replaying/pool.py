"""The recorded candidates of many queries as padded arrays, one row a query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.core.combination import COMBINED_BY, weighted_sum
from opensearch_funnel.core.fusion import GLOBAL_RANKS_SINCE, Version
from opensearch_funnel.core.normalization import BY_SCORE, Scores, reciprocal_ranks
from opensearch_funnel.core.plan import Fusion
from opensearch_funnel.evaluating.replaying.record import UNKNOWN, Integers, RecordedQuery

Slots = NDArray[np.int64]

_WORST = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A leg's hits for one query in the order in which the engine adds up.

    Attributes:
        places: of the hits among the query's candidates, shard by shard, best first.
        in_shard: the place of each hit in its shard, from 0.
        raw: its score in 32 bits.
        overall: its place over all shards, from 0: equal scores by document number, then shard.
    """

    places: Slots
    in_shard: Slots
    raw: Scores
    overall: Slots

    def cut(self, depth: int, *, overall: bool = False) -> Listing:
        """Return what the leg finds with another depth, on each shard or overall."""
        kept = (self.overall if overall else self.in_shard) < depth
        ranked = np.argsort(np.argsort(self.overall[kept]))
        return Listing(
            places=self.places[kept],
            in_shard=self.in_shard[kept],
            raw=self.raw[kept],
            overall=ranked,
        )


def listing(recorded: RecordedQuery, *, leg: int, ties: Integers) -> Listing:
    """List what a leg found for one query.

    Args:
        recorded: the query's candidates.
        leg: the leg's column.
        ties: of ``tie_ranks``.
    """
    found = np.flatnonzero(recorded.raw[:, leg] > 0)
    raw, shards, tie = recorded.raw[found, leg], recorded.shards[found], ties[found]
    narrow = raw.astype(np.float32)
    order = np.lexsort((tie, -narrow, shards))
    overall = np.empty(len(found), dtype=np.int64)
    overall[np.lexsort((shards, tie, -narrow))] = np.arange(len(found))
    sorted_shards = shards[order]
    starts = np.searchsorted(sorted_shards, sorted_shards, side="left")
    return Listing(
        places=found[order],
        in_shard=np.arange(len(found)) - starts,
        raw=narrow[order],
        overall=overall[order],
    )


def tie_ranks(recorded: RecordedQuery) -> Integers:
    """Number candidates as equal scores of one leg fall: by document number, else by id."""
    keys = [
        (number, doc_id if number == UNKNOWN else "")
        for number, doc_id in zip(recorded.numbers.tolist(), recorded.doc_ids, strict=True)
    ]
    place = {key: rank for rank, key in enumerate(sorted(set(keys)))}
    return np.array([place[key] for key in keys], dtype=np.int64)


def equals_order(
    recorded: RecordedQuery, listings: Sequence[Listing], *, ties: Integers, overall: bool = False
) -> Slots:
    """Return the candidates that legs found, in the order that equal fused scores leave standing.

    In arrays what ``core.fusion`` does document by document: shard by shard, and in each the
    order of the engine's hash table of document numbers; of one bucket the latest first.

    Args:
        recorded: the query's candidates.
        listings: what its legs found.
        ties: of ``tie_ranks``.
        overall: no hash table is between: they stand by their numbers, then by shard.
    """
    joined = np.concatenate([np.empty(0, np.int64), *(one.places for one in listings)])
    rows, first = np.unique(joined, return_index=True)
    rows = rows[np.argsort(first)]
    shards, numbers = recorded.shards[rows], recorded.numbers[rows]
    if overall:
        return rows[np.lexsort((shards, ties[rows]))]
    known = numbers != UNKNOWN
    counts = np.bincount(shards) if len(rows) else np.zeros(1, dtype=np.int64)
    buckets = np.full(len(counts), 16, dtype=np.int64)
    while (full := counts * 4 > buckets * 3).any():
        buckets[full] *= 2
    spread = (numbers ^ (numbers >> 16)) & (buckets[shards] - 1)
    bucket = np.where(known, spread, -1)
    by_id = np.where(known, 0, ties[rows])
    latest_first = -np.arange(len(rows))
    return rows[np.lexsort((latest_first, by_id, bucket, shards))]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What some legs found at one depth for some queries.

    Attributes:
        places: the place of each candidate in its recorded query, in the order that equal fused
            scores leave standing, ``(queries, widest)``; behind ``counts`` comes padding.
        counts: how many candidates each query has.
        listings: each query's legs, cut to the depth.
        slots: for each query and leg, where its hits are in the row.
    """

    places: Slots
    counts: Slots
    listings: Sequence[Sequence[Listing]]
    slots: Sequence[Sequence[Slots]]

    def normalized(self, fusion: Fusion, *, version: Version) -> Scores:
        """Return each leg's scores on the common scale, ``(queries * widest, legs)``.

        One row a candidate, and 0 where a leg did not find it.
        """
        queries, widest = self.places.shape
        legs = len(self.slots[0]) if self.slots else 0
        # A leg's scores lie beside one another: it is whole legs that are weighted and added.
        scores = np.zeros((legs, queries, widest), dtype=np.float32)
        for row, (listings, slots) in enumerate(zip(self.listings, self.slots, strict=True)):
            for leg, (one, where) in enumerate(zip(listings, slots, strict=True)):
                scores[leg, row, where] = _normalized(one, fusion=fusion, version=version)
        return scores.reshape(legs, -1).T

    def best(self, scores: Scores, *, most: int) -> Slots:
        """Return where the best candidates of each query are, ``(queries, at most most)``.

        Equal scores keep their order in the row. What is behind a query's count is padding.

        Args:
            scores: the fused score of every row of ``normalized``; none below 0.
            most: how many to return of each query.
        """
        widest = self.places.shape[1]
        # Floats from 0 up sort as their bits do. Below them stands the place, earliest highest,
        # and padding stands behind every candidate of its row.
        bits = scores.reshape(self.places.shape).view(np.uint32).astype(np.uint64)
        later = _WORST - np.arange(widest, dtype=np.uint64)
        keys = (bits << _HALF) | later
        top = min(most, widest)
        if top < widest:
            keys = np.partition(keys, widest - top, axis=1)[:, widest - top :]
        keys = -np.sort(-keys.view(np.int64), axis=1) if top else keys.view(np.int64)
        return (_WORST - (keys.view(np.uint64) & _WORST)).astype(np.int64)

    def weights_of_rows(self, weights: Sequence[Sequence[float]]) -> Scores:
        """Return the weights of each row's query, ``(queries * widest, legs)``.

        Args:
            weights: of the legs, for each query.
        """
        narrow = np.asarray(weights, dtype=np.float32)
        # Beside one another as the scores of a leg are.
        return np.repeat(narrow.T, self.places.shape[1], axis=1).T

    def part(self, rows: slice) -> Pool:
        """Return some of the queries."""
        return Pool(
            places=self.places[rows],
            counts=self.counts[rows],
            listings=self.listings[rows],
            slots=self.slots[rows],
        )


def pool(
    queries: Sequence[RecordedQuery],
    *,
    listings: Sequence[Sequence[Listing]],
    ties: Sequence[Integers],
    depth: int,
    overall: bool = False,
) -> Pool:
    """Gather what legs found at a depth.

    Args:
        queries: as they were recorded.
        listings: the chosen legs of each query, in their order.
        ties: ``tie_ranks`` of each query.
        depth: candidates of each leg, on each shard or overall.
        overall: whether the shards are one to those who fuse.
    """
    cut = [[one.cut(depth, overall=overall) for one in each] for each in listings]
    rows = [
        equals_order(recorded, each, ties=tie, overall=overall)
        for recorded, each, tie in zip(queries, cut, ties, strict=True)
    ]
    counts = np.array([len(row) for row in rows], dtype=np.int64)
    places = np.zeros((len(rows), int(counts.max(initial=0))), dtype=np.int64)
    slots = []
    for number, (recorded, row, each) in enumerate(zip(queries, rows, cut, strict=True)):
        places[number, : len(row)] = row
        where = np.zeros(len(recorded.doc_ids), dtype=np.int64)
        where[row] = np.arange(len(row))
        slots.append([where[one.places] for one in each])
    return Pool(places=places, counts=counts, listings=cut, slots=slots)


def combined(normalized: Scores, *, weights: Scores, fusion: Fusion) -> Scores:
    """Return one fused score a row, by the engine's own arithmetic (``core.combination``).

    Args:
        normalized: one row a candidate and one column a leg.
        weights: of the legs; one row for all candidates, or one for each.
        fusion: how they are combined.
    """
    by = weighted_sum if fusion.technique == "rrf" else COMBINED_BY[fusion.combination]
    return by(normalized, weights)


def _normalized(one: Listing, *, fusion: Fusion, version: Version) -> Scores:
    if fusion.technique != "rrf":
        return BY_SCORE[fusion.technique](one.raw)
    ranks = one.overall if version >= GLOBAL_RANKS_SINCE else one.in_shard
    return reciprocal_ranks((ranks + 1).tolist(), rank_constant=fusion.rank_constant)
