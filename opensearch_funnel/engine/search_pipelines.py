"""The bodies of search pipelines, connectors and models: pure functions of a plan."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import scrypt
from typing import Any
from urllib.parse import quote

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.resources import filled

Body = dict[str, Any]

ACTIONS = ("rewrite", "rank", "embed", "encode")
"""What the engine asks the service for, each by a connector and a model of its own."""
_MILLISECONDS = 1000
_GRACE_MS = 200
# What may stand in a header, without what the engine would take for a placeholder of its own.
_TOKEN = re.compile(r"[!-#%-~]+")


def fusion_processor(plan: FunnelPlan) -> Body:
    """Return the phase-results processor that fuses a plan's legs (``by_engine``).

    Where the service fuses, its page comes as a query of one place: reciprocal ranks keep its
    order to the last hit, which scores on another scale would not.

    Example:
        >>> plan = FunnelPlan.from_dict({"alias": "a", "fusion": {"technique": "rrf"}})
        >>> fusion_processor(plan)["score-ranker-processor"]["combination"]["rank_constant"]
        60
    """
    plan = by_engine(plan)
    weights = list(plan.weights)
    if plan.fusion.technique == "rrf":
        return {
            "score-ranker-processor": {
                "combination": {
                    "technique": "rrf",
                    "rank_constant": plan.fusion.rank_constant,
                    "parameters": {"weights": weights},
                }
            }
        }
    return {
        "normalization-processor": {
            "normalization": {"technique": plan.fusion.technique},
            "combination": {
                "technique": plan.fusion.combination,
                "parameters": {"weights": weights},
            },
        }
    }


def by_engine(plan: FunnelPlan) -> FunnelPlan:
    """Return what the engine runs of a plan by itself.

    A search that the service could not fuse in time is fused by its ranks, with the trust in the
    legs in their weights.

    Example:
        >>> plan = by_engine(FunnelPlan.from_dict({"alias": "a", "trust": {"bm25": 0.5}}))
        >>> plan.fusion.technique, plan.weights
        ('rrf', (0.25, 0.25, 0.5))
    """
    if not plan.fusion.by_service:
        return plan
    own = {leg: getattr(plan, leg) for leg in plan.active_legs}
    weighed: dict[str, Any] = {
        leg: replace(about, weight=about.weight * plan.trust.of(leg)) for leg, about in own.items()
    }
    return replace(plan, fusion=replace(plan.fusion, technique="rrf"), **weighed)


def fusion_pipeline(plan: FunnelPlan) -> Body:
    """Return a pipeline that only fuses: for hybrid queries that were planned elsewhere."""
    return {"phase_results_processors": [fusion_processor(plan)]}


def funnel_pipeline(
    plan: FunnelPlan, *, rewrite_model: str, rank_model: str | None, embed_model: str | None = None
) -> Body:
    """Return the search pipeline with Python on both sides.

    ``oversample`` by 1.0 remembers the client's size, and ``truncate_hits`` without a number
    cuts back to it. A constant number would silently cut every request that passes through
    untouched, ``_reindex`` and by-query jobs included. The fields that are asked for ``rank`` are
    kept out of the answer by ``split``: no processor removes a field, but this one splits its text
    at all of it, which leaves an empty list, and the engine writes no field without a value.

    Args:
        plan: the plan that the pipeline runs.
        rewrite_model: id of the remote model that answers ``/rewrite``.
        rank_model: id of the one that answers ``/rank``; ``None`` leaves reranking out.
        embed_model: id of the one that answers ``/embed``, where the engine asks for the vectors.
    """
    name = "search-pipeline" if rank_model is None else "search-pipeline-reranked"
    models = {"REWRITE_MODEL_ID": rewrite_model, "RANK_MODEL_ID": rank_model or ""}
    body = filled(f"{name}.v1", PLAN_ID=plan.plan_id, **models)
    body["phase_results_processors"] = [fusion_processor(plan)]
    if embed_model is not None:
        # Names the model in the neural query that the rewrite has put into the body: comes after.
        enrich = {"ignore_failure": True, "default_model_id": embed_model}
        body["request_processors"].append({"neural_query_enricher": enrich})
    return body


def plan_address(plan_id: str, *, service_url: str, action: str) -> str:
    """Return where the service answers for a plan.

    Example:
        >>> plan_address("films.0a", service_url="http://127.0.0.1:8750/", action="rank")
        'http://127.0.0.1:8750/v1/plans/films.0a/rank'
    """
    return f"{service_url.rstrip('/')}/v1/plans/{quote(plan_id, safe='')}/{action}"


def plan_connectors(
    plan: FunnelPlan, *, service_url: str, token: str | None = None, ingest: bool = False
) -> dict[str, Body]:
    """Return the connectors that a plan needs, by what they ask for.

    Args:
        plan: the plan.
        service_url: where the cluster reaches the service.
        token: what the service wants to be shown; the engine keeps it encrypted.
        ingest: whether documents are encoded while they are written, too.

    Raises:
        InvalidPlanError: the token cannot stand in a header.

    Example:
        >>> list(plan_connectors(FunnelPlan(alias="films"), service_url="http://127.0.0.1:8750"))
        ['rewrite']
    """
    if token is not None and _TOKEN.fullmatch(token) is None:
        raise InvalidPlanError(
            "the service's token cannot be sent: use printable ASCII without blanks and '$'"
        )
    connectors = {"rewrite": rewrite_connector(plan, service_url=service_url, token=token)}
    if plan.rerank.enabled:
        connectors["rank"] = rank_connector(plan, service_url=service_url, token=token)
    if plan.dense.native_neural and "dense" in plan.active_legs:
        connectors["embed"] = embed_connector(plan, service_url=service_url, token=token)
    if ingest:
        connectors["encode"] = encode_connector(plan, service_url=service_url, token=token)
    return connectors


def rewrite_connector(plan: FunnelPlan, *, service_url: str, token: str | None = None) -> Body:
    """Return the connector through which the engine sends a search request to be rewritten."""
    return _connector(plan, action="rewrite", service_url=service_url, token=token)


def rank_connector(plan: FunnelPlan, *, service_url: str, token: str | None = None) -> Body:
    """Return the connector through which the engine asks for the scores of hits.

    The placeholder of the query has no quotes: what travels there is one JSON object, because
    a quoted string that looks like JSON is refused, and a plain one would not be escaped.
    """
    return _connector(plan, action="rank", service_url=service_url, token=token)


def embed_connector(plan: FunnelPlan, *, service_url: str, token: str | None = None) -> Body:
    """Return the connector through which the engine asks for the vector of a ``neural`` query."""
    return _connector(plan, action="embed", service_url=service_url, token=token)


def encode_connector(plan: FunnelPlan, *, service_url: str, token: str | None = None) -> Body:
    """Return the connector through which the engine sends a document that is being written."""
    return _connector(plan, action="encode", service_url=service_url, token=token)


def _connector(plan: FunnelPlan, *, action: str, service_url: str, token: str | None) -> Body:
    """Return a connector of ``mappings/`` with what the plan, the service and its token change."""
    body = filled(f"connector-{action}.v1", PLAN_ID=plan.plan_id, SERVICE_TOKEN=token or "")
    (call,) = body["actions"]
    call["url"] = plan_address(plan.plan_id, service_url=service_url, action=action)
    if token is None:
        # The engine refuses a connector without a credential, where the service asks for none, too.
        body["credential"] = {"unused": "unused"}
        del call["headers"]["Authorization"]
    body["client_config"]["read_timeout"] = read_timeout_s(plan, action=action)
    return body


def read_timeout_s(plan: FunnelPlan, *, action: str) -> int:
    """Return how long the engine waits for the service, in whole seconds.

    A little longer than the service's own deadlines, so that the service is the one that gives
    up: it knows why, and says so.

    Example:
        >>> plan = FunnelPlan(alias="films")
        >>> read_timeout_s(plan, action="rank"), read_timeout_s(plan, action="encode")
        (1, 3)
    """
    deadlines = plan.deadlines
    longest = max(deadlines.rewrite_ms, deadlines.rank_ms)
    if action == "encode":
        longest = deadlines.encode_ms
    return -(-(longest + _GRACE_MS) // _MILLISECONDS)


def token_hash(token: str | None, *, plan_id: str) -> str:
    """Return what tells one token from another and gives neither away; empty for none.

    Slow on purpose, and another one for each plan: who may read the cluster's state must not be
    able to guess a token by trying many.

    Example:
        >>> token_hash(None, plan_id="films.0a")
        ''
        >>> token_hash("s", plan_id="films.0a") == token_hash("s", plan_id="films.0b")
        False
    """
    if token is None:
        return ""
    return scrypt(token.encode(), salt=plan_id.encode(), n=2**14, r=8, p=1, dklen=16).hex()


def connector_name(plan_id: str, *, action: str) -> str:
    """Return the name by which a plan's connectors and models are found again."""
    return f"funnel {plan_id} {action}"


def trusted_pattern(service_url: str) -> str:
    r"""Return the anchored, escaped pattern of the plan addresses of one service.

    Never wider than that: the setting decides which addresses the cluster may call.

    Example:
        >>> trusted_pattern("http://127.0.0.1:8750")
        '^http://127\\.0\\.0\\.1:8750/v1/plans/.*$'
    """
    return f"^{re.escape(service_url.rstrip('/'))}/v1/plans/.*$".replace(r"\-", "-")
