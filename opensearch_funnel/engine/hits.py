"""Read the engine's answers: hits into candidates, and whether the funnel answered in full."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearch_funnel.core.ranking import Candidate, Query, Ranking
from opensearch_funnel.engine.allow_list import MARK, STATIC

RANKED_ABOVE = 1000.0
"""``rank`` gives scores above this, and every fused score lies below it."""


def ranking(response: Mapping[str, Any], *, query: Query) -> Ranking:
    """Turn a response's hits into a ranking.

    The engine's order stands; a score that is missing (a sorted request) or that rises counts
    as the one above it.

    Example:
        >>> hits = [{"_id": "a", "_score": 2.0, "_source": {"title": "A"}}]
        >>> ranking({"hits": {"hits": hits}}, query=Query(text="q")).candidates[0].doc_id
        'a'
    """
    candidates: list[Candidate] = []
    score = float("inf")
    for hit in response["hits"]["hits"]:
        given = hit.get("_score")
        score = min(score, float(given)) if given is not None else min(score, 0.0)
        candidates.append(
            Candidate(
                doc_id=str(hit["_id"]),
                score=score,
                source=hit.get("_source") or {},
                features={k: float(v) for k, v in leg_scores(hit).items()},
            )
        )
    return Ranking(query, tuple(candidates))


def leg_scores(hit: Mapping[str, Any]) -> dict[str, float]:
    """Return a hit's raw score in each named leg that found it.

    Scores are there when the request said ``include_named_queries_score=true``; otherwise
    each leg that matched counts as 1.

    Example:
        >>> leg_scores({"matched_queries": {"bm25": 3.5}})
        {'bm25': 3.5}
        >>> leg_scores({"matched_queries": ["dense"]})
        {'dense': 1.0}
    """
    matched = hit.get("matched_queries") or {}
    if isinstance(matched, Mapping):
        return {str(name): float(score) for name, score in matched.items()}
    return {str(name): 1.0 for name in matched}


def degraded(response: Mapping[str, Any]) -> bool:
    """Say whether a funnel's answer lacks a stage that it should have had.

    Example:
        >>> marked = {"aggregations": {"_funnel": {"meta": {"plan": "p", "rank": True}}}}
        >>> degraded({**marked, "hits": {"max_score": 0.7, "hits": [{}]}})
        True
        >>> degraded({**marked, "hits": {"max_score": 1500.5, "hits": [{}]}})
        False
        >>> degraded({"hits": {"max_score": 7.1, "hits": [{}]}})
        True
        >>> static = {"_funnel": {"meta": {"plan": "p", "rank": False, "fusion": "static"}}}
        >>> degraded({"aggregations": static, "hits": {"max_score": 0.7, "hits": [{}]}})
        True
    """
    meta = _meta(response)
    if meta is None or fused_by_engine_instead(response):
        return True
    hits = response["hits"]
    if not meta.get("rank") or not hits["hits"]:
        return False
    return (hits.get("max_score") or 0.0) <= RANKED_ABOVE


def fused_by_engine_instead(response: Mapping[str, Any]) -> bool:
    """Say whether the service was to fuse and could not: all queries have the same weights then.

    Example:
        >>> marked = {"_funnel": {"meta": {"plan": "p", "rank": False, "fusion": "static"}}}
        >>> fused_by_engine_instead({"aggregations": marked}), fused_by_engine_instead({})
        (True, False)
    """
    return (_meta(response) or {}).get("fusion") == STATIC


def _meta(response: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what the mark says; ``None`` where there is none."""
    aggregations = response.get("aggregations") or {}
    # With typed_keys, as Java's clients ask, an aggregation is named after its kind, too.
    marked = aggregations.get(MARK) or aggregations.get(f"filter#{MARK}") or {}
    meta: Mapping[str, Any] | None = marked.get("meta")
    return meta
