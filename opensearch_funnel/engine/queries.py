"""Queries as data: pure functions that return the engine's JSON, and send nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import fsum, isfinite
from typing import Any

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import LEGS, FunnelPlan

Body = dict[str, Any]

MATCH_NONE: Body = {"match_none": {}}
_DIGITS = 9
_ABOVE_NOTHING = 0.001
NAME = "funnel.id"
"""The name that a document has for the funnel, told without opening it; a copy of it keeps it."""
ENCODED: Body = {"exists": {"field": NAME}}
"""Matches the documents that were encoded. On an index that does not know the field, the engine
turns it, and every query that requires it, into one that matches nothing; ``neural_sparse`` alone
would fail there, and take the hits of that index with it."""


def multi_match(text: str, *, fields: Sequence[str] = ("title", "text")) -> Body:
    """Return the BM25 query that every evaluation uses: best field wins.

    Example:
        >>> multi_match("heat")["multi_match"]["fields"]
        ['title', 'text']
    """
    return {"multi_match": {"query": text, "fields": list(fields), "type": "best_fields"}}


def sparse_query(
    field: str, term_weights: Mapping[str, float], *, limit: int | None = None
) -> Body:
    """Return the dot product of a query's term weights with the documents'.

    The weights of a query are scaled to add up to 1. That changes no order, and makes scores tell
    how much of the query a document holds: those of long and of short queries compare.

    Args:
        field: a ``rank_features`` field.
        term_weights: the query's tokens and weights; tokens without a positive weight are left
            out.
        limit: keep only so many of the heaviest tokens.

    Returns:
        A ``neural_sparse`` query, which unlike ``rank_feature`` does not split tokens at dots;
        a query that matches nothing where no token is left, because an empty one is refused.

    Example:
        >>> sparse_query("f", {"paris": 1.5, "in": 0.5})
        {'neural_sparse': {'f': {'query_tokens': {'paris': 0.75, 'in': 0.25}}}}
        >>> sparse_query("f", {"paris": 1.5, "in": 0.25}, limit=1)
        {'neural_sparse': {'f': {'query_tokens': {'paris': 1.0}}}}
        >>> sparse_query("f", {})
        {'match_none': {}}
    """
    positive = ((weight, token) for token, weight in term_weights.items() if weight > 0)
    heaviest = sorted(positive, key=lambda pair: (-pair[0], pair[1]))[:limit]
    total = fsum(weight for weight, _ in heaviest)
    # The engine refuses a weight of 0, and reads no more digits than these.
    shares = {token: round(weight / total, _DIGITS) for weight, token in heaviest}
    kept = {token: share for token, share in shares.items() if share > 0}
    if not kept:
        return dict(MATCH_NONE)
    return {"neural_sparse": {field: {"query_tokens": kept}}}


def dense_query(field: str, vector: Sequence[float], *, k: int) -> Body:
    """Return the ``k`` nearest documents; an index without the field has none.

    Example:
        >>> dense_query("f", [1.0], k=2)
        {'knn': {'f': {'vector': [1.0], 'k': 2, 'ignore_unmapped': True}}}
    """
    return {"knn": {field: {"vector": list(vector), "k": k, "ignore_unmapped": True}}}


def neural_query(field: str, text: str, *, k: int) -> Body:
    """Return the ``k`` nearest documents to a text whose vector the engine asks for.

    The model is not named: ``neural_query_enricher`` of the search pipeline fills it in.

    Example:
        >>> neural_query("v", "fox", k=2)
        {'neural': {'v': {'query_text': 'fox', 'k': 2}}}
    """
    return {"neural": {field: {"query_text": text, "k": k}}}


def leg_queries(
    plan: FunnelPlan,
    *,
    text: str,
    bm25: Mapping[str, Any],
    models: PlanModels,
    in_pipeline: bool = False,
) -> dict[str, Body]:
    """Return the query of each leg in its place of the hybrid query (``FunnelPlan.placed``).

    Args:
        plan: says which legs there are, and their fields.
        text: what was searched; encoded here for the sparse and the dense leg.
        bm25: the query of the lexical leg, as the client wrote it.
        models: the encoders of the other legs.
        in_pipeline: the query goes through the plan's own search pipeline, which alone knows the
            model of a ``neural`` query.

    Raises:
        StageUnavailableError: a leg has no model, or its model gave no numbers.
    """
    legs: dict[str, Body] = {}
    for leg in plan.placed(text):
        if leg not in LEGS:
            legs[leg] = dict(MATCH_NONE)
        elif leg == "bm25":
            legs[leg] = dict(bm25)
        elif leg == "sparse" and models.sparse is not None:
            weights = models.sparse.encode_query(text)
            if not all(map(isfinite, weights.values())):
                # It would be left out like a weight of zero, and nobody would hear of it.
                raise StageUnavailableError("the sparse encoder gave a weight that is no number")
            legs[leg] = sparse_query(plan.sparse_field, weights, limit=plan.sparse.query_terms)
        elif leg == "dense" and in_pipeline and asked_by_engine(plan, text):
            legs[leg] = neural_query(plan.dense_field, text, k=plan.depth)
        elif leg == "dense" and models.dense is not None:
            vector = models.dense.encode_query(text)
            legs[leg] = dense_query(plan.dense_field, vector.tolist(), k=plan.depth)
        else:
            raise StageUnavailableError(f"the {leg} leg has no model: plan {plan.plan_id}")
    return legs


def asked_by_engine(plan: FunnelPlan, text: str) -> bool:
    """Say whether the engine gets the vector itself; it takes ``${`` for its own placeholder."""
    return plan.dense.native_neural and "${" not in text


def hybrid(legs: Mapping[str, Body], *, depth: int, holds: Mapping[str, Any] | None = None) -> Body:
    """Return one hybrid query over named legs.

    ``pagination_depth`` is always set: without it a leg is as deep as the page is long, and
    the fused scores depend on ``size``.

    Args:
        legs: the query of each leg, in its place.
        depth: hits of each leg, on each shard.
        holds: what every hit has to match, whatever leg finds it.

    Example:
        >>> hybrid({"bm25": {"match": {"t": "x"}}}, depth=50)["hybrid"]["pagination_depth"]
        50
    """
    queries = [named(query, name=leg, encoded=leg != "bm25") for leg, query in legs.items()]
    constraint = {} if holds is None else {"filter": dict(holds)}
    return {"hybrid": {"queries": queries, "pagination_depth": depth, **constraint}}


def alone_in_hybrid(query: Mapping[str, Any], *, places: int, depth: int) -> Body:
    """Return a hybrid query whose order is that of one query.

    Args:
        query: the first of its places; the others stay empty.
        places: as many as the pipeline has weights.
        depth: hits on each shard.

    Example:
        >>> query = alone_in_hybrid({"match": {"t": "x"}}, places=2, depth=50)
        >>> [next(iter(one)) for one in query["hybrid"]["queries"]]
        ['function_score', 'match_none']
    """
    empty = [dict(MATCH_NONE) for _ in range(places - 1)]
    # What a query finds with a score of 0, a hybrid query leaves out.
    above = {
        "function_score": {
            "query": dict(query),
            "functions": [{"weight": _ABOVE_NOTHING}],
            "boost_mode": "sum",
        }
    }
    return {"hybrid": {"queries": [above, *empty], "pagination_depth": depth}}


def named(query: Mapping[str, Any], *, name: str, encoded: bool = False) -> Body:
    """Give a query a name that shows up in a hit's ``matched_queries``.

    The query is wrapped, not edited: a client's own name inside it stays.

    Args:
        query: the query.
        name: its name.
        encoded: it is in a field of the funnel: indices without one have no hits for it.

    Example:
        >>> named({"match_all": {}}, name="all")
        {'bool': {'must': [{'match_all': {}}], '_name': 'all'}}
    """
    required: Body = {"filter": [ENCODED]} if encoded else {}
    return {"bool": {"must": [dict(query)], **required, "_name": name}}
