"""The request side: a plain text search in, a hybrid search over every leg out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opensearch_funnel.engine.queries import Body, leg_queries
from opensearch_funnel.engine.rewriting import read_text_search, upgraded_body
from opensearch_funnel.service.plans import ReadyPlan


def rewrite(body: Mapping[str, Any], *, ready: ReadyPlan) -> Body:
    """Return the body to run instead of a client's: upgraded, or the same.

    Args:
        body: the client's request, normalised by the engine.
        ready: the plan and its models.
    """
    plan = ready.plan
    search = read_text_search(body, plan=plan)
    if search is None:
        return unchanged(body)
    legs = leg_queries(plan, text=search.text, bm25=search.query, models=ready.models)
    return upgraded_body(body, search, plan=plan, legs=legs)


def unchanged(body: Mapping[str, Any]) -> Body:
    """Return a body as the engine reads it back to what the client sent.

    The engine writes a client's ``ext.rerank`` without its wrapper and refuses to read it so.

    Example:
        >>> unchanged({"ext": {"query_context": {"query_text": "fox"}}})
        {'ext': {'rerank': {'query_context': {'query_text': 'fox'}}}}
    """
    ext = body.get("ext")
    if not isinstance(ext, Mapping) or "query_context" not in ext:
        return dict(body)
    others = {name: value for name, value in ext.items() if name != "query_context"}
    rerank = {"query_context": ext["query_context"]}
    return {**body, "ext": {**others, "rerank": rerank}}
