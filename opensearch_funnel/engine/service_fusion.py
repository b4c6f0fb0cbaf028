"""Fuse a search's legs while its request is rewritten, and name the best hits of the list.

The client form's legs and arithmetic (``leg_hits``, ``core.fusion``), and so its order; what
differs is what is asked for, because somebody waits. A leg is searched on all shards at once: the
best of each would be merged here, and most of them thrown away. And the engine opens a document
to tell its id, which takes longer than to find it. So hits are told apart by what needs no
opening: ``funnel.id``, and their numbers. Where that names one of the best hits not, or two of
them, those are asked for their ids.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from zlib import crc32

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineUnreachableError
from opensearch_funnel.core.fusion import fused_ids
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.allow_list import TextSearch
from opensearch_funnel.engine.leg_hits import leg_alone, refuse_failed
from opensearch_funnel.engine.paging import SEQ_NO, FusedList
from opensearch_funnel.engine.queries import ENCODED, NAME, Body
from opensearch_funnel.engine.rewriting import wanted_of_list
from opensearch_funnel.engine.searching import NO_PIPELINE

# An answer without hits has to keep its place among the others: each has a status.
_HEAD = "responses.status,responses.error,responses.timed_out,responses._shards.failures"
_HIT = "responses.hits.hits"
_FOUND = f"{_HEAD},{_HIT}._index,{_HIT}.sort,{_HIT}.fields"
_TOLD = (SEQ_NO, NAME)
_NAMED = f"{_HEAD},{_HIT}._index,{_HIT}._id,{_HIT}.fields"


class _Hit(NamedTuple):
    """A document as the engine tells it without a look into it.

    Attributes:
        of_index: the concrete one.
        number: of the document in its shard, the one that can be searched for.
        name: its ``funnel.id``; empty for a document that was not encoded.
    """

    of_index: str
    number: int
    name: str

    @classmethod
    def read(cls, hit: Mapping[str, Any]) -> _Hit:
        return cls(hit["_index"], hit["fields"][SEQ_NO][0], _name(hit))


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
        asked = _Asked(search, self.plan, post_filter)
        hits: dict[str, Mapping[str, Any]] = {}
        found = self._found(asked, legs, hits=hits)
        order = fused_ids(found, weights=self.plan.weights, fusion=self.plan.fusion)
        best = [_Hit.read(hits[key]) for key in order[: wanted_of_list(search, plan=self.plan)]]
        nearest = [_name(hits[hit.doc_id]) for hit in found.get("dense", ())]
        listed = FusedList(
            ids=[hit.name for hit in best],
            hits=len(order),
            nearest=nearest,
            nearest_of=self.plan.alias,
            field=NAME,
            numbers=sorted({hit.number for hit in best}),
        )
        if all(listed.ids) and len(set(listed.ids)) == len(best):
            return listed
        ids = self._ids(asked, best, lexical=legs.get("bm25", {}))
        return replace(listed, ids=ids, field="_id", numbers=())

    def _found(
        self, asked: _Asked, legs: Mapping[str, Body], *, hits: dict[str, Mapping[str, Any]]
    ) -> dict[str, list[LegHit]]:
        """Return what each leg found, and put the engine's hits down under the keys given here."""
        more: Body = {
            # The number breaks ties.
            "sort": ["_score", "_doc"],
            "stored_fields": "_none_",
            "docvalue_fields": _TOLD,
        }
        lines = [
            asked.line(leg_alone(query, asked.search.filter, leg=leg), size=self.plan.depth, **more)
            for leg, query in legs.items()
        ]
        found: dict[str, list[LegHit]] = {}
        for leg, answer in zip(legs, self._answers(lines, fields=_FOUND), strict=True):
            refuse_failed(answer, what=f"the {leg} leg")
            best = found[leg] = []
            seen: set[str] = set()
            for hit in _hits(answer):
                score, number = hit["sort"]
                key = f"{number}/{_name(hit)}/{hit['_index']}"
                # On another shard there may be one of the same number, and no name to tell it by;
                # no leg finds that but one. Its shard is not told: of equal scores it is later.
                copy = 0
                while key in seen:
                    copy += 1
                    key = f"{key}/{copy}"
                seen.add(key)
                hits.setdefault(key, hit)
                best.append(LegHit(key, score, copy, number))
        return found

    def _ids(self, asked: _Asked, best: Sequence[_Hit], *, lexical: Mapping[str, Any]) -> list[str]:
        """Return the ids of documents, in their order; of those that are still there."""
        named = [hit for hit in best if hit.name]
        rest = len(best) - len(named)
        numbers = sorted({hit.number for hit in named})
        names = sorted({hit.name for hit in named})
        by_name = {"bool": {"filter": [{"terms": {NAME: names}}, {"terms": {SEQ_NO: numbers}}]}}
        lines = [asked.line(by_name, size=2 * len(named), docvalue_fields=_TOLD)]
        # Only their words can have found the others, so they stand as that leg has them.
        plain = {"bool": {"must": [dict(lexical)], "must_not": [ENCODED]}}
        if rest:
            query = leg_alone(plain, asked.search.filter, leg="bm25")
            lines.append(asked.line(query, size=rest, sort=["_score", "_doc"]))
        answers = self._answers(lines, fields=_NAMED)
        for answer in answers:
            refuse_failed(answer, what="naming the hits")
        ids: dict[_Hit, list[str]] = {}
        for hit in _hits(answers[0]):
            ids.setdefault(_Hit.read(hit), []).append(str(hit["_id"]))
        others = iter(str(hit["_id"]) for answer in answers[1:] for hit in _hits(answer))
        wanted = [ids.get(hit, []) if hit.name else [next(others, "")] for hit in best]
        # Indices of one alias may share an id, which then stands where it stood first.
        return list(dict.fromkeys(one for each in wanted for one in each if one))

    def _answers(self, lines: Sequence[Sequence[Body]], *, fields: str) -> list[Mapping[str, Any]]:
        if not lines:
            return []
        params: dict[str, Any] = {"filter_path": fields, "request_timeout": self._left_s()}
        body = [part for line in lines for part in line]
        answers: list[Mapping[str, Any]] = self.client.msearch(body=body, params=params)[
            "responses"
        ]
        return answers

    def _left_s(self) -> float:
        left = self.until - time.monotonic()
        if left <= 0:
            raise EngineUnreachableError("no time was left to search the legs")
        return left


@dataclass(frozen=True, slots=True)
class _Asked:
    """What holds for all that is asked of the engine for one search."""

    search: TextSearch
    plan: FunnelPlan
    post_filter: Mapping[str, Any] | None

    def line(self, query: Body, *, size: int, **more: Any) -> tuple[Body, Body]:
        """Return one search of several, with where it is run.

        Documents have other numbers on other copies of a shard. The same text goes to the same
        copies, so that all legs and pages agree, and other texts go to others.
        """
        number = crc32(self.search.text.encode("utf-8", "surrogatepass"))
        body: Body = {
            "query": query,
            "size": size,
            "_source": False,
            "track_total_hits": False,
            "search_pipeline": NO_PIPELINE,
            **more,
        }
        if self.post_filter is not None:
            body["post_filter"] = dict(self.post_filter)
        return {"index": self.plan.alias, "preference": f"funnel-{number}"}, body


def _hits(answer: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """Return the hits of an answer that was cut to what is in it."""
    found: Sequence[Mapping[str, Any]] = answer.get("hits", {}).get("hits", ())
    return found


def _name(hit: Mapping[str, Any]) -> str:
    name: str = hit["fields"].get(NAME, ("",))[0]
    return name
