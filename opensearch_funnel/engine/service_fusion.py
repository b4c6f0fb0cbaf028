"""Fuse a search's legs while its request is rewritten, and name the best hits of the list.

The client form's legs and arithmetic (``leg_hits``, ``core.fusion``), and so its order; what
differs is what is asked for, because somebody waits. The engine opens a document to tell its id,
and legs have hundreds of hits: that takes longer than to find them. So they are told by what needs
no opening: their numbers in the shard, and ``funnel.id``. Where that names one of the best hits
not, or two of them, those are asked for their ids.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from zlib import crc32

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineUnreachableError
from opensearch_funnel.core.fusion import fused_ids
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.allow_list import TextSearch
from opensearch_funnel.engine.leg_hits import Shard, leg_on_shard, refuse_failed, shards_of
from opensearch_funnel.engine.paging import SEQ_NO, FusedList
from opensearch_funnel.engine.queries import Body
from opensearch_funnel.engine.rewriting import wanted_of_list
from opensearch_funnel.engine.searching import NO_PIPELINE

# An answer without hits has to keep its place among the others: each has a status.
_HEAD = "responses.status,responses.error,responses.timed_out,responses._shards.failures"
_FOUND = f"{_HEAD},responses.hits.hits.sort"
_NAMED = f"{_HEAD},responses.hits.hits._id,responses.hits.hits.fields"
_NAME = "funnel.id"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFusion:
    """Fuses the legs of one search.

    Attributes:
        client: the cluster.
        plan: says how deep the legs are, and how far each is trusted.
        until: when nobody waits for the list any more, on the monotonic clock.
    """

    client: OpenSearch
    plan: FunnelPlan
    until: float

    def fused_list(
        self,
        search: TextSearch,
        legs: Mapping[str, Body],
        *,
        post_filter: Mapping[str, Any] | None = None,
    ) -> FusedList:
        """Return the best of a search's fused list: as many as its page names.

        Args:
            search: what holds for every leg, and which page is wanted.
            legs: the query of each leg.
            post_filter: the client's own.

        Raises:
            EngineError: a leg failed, or the cluster did not answer in time.
            InvalidRankingError: a leg has a score that is not finite.
        """
        shards = shards_of(self.client, self.plan.alias, timeout_s=self._left_s())
        headers = [_header(shard, text=search.text) for shard in shards]
        found, names = self._found(
            search, legs, shards=shards, headers=headers, post_filter=post_filter
        )
        order = fused_ids(found, weights=self.plan.weights, fusion=self.plan.fusion)
        best = [_place(one) for one in order[: wanted_of_list(search, plan=self.plan)]]
        named = [names[one] for one in best if one in names]
        if best and len(set(named)) == len(best):
            numbers = sorted({number for _, number in best})
            return FusedList(ids=named, hits=len(order), field=_NAME, numbers=numbers)
        return FusedList(ids=self._ids(best, headers=headers), hits=len(order))

    def _found(
        self,
        search: TextSearch,
        legs: Mapping[str, Body],
        *,
        shards: Sequence[Shard],
        headers: Sequence[Body],
        post_filter: Mapping[str, Any] | None,
    ) -> tuple[dict[str, list[LegHit]], dict[tuple[int, int], str]]:
        """Return each leg's best hits on each shard, by their numbers; and the names they have."""
        wanted: Body = {
            "size": self.plan.depth,
            "_source": False,
            "stored_fields": "_none_",
            "sort": ["_score", "_doc", SEQ_NO, {_NAME: {"unmapped_type": "keyword"}}],
            "track_total_hits": False,
            "search_pipeline": NO_PIPELINE,
        }
        if post_filter is not None:
            wanted["post_filter"] = dict(post_filter)
        asked = [(leg, place) for leg in legs for place in range(len(shards))]
        lines: list[Body] = []
        for leg, place in asked:
            run = leg_on_shard(legs[leg], leg=leg, shard=shards[place], holds=search.filter)
            lines += [headers[place], {"query": run, **wanted}]
        found: dict[str, list[LegHit]] = {leg: [] for leg in legs}
        names: dict[tuple[int, int], str] = {}
        for (leg, place), answer in zip(asked, self._answers(lines, fields=_FOUND), strict=True):
            refuse_failed(answer, what=f"the {leg} leg", place=place)
            hits = found[leg]
            for hit in _hits(answer):
                score, number, seq_no, name = hit["sort"]
                hits.append(LegHit(f"{place}/{seq_no}", score, place, number))
                if name is not None:
                    names[place, seq_no] = name
        return found, names

    def _ids(self, wanted: Sequence[tuple[int, int]], *, headers: Sequence[Body]) -> list[str]:
        """Return the ids of documents by their shard and number; of those that are still there."""
        lines: list[Body] = []
        asked: list[int] = []
        for shard, group in groupby(sorted(wanted), key=lambda one: one[0]):
            numbers = [number for _, number in group]
            asked.append(shard)
            body: Body = {
                "query": {"bool": {"filter": [{"terms": {SEQ_NO: numbers}}]}},
                "size": len(numbers),
                "_source": False,
                "docvalue_fields": [SEQ_NO],
                "track_total_hits": False,
                "search_pipeline": NO_PIPELINE,
            }
            lines += [headers[shard], body]
        ids: dict[tuple[int, int], str] = {}
        for shard, answer in zip(asked, self._answers(lines, fields=_NAMED), strict=True):
            refuse_failed(answer, what="naming the hits", place=shard)
            for hit in _hits(answer):
                ids[shard, int(hit["fields"][SEQ_NO][0])] = str(hit["_id"])
        # Indices of one alias may share an id, which then stands where it stood first.
        return list(dict.fromkeys(ids[one] for one in wanted if one in ids))

    def _answers(self, lines: Sequence[Body], *, fields: str) -> list[Mapping[str, Any]]:
        if not lines:
            return []
        params: dict[str, Any] = {"filter_path": fields, "request_timeout": self._left_s()}
        answers: list[Mapping[str, Any]] = self.client.msearch(body=list(lines), params=params)[
            "responses"
        ]
        return answers

    def _left_s(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise EngineUnreachableError("no time was left to search the legs")
        return left


def _header(shard: Shard, *, text: str) -> Body:
    """Return where the legs of a search are run on one shard: all on one copy of it.

    Documents have other numbers on other copies. The same text goes to the same one, so that its
    pages agree, and other texts go to others, so that all have work. A copy that is lost meanwhile
    is no matter: the engine takes another.

    Example:
        >>> _header(Shard(index="films", number=2, nodes=("n1",)), text="fox")
        {'index': 'films', 'preference': '_shards:2|_prefer_nodes:n1'}
    """
    chosen = ""
    if shard.nodes:
        number = crc32(text.encode("utf-8", "surrogatepass"))
        chosen = f"|_prefer_nodes:{shard.nodes[number % len(shard.nodes)]}"
    return {"index": shard.index, "preference": f"_shards:{shard.number}{chosen}"}


def _hits(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the hits of an answer that was cut to what is in it."""
    found: Sequence[Mapping[str, Any]] = answer.get("hits", {}).get("hits", ())
    return found


def _place(name: str) -> tuple[int, int]:
    """Read the name that a document has until it is fused.

    Example:
        >>> _place("2/1587")
        (2, 1587)
    """
    shard, _, number = name.partition("/")
    return int(shard), int(number)
