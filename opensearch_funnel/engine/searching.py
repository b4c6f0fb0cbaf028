"""Run one search: a leg alone, the legs fused by the engine, or through an applied pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.queries import Body, hybrid
from opensearch_funnel.engine.search_pipelines import fusion_pipeline

Response = dict[str, Any]
MAX_RESULT_WINDOW = 10_000
"""How many hits an index returns at most, unless it was given another limit."""
NO_PIPELINE = "_none"
"""Keeps every search pipeline away from a request."""


def search(
    client: OpenSearch,
    index: str,
    *,
    query: Mapping[str, Any],
    size: int,
    pipeline: str = NO_PIPELINE,
) -> Response:
    """Run a query for the ids of its hits.

    Args:
        client: the cluster.
        index: an index or alias.
        query: the query, as a client would send it.
        size: how many hits to return.
        pipeline: the search pipeline that it goes through; by default none, not even the
            default one of the index.
    """
    body = {"query": query, "size": size, "_source": False}
    return _search(client, index, body=body, pipeline=pipeline)


def search_fused(
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    legs: Mapping[str, Body],
    size: int,
    source: Any = False,
) -> Response:
    """Run the legs of a plan that were made here, fused by the engine without the service.

    Args:
        client: the cluster.
        plan: says how deep the legs are and how they are fused.
        legs: the query of each leg.
        size: how many hits to return.
        source: which fields of the documents to return; none by default.

    Returns:
        The response; each hit's ``matched_queries`` holds its raw score in each leg.
    """
    body = {
        "query": hybrid(legs, depth=plan.depth),
        "size": size,
        "_source": source,
        "search_pipeline": fusion_pipeline(plan),
    }
    return _search(client, plan.alias, body=body, pipeline=None)


def fused_ids(  # noqa: PLR0913 - the parts of one search
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    legs: Mapping[str, Body],
    holds: Mapping[str, Any] | None,
    post_filter: Mapping[str, Any] | None = None,
    timeout_s: float | None = None,
) -> list[str]:
    """Return the ids of all hits of the fused list, best first.

    Args:
        client: the cluster.
        plan: says how deep the legs are and how they are fused.
        legs: the query of each leg.
        holds: what every hit has to match.
        post_filter: the client's own.
        timeout_s: when to give up.
    """
    body: Body = {
        "query": hybrid(legs, depth=plan.depth, holds=holds),
        "size": MAX_RESULT_WINDOW,
        "_source": False,
        "search_pipeline": fusion_pipeline(plan),
    }
    if post_filter is not None:
        body["post_filter"] = dict(post_filter)
    params: dict[str, Any] = {"filter_path": "hits.hits._id"}
    if timeout_s is not None:
        params["request_timeout"] = timeout_s
    response = client.search(index=plan.alias, body=body, params=params)
    return [str(hit["_id"]) for hit in response.get("hits", {}).get("hits", ())]


def _search(
    client: OpenSearch, index: str, *, body: Mapping[str, Any], pipeline: str | None
) -> Response:
    params = {"include_named_queries_score": "true"}
    if pipeline is not None:
        params["search_pipeline"] = pipeline
    response: Response = client.search(index=index, body=dict(body), params=params)
    return response


def hit_ids(response: Response) -> list[str]:
    """Return the ids of a response's hits, best first.

    Example:
        >>> hit_ids({"hits": {"hits": [{"_id": "a"}, {"_id": "b"}]}})
        ['a', 'b']
    """
    return [str(hit["_id"]) for hit in response["hits"]["hits"]]


def sources(response: Response) -> Sequence[Mapping[str, Any]]:
    """Return the documents of a response's hits, best first."""
    return [hit.get("_source") or {} for hit in response["hits"]["hits"]]
