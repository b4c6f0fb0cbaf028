"""Search an index as several systems side by side, and say why each hit is where it is."""

from __future__ import annotations

from collections.abc import Sequence

from opensearchpy import OpenSearch

from opensearch_funnel.build.plans import open_models
from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import pipeline_name
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.search_api_answers import Answer, ask, read_answer
from opensearch_funnel.service.search_api_request import SearchRequest, SystemName
from opensearch_funnel.service.tracing_answers import explain_funnel, explain_plain
from opensearch_funnel.settings import Settings


def applied_plan_of(client: OpenSearch, index: str) -> FunnelPlan | None:
    """Return the plan that an index's pipeline runs; ``None`` where none was applied."""
    applied = state.load_pipeline(client, pipeline_name(index))
    return None if applied is None else state.load_plan(client, applied.plan_id)


def search_systems(  # noqa: PLR0913 - the parts of one comparison
    client: OpenSearch,
    request: SearchRequest,
    *,
    systems: Sequence[SystemName],
    plan: FunnelPlan | None,
    settings: Settings,
    explain: bool,
) -> list[Answer]:
    """Ask one plain search of each system.

    Args:
        client: the cluster.
        request: what is searched.
        systems: ``bm25`` goes without a pipeline, ``funnel`` through the applied one.
        plan: the one that is applied to the index; ``None`` where there is none.
        settings: says where the models are that a trace of the funnel asks again.
        explain: say why each hit is where it is.

    Raises:
        InvalidPlanError: the funnel was asked for, and no plan is applied.
        ModelError: a model of the plan cannot be opened for its trace.
    """
    answers: list[Answer] = []
    for system in systems:
        if system == "bm25":
            answer = read_answer(ask(client, request), request, system=system)
            answers.append(explain_plain(client, answer, request) if explain else answer)
            continue
        if plan is None:
            raise InvalidPlanError(
                f"no pipeline is applied to {request.index}: funnel pipeline apply --index "
                f"{request.index}"
            )
        response = ask(client, request, pipeline=pipeline_name(request.index))
        answer = read_answer(response, request, system=system, plan=plan)
        if explain:
            ready = ReadyPlan(plan, open_models(plan, settings=settings))
            answer = explain_funnel(client, answer, request, ready=ready)
        answers.append(answer)
    return answers
