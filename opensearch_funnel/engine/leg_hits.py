"""Search the legs of a plan one by one, past every pipeline, and read the documents they find.

What a hybrid query collects on a shard before anything is fused: the best ``depth`` hits of each
leg **on each shard**, with their raw scores. So each leg is sent once for every shard, all of
them in one ``_msearch``. Where the service fuses, the best ``depth`` of them all count.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError
from opensearch_funnel.core.fusion import Version
from opensearch_funnel.core.leg_hit import LegHit, best_overall
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, LegName
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.engine.queries import Body, leg_queries, multi_match, named
from opensearch_funnel.engine.searching import NO_PIPELINE

_SEPARATOR = "/"
# All legs on the same copy of a shard: documents have other numbers on other copies.
_SAME_COPY = "_primary"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One shard of what a name stands for.

    Attributes:
        index: the index that it belongs to.
        number: its number in that index.
        filter: what an alias lets through of that index; ``None`` for all.
    """

    index: str
    number: int
    filter: Mapping[str, Any] | None = None


def shards_of(client: OpenSearch, name: str) -> tuple[Shard, ...]:
    """Return the shards behind an index or alias, in the order in which the engine merges them.

    Args:
        client: the cluster.
        name: of the index or alias.

    Raises:
        IndexMissingError: there is no such index or alias.
    """
    answer = client.search_shards(index=name)
    filters = {index: about.get("filter") for index, about in answer["indices"].items()}
    places = {
        (int(copy["shard"]), str(copy["index"])) for shard in answer["shards"] for copy in shard
    }
    if not places:
        # The engine answers with no shards, and does not say that there is no such index.
        raise IndexMissingError(f"no index or alias {name!r}: see GET _cat/indices")
    return tuple(
        Shard(index=index, number=number, filter=filters.get(index))
        for number, index in sorted(places)
    )


def engine_version(client: OpenSearch) -> Version:
    """Return the version of the cluster that decides how it fuses: major and minor."""
    major, minor = str(client.info()["version"]["number"]).split(".")[:2]
    return int(major), int(minor)


def leg_alone(query: Mapping[str, Any], *required: Mapping[str, Any] | None, leg: str) -> Body:
    """Return the query of one leg: what the hybrid query runs of it.

    Args:
        query: the leg's.
        required: what every hit has to match, whatever leg finds it.
        leg: its name.

    Example:
        >>> leg_alone({"match": {"t": "x"}}, None, leg="bm25")
        {'bool': {'must': [{'match': {'t': 'x'}}], '_name': 'bm25'}}
    """
    alone = named(query, name=leg, encoded=leg != "bm25")
    holds = [dict(part) for part in required if part]
    return {"bool": {"must": [alone], "filter": holds}} if holds else alone


def plain_query(plan: FunnelPlan) -> Callable[[Query], Body]:
    """Return what a client without the funnel would send: the words in the plan's fields."""
    return lambda query: multi_match(query.text, fields=plan.text_fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLegs:
    """The legs of a plan, searched in a cluster.

    Attributes:
        client: the cluster.
        plan: says which legs there are, their fields and their depth.
        models: the encoders of the legs.
        shards: of the plan's index (``shards_of``).
        lexical: the query of the lexical leg, and of the set that ``same_set`` keeps to.
    """

    client: OpenSearch
    plan: FunnelPlan
    models: PlanModels
    shards: Sequence[Shard]
    lexical: Callable[[Query], Body]

    def find(self, query: Query) -> dict[str, list[LegHit]]:
        """Return the hits of each leg that the plan fuses.

        Raises:
            EngineError: a leg failed on a shard.
        """
        found = self.find_on_shards(query)
        if self.plan.fusion.by_service:
            depth = self.plan.depth
            return {leg: best_overall(hits, depth=depth) for leg, hits in found.items()}
        return found

    def find_on_shards(self, query: Query) -> dict[str, list[LegHit]]:
        """Return the best hits of each leg on each shard, whoever fuses them.

        Raises:
            EngineError: a leg failed on a shard.
        """
        plain = self.lexical(query)
        placed = leg_queries(self.plan, text=query.text, bm25=plain, models=self.models)
        legs = {leg: placed[leg] for leg in self.plan.active_legs}
        holds = plain if self.plan.matching == "same_set" else None
        asked = [(leg, place) for leg in legs for place in range(len(self.shards))]
        lines: list[Body] = []
        for leg, place in asked:
            shard = self.shards[place]
            lines.append(
                {"index": shard.index, "preference": f"_shards:{shard.number}|{_SAME_COPY}"}
            )
            lines.append(self._body(leg, legs[leg], holds=holds, shard=shard))
        found: dict[str, list[LegHit]] = {leg: [] for leg in legs}
        if not lines:
            return found
        answers = self.client.msearch(body=lines)["responses"]
        for (leg, place), answer in zip(asked, answers, strict=True):
            found[leg].extend(self._hits(answer, leg=leg, place=place))
        return found

    def _body(
        self, leg: LegName, query: Body, *, holds: Mapping[str, Any] | None, shard: Shard
    ) -> Body:
        return {
            "query": leg_alone(query, holds, shard.filter, leg=leg),
            "size": self.plan.depth,
            "_source": False,
            # Best first as without it; and it shows each document's number.
            "sort": ["_score", "_doc"],
            "track_scores": True,
            "search_pipeline": NO_PIPELINE,
        }

    def _hits(self, answer: Mapping[str, Any], *, leg: str, place: int) -> list[LegHit]:
        refuse_failed(answer, what=f"the {leg} leg", where=f" on shard {place}")
        return [
            LegHit(
                doc_id=candidate_id(hit, shards=self.shards),
                score=float(hit["_score"]),
                shard=place,
                doc_number=int(hit["sort"][1]),
            )
            for hit in answer["hits"]["hits"]
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSources:
    """The documents of candidates that ``EngineLegs`` found.

    Attributes:
        client: the cluster.
        shards: the same as those of the legs.
        fields: which fields of a document are read.
    """

    client: OpenSearch
    shards: Sequence[Shard]
    fields: Sequence[str]

    def read(self, doc_ids: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Return the documents that still exist, by the candidates' ids."""
        if not doc_ids:
            return {}
        indices = {shard.index for shard in self.shards}
        wanted = [_split(doc_id, indices=indices) for doc_id in doc_ids]
        fields = list(self.fields)
        docs = [{"_index": index, "_id": own, "_source": fields} for index, own in wanted]
        answer = self.client.mget(body={"docs": docs})
        return {
            doc_id: doc["_source"]
            for doc_id, doc in zip(doc_ids, answer["docs"], strict=True)
            if doc.get("found")
        }


def refuse_failed(answer: Mapping[str, Any], *, what: str, where: str = "") -> None:
    """Raise what went wrong with one search of several.

    Args:
        answer: the engine's.
        what: was asked, for the error.
        where: it was asked, if not everywhere.

    Raises:
        EngineError: it failed, if only on one shard, or took longer than it may.
    """
    failed = answer.get("error") or answer.get("_shards", {}).get("failures")
    if failed or answer.get("timed_out"):
        raise EngineError(f"{what} failed{where}: {_reason(failed)}")


def candidate_id(hit: Mapping[str, Any], *, shards: Sequence[Shard]) -> str:
    """Return what a document is called among the candidates that ``EngineLegs`` finds.

    Its id, and of several indices that of its own before it: the name of an index has no slash.

    Args:
        hit: the engine's.
        shards: those that are searched.

    Example:
        >>> hit = {"_index": "films-1", "_id": "a"}
        >>> candidate_id(hit, shards=[Shard(index="films-1", number=0)])
        'a'
        >>> candidate_id(hit, shards=[Shard(index=f"films-{n}", number=0) for n in (1, 2)])
        'films-1/a'
    """
    own = str(hit["_id"])
    several = len({shard.index for shard in shards}) > 1
    return f"{hit['_index']}{_SEPARATOR}{own}" if several else own


def _split(doc_id: str, *, indices: set[str]) -> tuple[str, str]:
    if len(indices) == 1:
        return next(iter(indices)), doc_id
    index, _, own = doc_id.partition(_SEPARATOR)
    return index, own


def _reason(failed: Any) -> str:
    """Say in a few words what the engine says of a failed search."""
    first = failed[0] if isinstance(failed, list) and failed else failed
    if isinstance(first, Mapping):
        roots = first.get("root_cause") or [first.get("reason", first)]
        first = roots[0].get("reason") if isinstance(roots[0], Mapping) else roots[0]
    return str(first or "it timed out")
