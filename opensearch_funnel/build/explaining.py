"""Search an index as several systems side by side, and say why each hit is where it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from opensearchpy import OpenSearch

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, LegName
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import pipeline_name
from opensearch_funnel.engine.hits import RANKED_ABOVE, degraded, leg_scores
from opensearch_funnel.engine.queries import leg_queries, multi_match
from opensearch_funnel.engine.searching import NO_PIPELINE, hit_ids, search
from opensearch_funnel.service.rank import share_of_score

SystemName = Literal["bm25", "funnel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """Where one leg alone had a hit, and with which raw score."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One hit, and why it is where it is.

    Attributes:
        doc_id: its id.
        rank: its place, from 1.
        score: what the engine returned.
        source: the fields that were asked for.
        legs: rank and raw score in each leg that found it.
        terms: the sparse leg's matched terms, each with the product of the query's and the
            document's weight; they add up to that leg's score.
        rerank: the reranker's share of its range, from 0 to 1; ``None`` for a hit it did not see.
    """

    doc_id: str
    rank: int
    score: float
    source: Mapping[str, Any]
    legs: Mapping[LegName, Leg] = field(default_factory=dict)
    terms: Sequence[tuple[str, float]] = ()
    rerank: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one system answered."""

    system: SystemName
    took_ms: int
    degraded: bool
    hits: Sequence[Hit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A plain text search, as a client sends it.

    Attributes:
        index: an index or alias.
        text: what is searched.
        fields: the fields it is searched in; they are returned, too.
        size: how many hits.
    """

    index: str
    text: str
    fields: Sequence[str]
    size: int = 10

    @property
    def query(self) -> dict[str, Any]:
        """The plain query."""
        return multi_match(self.text, fields=self.fields)


def search_bm25(client: OpenSearch, asked: Asked) -> Found:
    """Ask the index as if there were no funnel."""
    response = _ask(client, asked, pipeline=NO_PIPELINE)
    return Found(system="bm25", took_ms=response["took"], degraded=False, hits=_hits(response))


def search_funnel(client: OpenSearch, asked: Asked, *, explain: ExplainWith | None = None) -> Found:
    """Ask the index through its applied pipeline.

    Args:
        client: the cluster.
        asked: the search; its index has an applied pipeline.
        explain: the plan and its encoders, to say why each hit is where it is.
    """
    response = _ask(client, asked, pipeline=pipeline_name(asked.index))
    hits = _hits(response)
    if explain is not None:
        hits = _explained(client, response, hits, asked=asked, explain=explain)
    return Found(system="funnel", took_ms=response["took"], degraded=degraded(response), hits=hits)


@dataclass(frozen=True, slots=True)
class ExplainWith:
    """What an explanation is made with."""

    plan: FunnelPlan
    models: PlanModels


def applied_plan_of(client: OpenSearch, index: str) -> FunnelPlan | None:
    """Return the plan that an index's pipeline runs; ``None`` where none was applied."""
    applied = state.load_pipeline(client, pipeline_name(index))
    return None if applied is None else state.load_plan(client, applied.plan_id)


def _ask(client: OpenSearch, asked: Asked, *, pipeline: str) -> dict[str, Any]:
    body = {"query": asked.query, "size": asked.size, "_source": list(asked.fields)}
    params = {"search_pipeline": pipeline, "include_named_queries_score": "true"}
    response: dict[str, Any] = client.search(index=asked.index, body=body, params=params)
    return response


def _hits(response: Mapping[str, Any]) -> list[Hit]:
    return [
        Hit(
            doc_id=str(hit["_id"]),
            rank=rank,
            score=float(hit["_score"] or 0.0),
            source=hit.get("_source") or {},
        )
        for rank, hit in enumerate(response["hits"]["hits"], start=1)
    ]


def _explained(
    client: OpenSearch,
    response: Mapping[str, Any],
    hits: Sequence[Hit],
    *,
    asked: Asked,
    explain: ExplainWith,
) -> list[Hit]:
    plan = explain.plan
    legs = leg_queries(plan, text=asked.text, bm25=asked.query, models=explain.models)
    ranks = {
        leg: {
            doc_id: rank
            for rank, doc_id in enumerate(
                hit_ids(search(client, plan.alias, query=query, size=plan.depth)), start=1
            )
        }
        for leg, query in legs.items()
    }
    weights = _query_weights(legs.get("sparse", {}))
    documents = _document_weights(client, plan, [hit.doc_id for hit in hits]) if weights else {}
    told: list[Hit] = []
    for hit, raw in zip(hits, response["hits"]["hits"], strict=True):
        scores = leg_scores(raw)
        told.append(
            Hit(
                doc_id=hit.doc_id,
                rank=hit.rank,
                score=hit.score,
                source=hit.source,
                legs={
                    leg: Leg(rank=ranks[leg][hit.doc_id], score=scores[leg])
                    for leg in legs
                    if leg in scores and hit.doc_id in ranks[leg]
                },
                terms=matched_terms(weights, documents.get(hit.doc_id, {})),
                rerank=share_of_score(hit.score) if hit.score > RANKED_ABOVE else None,
            )
        )
    return told


def matched_terms(
    query: Mapping[str, float], document: Mapping[str, float]
) -> list[tuple[str, float]]:
    """Return the terms that a query and a document share, by the product of their weights.

    Example:
        >>> matched_terms({"fox": 2.0, "red": 1.0}, {"fox": 1.5, "hound": 3.0})
        [('fox', 3.0)]
    """
    products = [(t, w * document[t]) for t, w in query.items() if t in document]
    return sorted(products, key=lambda pair: (-pair[1], pair[0]))


def _query_weights(sparse: Mapping[str, Any]) -> dict[str, float]:
    for query in sparse.get("neural_sparse", {}).values():
        return dict(query["query_tokens"])
    return {}


def _document_weights(
    client: OpenSearch, plan: FunnelPlan, doc_ids: Sequence[str]
) -> dict[str, dict[str, float]]:
    body = {
        "query": {"ids": {"values": list(doc_ids)}},
        "size": len(doc_ids),
        "_source": [plan.sparse_field],
    }
    response = client.search(index=plan.alias, body=body, params={"search_pipeline": NO_PIPELINE})
    name = plan.sparse_field.removeprefix("funnel.")
    return {
        hit["_id"]: hit["_source"].get("funnel", {}).get(name, {})
        for hit in response["hits"]["hits"]
    }
