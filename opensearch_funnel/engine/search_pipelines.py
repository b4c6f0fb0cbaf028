"""The bodies of search pipelines, connectors and models: pure functions of a plan."""

from __future__ import annotations

import re
from hashlib import scrypt
from typing import Any
from urllib.parse import quote

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.rewriting import KEY_FIELDS

Body = dict[str, Any]

ACTIONS = ("rewrite", "rank", "embed")
"""What the engine asks the service for, each by a connector and a model of its own."""
MAX_CONNECTIONS = 100
_MILLISECONDS = 1000
_GRACE_MS = 200
# What may stand in a header, without what the engine would take for a placeholder of its own.
_TOKEN = re.compile(r"[!-#%-~]+")


def fusion_processor(plan: FunnelPlan) -> Body:
    """Return the phase-results processor that fuses a plan's legs.

    Example:
        >>> plan = FunnelPlan.from_dict({"alias": "a", "fusion": {"technique": "rrf"}})
        >>> fusion_processor(plan)["score-ranker-processor"]["combination"]["rank_constant"]
        60
    """
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


def fusion_pipeline(plan: FunnelPlan) -> Body:
    """Return a pipeline that only fuses: for hybrid queries that were planned elsewhere."""
    return {"phase_results_processors": [fusion_processor(plan)]}


def funnel_pipeline(
    plan: FunnelPlan, *, rewrite_model: str, rank_model: str | None, embed_model: str | None = None
) -> Body:
    """Return the search pipeline with Python on both sides.

    ``oversample`` by 1.0 remembers the client's size, and ``truncate_hits`` without a number
    cuts back to it. A constant number would silently cut every request that passes through
    untouched, ``_reindex`` and by-query jobs included.

    Args:
        plan: the plan that the pipeline runs.
        rewrite_model: id of the remote model that answers ``/rewrite``.
        rank_model: id of the one that answers ``/rank``; ``None`` leaves reranking out.
        embed_model: id of the one that answers ``/embed``, where the engine asks for the vectors.
    """
    rerank: list[Body] = []
    enrich: list[Body] = []
    if rank_model is not None:
        rerank = [
            {
                "rerank": {
                    "ignore_failure": True,
                    "ml_opensearch": {"model_id": rank_model},
                    "context": {"document_fields": list(KEY_FIELDS)},
                }
            }
        ]
    if embed_model is not None:
        # Names the model in the neural query that the rewrite has put into the body: comes after.
        enrich = [
            {"neural_query_enricher": {"ignore_failure": True, "default_model_id": embed_model}}
        ]
    return {
        "description": f"opensearch-funnel {plan.plan_id}",
        "request_processors": [
            {"oversample": {"sample_factor": 1.0, "ignore_failure": True}},
            {
                "ml_inference": {
                    "ignore_failure": True,
                    "model_id": rewrite_model,
                    "input_map": [{"source": "$"}],
                    "output_map": [{"body": "body"}],
                    "query_template": "${body}",
                }
            },
            *enrich,
        ],
        "phase_results_processors": [fusion_processor(plan)],
        "response_processors": [
            *rerank,
            {"truncate_hits": {"ignore_failure": True}},
            *([_hidden(field) for field in KEY_FIELDS] if rerank else []),
        ],
    }


def _hidden(field: str) -> Body:
    """Return a processor that keeps a field that was asked for ``rank`` out of the answer.

    No processor removes a field. This one splits its text at all of it, which leaves an empty
    list, and the engine writes no field without a value.
    """
    return {"split": {"ignore_failure": True, "field": field, "separator": "(?s).+"}}


def plan_address(plan_id: str, *, service_url: str, action: str) -> str:
    """Return where the service answers for a plan.

    Example:
        >>> plan_address("films.0a", service_url="http://127.0.0.1:8750/", action="rank")
        'http://127.0.0.1:8750/v1/plans/films.0a/rank'
    """
    return f"{service_url.rstrip('/')}/v1/plans/{quote(plan_id, safe='')}/{action}"


def plan_connectors(
    plan: FunnelPlan, *, service_url: str, token: str | None = None
) -> dict[str, Body]:
    """Return the connectors that a plan needs, by what they ask for.

    Args:
        plan: the plan.
        service_url: where the cluster reaches the service.
        token: what the service wants to be shown; the engine keeps it encrypted.

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
    return connectors


def rewrite_connector(plan: FunnelPlan, *, service_url: str, token: str | None = None) -> Body:
    """Return the connector through which the engine sends a search request to be rewritten."""
    return _connector(
        plan,
        action="rewrite",
        service_url=service_url,
        token=token,
        request_body='{"source": ${parameters.source}}',
    )


def rank_connector(plan: FunnelPlan, *, service_url: str, token: str | None = None) -> Body:
    """Return the connector through which the engine asks for the scores of hits.

    The placeholder of the query has no quotes: what travels there is one JSON object, because
    a quoted string that looks like JSON is refused, and a plain one would not be escaped.
    """
    return _connector(
        plan,
        action="rank",
        service_url=service_url,
        token=token,
        request_body='{"plan": ${parameters.query}, "documents": ${parameters.documents}}',
        pre_process_function="connector.pre_process.cohere.rerank",
        post_process_function="connector.post_process.cohere.rerank",
    )


def embed_connector(plan: FunnelPlan, *, service_url: str, token: str | None = None) -> Body:
    """Return the connector through which the engine asks for the vector of a ``neural`` query."""
    return _connector(
        plan,
        action="embed",
        service_url=service_url,
        token=token,
        request_body='{"input": ${parameters.input}}',
        pre_process_function="connector.pre_process.openai.embedding",
        post_process_function="connector.post_process.openai.embedding",
    )


def _connector(
    plan: FunnelPlan,
    *,
    action: str,
    service_url: str,
    token: str | None,
    request_body: str,
    **functions: str,
) -> Body:
    headers = {"Content-Type": "application/json"}
    if token is not None:
        headers["Authorization"] = "Bearer ${credential.token}"
    return {
        "name": connector_name(plan.plan_id, action=action),
        "description": f"opensearch-funnel: {action} of plan {plan.plan_id}",
        "version": "1",
        "protocol": "http",
        # The engine refuses a connector without a credential, where the service asks for none, too.
        "credential": {"unused": "unused"} if token is None else {"token": token},
        "client_config": {
            "max_connection": MAX_CONNECTIONS,
            "connection_timeout": 1,
            "read_timeout": read_timeout_s(plan),
            "max_retry_times": 0,
        },
        "actions": [
            {
                "action_type": "predict",
                "method": "POST",
                "url": plan_address(plan.plan_id, service_url=service_url, action=action),
                "headers": headers,
                "request_body": request_body,
                **functions,
            }
        ],
    }


def read_timeout_s(plan: FunnelPlan) -> int:
    """Return how long the engine waits for the service, in whole seconds.

    A little longer than the service's own deadlines, so that the service is the one that gives
    up: it knows why, and says so.

    Example:
        >>> read_timeout_s(FunnelPlan(alias="films"))
        1
    """
    longest = max(plan.deadlines.rewrite_ms, plan.deadlines.rank_ms) + _GRACE_MS
    return -(-longest // _MILLISECONDS)


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
