"""Ask the engine again for what a trace needs: each leg alone, and all of them fused.

Where the service fuses, no engine does: the fused order is the one made here of the legs again.

The answer that a trace is of does not hold this any more: the reranker has overwritten the fused
scores, and the engine keeps no leg's own order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.fusion import FusedHit, fused
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, LegName
from opensearch_funnel.core.query_weights import LegEvidence, evidence
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.engine.allow_list import TextSearch
from opensearch_funnel.engine.leg_hits import (
    EngineLegs,
    EngineSources,
    Shard,
    engine_version,
    shards_of,
)
from opensearch_funnel.engine.queries import Body, hybrid, leg_queries
from opensearch_funnel.engine.search_pipelines import fusion_pipeline
from opensearch_funnel.engine.searching import MAX_RESULT_WINDOW, NO_PIPELINE
from opensearch_funnel.service.tracing import TextTerm, TokenTerm
from opensearch_funnel.service.tracing_terms import lexical_terms, sparse_terms

Key = tuple[str, str]
"""The concrete index of a document, and its id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineHit:
    """A document in the engine's fused order.

    Attributes:
        rank: its place, from 1.
        score: its fused score.
        source: the fields that a trace needs.
    """

    rank: int
    score: float
    source: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class LegRuns:
    """What the engine says of a search, and what this package makes of it.

    Attributes:
        queries: the query of each leg.
        candidates: how many documents each leg found, over all shards.
        weights: each leg's share of the fused score of this search.
        evidence: what speaks for that share and against it, by leg; where the service fuses.
        engine: the fused order of the answer, best first: the engine's, or that of the service.
        ours: the same search fused here, with the contribution of each leg.
    """

    queries: Mapping[str, Body]
    candidates: Mapping[LegName, int]
    weights: Mapping[str, float]
    evidence: Mapping[str, LegEvidence]
    engine: Mapping[Key, EngineHit]
    ours: Mapping[Key, FusedHit]


def run_legs(
    client: OpenSearch,
    plan: FunnelPlan,
    search: TextSearch,
    *,
    models: PlanModels,
    size: int,
) -> LegRuns:
    """Run a search's legs: each alone, and all of them fused by whoever fuses the plan's.

    Args:
        client: the cluster.
        plan: says how deep the legs are and how they are fused.
        search: what was searched, and what holds for every leg.
        models: the encoders of the plan.
        size: how many hits of the fused order to return.
    """
    legs = leg_queries(plan, text=search.text, bm25=search.query, models=models)
    shards = shards_of(client, plan.alias)
    alone = EngineLegs(
        client=client,
        # What holds for every leg is in the shards' filter already.
        plan=replace(plan, matching="widen"),
        models=models,
        shards=[replace(one, filter=_both(one.filter, search.filter)) for one in shards],
        lexical=lambda _: dict(search.query),
    ).find(Query(text=search.text))
    placed = {leg: alone.get(leg, ()) for leg in plan.placed(search.text)}
    order = fused(placed, weights=plan.weights, fusion=plan.fusion, version=engine_version(client))
    indices = {shard.index for shard in shards}
    told: Mapping[str, LegEvidence] = {}
    if plan.fusion.by_service:
        listed = _fused_here(client, plan, order.hits[:size], shards=shards)
        told = evidence(alone, full_match=plan.fusion.full_match)
    else:
        listed = _fused_by_engine(client, plan, search, legs=legs, size=size)
    return LegRuns(
        queries=legs,
        candidates={leg: len(alone[leg]) for leg in plan.active_legs},
        weights=order.weights,
        evidence=told,
        engine=listed,
        ours={_split(hit.doc_id, indices=indices): hit for hit in order.hits},
    )


def _fused_here(
    client: OpenSearch, plan: FunnelPlan, hits: Sequence[FusedHit], *, shards: Sequence[Shard]
) -> dict[Key, EngineHit]:
    """Return the best of the order that was made here, with the fields that a trace needs."""
    indices = {shard.index for shard in shards}
    fields = (*plan.text_fields, plan.sparse_field)
    sources = EngineSources(client=client, shards=shards, fields=fields).read(
        [hit.doc_id for hit in hits]
    )
    return {
        _split(hit.doc_id, indices=indices): EngineHit(
            rank=rank, score=hit.score, source=sources.get(hit.doc_id) or {}
        )
        for rank, hit in enumerate(hits, start=1)
    }


def _fused_by_engine(
    client: OpenSearch,
    plan: FunnelPlan,
    search: TextSearch,
    *,
    legs: Mapping[str, Body],
    size: int,
) -> dict[Key, EngineHit]:
    body = {
        "query": hybrid(legs, depth=plan.depth, holds=search.filter),
        "size": size,
        "_source": [*plan.text_fields, plan.sparse_field],
        "search_pipeline": fusion_pipeline(plan),
    }
    hits = client.search(index=plan.alias, body=body)["hits"]["hits"]
    return {
        _key(hit): EngineHit(rank=rank, score=float(hit["_score"]), source=hit.get("_source") or {})
        for rank, hit in enumerate(hits, start=1)
    }


def _both(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> Body | None:
    conditions = [dict(part) for part in (one, other) if part]
    return {"bool": {"filter": conditions}} if conditions else None


def lexical_terms_of(
    client: OpenSearch, index: str, *, query: Mapping[str, Any], doc_ids: Sequence[str]
) -> dict[Key, tuple[TextTerm, ...]]:
    """Ask the engine which terms made the score of documents under a text query.

    Args:
        client: the cluster.
        index: an index or alias.
        query: the text query.
        doc_ids: the documents; those that the query does not find are left out.
    """
    if not doc_ids:
        return {}
    body = {
        "query": {"bool": {"must": [dict(query)], "filter": [{"ids": {"values": list(doc_ids)}}]}},
        # An alias may hold an id more than once.
        "size": min(len(doc_ids) * 10, MAX_RESULT_WINDOW),
        "_source": False,
        "explain": True,
        "track_total_hits": False,
    }
    params = {"search_pipeline": NO_PIPELINE}
    response = client.search(index=index, body=body, params=params)
    return {_key(hit): lexical_terms(hit["_explanation"]) for hit in response["hits"]["hits"]}


def sparse_terms_of(
    query: Mapping[str, Any], source: Mapping[str, Any], *, field: str
) -> tuple[TokenTerm, ...]:
    """Return the terms of the sparse leg that matched a document.

    Args:
        query: the leg's query.
        source: the document, with the field.
        field: the field of the leg, such as ``funnel.sparse_a``.
    """
    weights = query.get("neural_sparse", {}).get(field, {}).get("query_tokens", {})
    outer, _, inner = field.partition(".")
    stored = (source.get(outer) or {}).get(inner) or {}
    # A document that was encoded before it had an id has its terms in a list.
    parts = stored if isinstance(stored, list) else [stored]
    return sparse_terms(weights, {token: w for part in parts for token, w in part.items()})


def _key(hit: Mapping[str, Any]) -> Key:
    return (str(hit["_index"]), str(hit["_id"]))


def _split(doc_id: str, *, indices: set[str]) -> Key:
    """Read the name that a leg gives a document: with its index only where there are several."""
    if len(indices) == 1:
        return (next(iter(indices)), doc_id)
    index, _, own = doc_id.partition("/")
    return (index, own)
