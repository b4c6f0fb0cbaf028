"""The plans that the corpus runs under, and the service that answers for them.

``create_app`` is called here and nowhere else in this folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Fusion, Reranking
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.process import wait_for_plan
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.testing import OverlapScorer, served
from tests.clients.catalogue import DENSE, SPARSE

RERANKED = Reranking(enabled=True, depth=20)
PLANS: dict[str, dict[str, Any]] = {
    "default": {},
    "reranked": {"rerank": RERANKED},
    "rrf": {"fusion": Fusion(technique="rrf")},
    "same_set": {"matching": "same_set", "rerank": RERANKED},
    "widen": {"matching": "widen", "rerank": RERANKED},
    "two_legs": {},
}
"""By name: what a plan says beyond its index. ``two_legs`` is BM25 and dense only."""
FOR_UNTOUCHED = ("default", "reranked")
"""The plans that requests run under which no plan upgrades: without and with the second hop."""


def plan_named(client: OpenSearch, name: str, *, index: str) -> FunnelPlan:
    """Return a plan of ``PLANS``, bound to an index."""
    # A test says what happens, not how fast: a busy machine must not look like a broken stage.
    patient = Deadlines(rewrite_ms=20_000, rank_ms=20_000)
    plan = FunnelPlan(alias=index, deadlines=patient, **PLANS[name])
    if name == "two_legs":
        plan = plan.with_legs("bm25", "dense")
    return bound_plan(client, plan)


def _stand_ins(plan: FunnelPlan) -> PlanModels:
    legs = plan.active_legs
    return PlanModels(
        sparse=SPARSE if "sparse" in legs else None,
        dense=DENSE if "dense" in legs else None,
        reranker=OverlapScorer(),
    )


@contextmanager
def service(client: OpenSearch) -> Iterator[str]:
    """Answer for every plan of the cluster, with stand-ins for the models."""
    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=_stand_ins
    )
    app = create_app(plans, IndexTexts(client), engine_url="test", preload=list)
    with served(app) as url:
        yield url


@contextmanager
def applied(client: OpenSearch, plan: FunnelPlan, *, url: str) -> Iterator[str]:
    """Make a plan's pipeline the default of its index; yields the pipeline's name."""
    done = apply_pipeline(client, plan, service_url=url, default=True)
    try:
        wait_for_plan(url, plan.plan_id)
        yield done.name
    finally:
        remove_pipeline(client, done.name)
