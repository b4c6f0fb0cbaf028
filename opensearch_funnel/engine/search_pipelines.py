"""The bodies of search pipelines, connectors and models: pure functions of a plan."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.rewriting import KEY_FIELDS

Body = dict[str, Any]

MAX_CONNECTIONS = 100
_MILLISECONDS = 1000
_GRACE_MS = 200


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


def funnel_pipeline(plan: FunnelPlan, *, rewrite_model: str, rank_model: str | None) -> Body:
    """Return the search pipeline with Python on both sides.

    ``oversample`` by 1.0 remembers the client's size, and ``truncate_hits`` without a number
    cuts back to it. A constant number would silently cut every request that passes through
    untouched, ``_reindex`` and by-query jobs included.

    Args:
        plan: the plan that the pipeline runs.
        rewrite_model: id of the remote model that answers ``/rewrite``.
        rank_model: id of the one that answers ``/rank``; ``None`` leaves reranking out.
    """
    rerank: list[Body] = []
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
        ],
        "phase_results_processors": [fusion_processor(plan)],
        "response_processors": [*rerank, {"truncate_hits": {"ignore_failure": True}}],
    }


def plan_address(plan_id: str, *, service_url: str, action: str) -> str:
    """Return where the service answers for a plan.

    Example:
        >>> plan_address("films.0a", service_url="http://127.0.0.1:8750/", action="rank")
        'http://127.0.0.1:8750/v1/plans/films.0a/rank'
    """
    return f"{service_url.rstrip('/')}/v1/plans/{quote(plan_id, safe='')}/{action}"


def rewrite_connector(plan: FunnelPlan, *, service_url: str) -> Body:
    """Return the connector through which the engine sends a search request to be rewritten."""
    return _connector(
        plan,
        action="rewrite",
        service_url=service_url,
        request_body='{"source": ${parameters.source}}',
    )


def rank_connector(plan: FunnelPlan, *, service_url: str) -> Body:
    """Return the connector through which the engine asks for the scores of hits.

    The placeholder of the query has no quotes: what travels there is one JSON object, because
    a quoted string that looks like JSON is refused, and a plain one would not be escaped.
    """
    return _connector(
        plan,
        action="rank",
        service_url=service_url,
        request_body='{"plan": ${parameters.query}, "documents": ${parameters.documents}}',
        pre_process_function="connector.pre_process.cohere.rerank",
        post_process_function="connector.post_process.cohere.rerank",
    )


def _connector(
    plan: FunnelPlan, *, action: str, service_url: str, request_body: str, **functions: str
) -> Body:
    return {
        "name": connector_name(plan.plan_id, action=action),
        "description": f"opensearch-funnel: {action} of plan {plan.plan_id}",
        "version": "1",
        "protocol": "http",
        # The engine refuses a connector without a credential; the service asks for none.
        "credential": {"unused": "unused"},
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
                "headers": {"Content-Type": "application/json"},
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
