"""Send a plain search to the cluster as a client would, and read what came back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.plan import LEGS, FunnelPlan
from opensearch_funnel.engine.allow_list import MARK
from opensearch_funnel.engine.hits import degraded, fused_by_engine_instead, leg_scores
from opensearch_funnel.engine.searching import NO_PIPELINE
from opensearch_funnel.service.search_api_request import SearchRequest, SystemName
from opensearch_funnel.service.tracing import AnswerTrace, HitTrace

Response = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One hit.

    Attributes:
        doc_id: its id.
        rank: its place, from 1; counted over all pages.
        score: what the engine returned.
        source: the fields that were asked for.
        highlight: fragments of each field with the words that matched between ``<em>`` and
            ``</em>``. They are the document's own text and may hold any other markup: show them
            as text.
        index: the concrete index that holds it.
        trace: why it is where it is; ``None`` where nobody asked.
    """

    doc_id: str
    rank: int
    score: float
    source: Mapping[str, Any] = field(default_factory=dict)
    highlight: Mapping[str, Sequence[str]] = field(default_factory=dict)
    index: str = ""
    trace: HitTrace | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from every other hit: an alias may cover indices with the same ids."""
        return (self.index, self.doc_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one system answered.

    Attributes:
        system: which one.
        took_ms: the engine's own time, the service's stages included.
        degraded: whether a stage of the funnel did not take part that should have.
        upgraded: whether the funnel's legs were searched at all.
        by_engine: whether the engine fused them because the service could not.
        total: how many documents match, as the engine counts: ``value``, and ``relation``
            (``eq``, or ``gte`` where it stopped counting).
        hits: best first.
        trace: what holds for all traces; ``None`` where nobody asked.
        trace_failed: why there is no trace though one was asked for; empty otherwise.
    """

    system: SystemName
    took_ms: int
    degraded: bool
    upgraded: bool = False
    by_engine: bool = False
    total: Mapping[str, Any]
    hits: Sequence[Hit]
    trace: AnswerTrace | None = None
    trace_failed: str = ""


def ask(client: OpenSearch, request: SearchRequest, *, pipeline: str = NO_PIPELINE) -> Response:
    """Send a search, and return the engine's response as it is.

    Args:
        client: the cluster.
        request: what is searched.
        pipeline: the search pipeline that it goes through; by default none.
    """
    params = {"search_pipeline": pipeline, "include_named_queries_score": "true"}
    response: Response = client.search(index=request.index, body=request.body, params=params)
    return response


def read_answer(
    response: Mapping[str, Any],
    request: SearchRequest,
    *,
    system: SystemName,
    plan: FunnelPlan | None = None,
) -> Answer:
    """Read a response as the answer of a system.

    Args:
        response: the engine's.
        request: what was asked.
        system: which system answered.
        plan: the one that the funnel runs; nothing is missing in the answer to a search that is
            not in its sample.

    Example:
        >>> asked = SearchRequest(index="films", text="heat", start=10)
        >>> response = {"took": 3, "hits": {"total": {"value": 11, "relation": "eq"},
        ...             "hits": [{"_id": "a", "_score": 1.5}]}}
        >>> answer = read_answer(response, asked, system="bm25")
        >>> answer.hits[0].rank, answer.degraded
        (11, False)
    """
    hits = [
        Hit(
            doc_id=str(hit["_id"]),
            rank=rank,
            score=float(hit["_score"] or 0.0),
            source=hit.get("_source") or {},
            highlight=hit.get("highlight") or {},
            index=str(hit.get("_index", "")),
        )
        for rank, hit in enumerate(response["hits"]["hits"], start=request.start + 1)
    ]
    sampled = plan is None or plan.samples(request.text)
    return Answer(
        system=system,
        took_ms=int(response["took"]),
        degraded=system == "funnel" and sampled and degraded(response),
        upgraded=system == "funnel" and _upgraded(response),
        by_engine=system == "funnel" and fused_by_engine_instead(response),
        total=response["hits"].get("total") or {"value": len(hits), "relation": "gte"},
        hits=hits,
    )


def _upgraded(response: Mapping[str, Any]) -> bool:
    """Say whether the request was rewritten: by its mark, or by the names of its legs."""
    marked = MARK in (response.get("aggregations") or {})
    return marked or any(leg_scores(hit).keys() & set(LEGS) for hit in response["hits"]["hits"])
