"""Pages of one order: what is on page n, so that no hit is repeated and none is lost.

The order of a search is: the reranked hits, the rest of the fused list, and behind it whatever
else matches, in the order of the client's own query. The first page, and every page inside the
reranked window, is cut out by ``rank``. A later page cannot be: the engine has the fused list
alone, and fails a ``from`` beyond its end. So a later page is an ordinary query that puts the
hits of the fused list first, one by one, and everything else behind (docs/decisions/0006). Where
the service fuses, every page is such a query: the engine does not know the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.core.plan import LEGS
from opensearch_funnel.engine.queries import NAME, Body, named

SEQ_NO = "_seq_no"
"""Of the numbers that a document has in its shard the one that can be searched for."""
_HIGHEST, _REST = 900.0, 0.0001
"""Scores of such a page: below 1,000, and what is behind the list far below what is in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FusedList:
    """The order that a search's legs were fused to.

    Attributes:
        ids: of its hits, best first; as many as were asked for.
        hits: how many the whole list has.
        nearest: the names (``funnel.id``) of all that the dense leg found, where they are known:
            the engine then looks at these alone, and need not search them again.
        nearest_of: the index or alias that was searched for them.
        field: what the ids are of. No two hits share one.
        numbers: of the hits in their shards, where others than they may have their ids: a copy
            of a document keeps its ``funnel.id``.
    """

    ids: Sequence[str]
    hits: int
    nearest: Sequence[str] = ()
    nearest_of: str = ""
    field: str = "_id"
    numbers: Sequence[int] = ()


def reranked_window(hits: int, *, size: int, depth: int) -> int:
    """Return how many of the fused hits are reranked together.

    Whole pages, so that no page mixes reranked hits with hits that come short of a page; the
    one page of a search that has less than a page of hits; and as many as the depth allows on
    a page that is longer than the depth.

    Args:
        hits: of the fused list.
        size: hits on a page.
        depth: the plan's limit.

    Example:
        >>> reranked_window(1000, size=10, depth=50), reranked_window(23, size=10, depth=50)
        (50, 20)
        >>> reranked_window(7, size=10, depth=50), reranked_window(1000, size=80, depth=50)
        (7, 50)
    """
    if hits < size or size > depth:
        return min(hits, depth)
    return min(hits, depth) // size * size


def pinned_page(
    fused: FusedList,
    *,
    legs: Mapping[str, Body],
    holds: Mapping[str, Any] | None,
    same_set: bool,
) -> Body:
    """Return the query whose hits are the whole order of a search, to be cut by ``from``.

    What matches is what the legs find, and every leg has its name: totals, facets and a hit's
    scores in the legs are those of a hybrid query. On several shards that has more neighbours,
    the nearest of each shard.

    Args:
        fused: the fused list, at least up to the page's last hit.
        legs: the queries that made it; ``bm25`` is the client's own.
        holds: what every hit has to match.
        same_set: whether only what the client's own query finds may come.

    Example:
        >>> query = pinned_page(FusedList(ids=["a", "b", "c"], hits=3), holds=None, same_set=True,
        ...                     legs={"bm25": {"match_all": {}}})
        >>> [(group["constant_score"]["boost"], group["constant_score"]["filter"]["terms"]["_id"])
        ...  for group in query["bool"]["should"]]
        [(225.0, ['a', 'c']), (450.0, ['a', 'b'])]
    """
    if fused.nearest and "dense" in legs:
        legs = {**legs, "dense": _among_nearest(legs["dense"], fused=fused)}
    own = [named(query, name=leg) for leg, query in legs.items() if leg == "bm25"]
    # Named alone, a leg tells its own score; what is around it keeps that out of the order.
    others = [
        named(query, name=leg, encoded=True)
        for leg, query in legs.items()
        if leg in LEGS and leg != "bm25"
    ]
    found: Body = {"should": own, "minimum_should_match": 1, "boost": _REST}
    if same_set:
        # Nobody asks in a filter for what may match and need not, but for its name.
        found["filter"] = [{"bool": {"filter": [{"match_all": {}}], "should": others}}]
    else:
        found["should"] = [*own, *({"bool": {"filter": [leg]}} for leg in others)]
        if holds is not None:
            found["filter"] = [dict(holds)]
    pins = _in_order(fused.ids, field=fused.field)
    if fused.numbers:
        pins = [{"bool": {"filter": [{"terms": {SEQ_NO: list(fused.numbers)}}], "should": pins}}]
    return {"bool": {"must": [{"bool": found}], "should": pins}}


def _among_nearest(query: Mapping[str, Any], *, fused: FusedList) -> Body:
    """Keep a search for neighbours to the documents that are known to be the nearest.

    The engine compares so few vectors one by one, and follows no graph. Where a search meets other
    indices, their neighbours are not known.
    """
    ((kind, fields),) = query.items()
    ((field, asked),) = fields.items()
    elsewhere = {"bool": {"must_not": [{"term": {"_index": fused.nearest_of}}]}}
    known = {"bool": {"should": [{"terms": {NAME: list(fused.nearest)}}, elsewhere]}}
    return {kind: {field: {**asked, "filter": known}}}


def _in_order(ids: Sequence[str], *, field: str) -> list[Body]:
    """Return clauses that score each id by its place, the first highest.

    One clause a hit would be too many. A place is a number of a few bits, so one clause a bit is
    enough: it holds the ids whose number has that bit, and is worth as much as the bit.
    """
    values = {doc_id: len(ids) - place for place, doc_id in enumerate(ids)}
    bits = len(ids).bit_length()
    return [
        {
            "constant_score": {
                "filter": {
                    "terms": {field: [i for i, value in values.items() if value >> bit & 1]}
                },
                "boost": _HIGHEST * 2.0 ** (bit - bits),
            }
        }
        for bit in range(bits)
    ]
