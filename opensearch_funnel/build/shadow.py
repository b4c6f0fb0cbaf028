"""Compare two slots of an index: the one that is searched now and the one that might be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from opensearchpy import OpenSearch

from opensearch_funnel.build.funnel import client_funnel
from opensearch_funnel.build.plans import open_models
from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan, LegName
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.engine.binding import bound_plan
from opensearch_funnel.engine.indices import read_funnel_meta
from opensearch_funnel.evaluating.funnel_systems import client_system
from opensearch_funnel.evaluating.shadow import ShadowReport, compare_systems
from opensearch_funnel.settings import Settings


def plan_of_slot(client: OpenSearch, plan: FunnelPlan, *, slot: str) -> FunnelPlan:
    """Return a plan that searches another slot of its index, bound to it.

    The models are those that the index says filled the slot; a leg that the slot does not have
    is left out, the rest of the plan stays.

    Raises:
        InvalidPlanError: the index has no such slot.
    """
    slots = read_funnel_meta(client, index=plan.alias).get("slots", {})
    filled = slots.get(slot)
    if not filled:
        known = ", ".join(sorted(slots)) or "none"
        raise InvalidPlanError(f"{plan.alias} has no slot {slot!r}; it has: {known}")
    legs: list[LegName] = [leg for leg in plan.active_legs if leg == "bm25" or leg in filled]
    changed = replace(plan, slot=slot).with_legs(*legs)
    if "sparse" in legs:
        model = filled["sparse"]["model"]
        changed = replace(changed, sparse=replace(changed.sparse, model=model, fingerprint=""))
    if "dense" in legs:
        model = filled["dense"]["model"]
        changed = replace(changed, dense=replace(changed.dense, model=model, fingerprint=""))
    return bound_plan(client, changed)


def compare_slots(  # noqa: PLR0913 - what is compared, on what
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    candidate: str,
    queries: Sequence[Query],
    qrels: Mapping[str, Mapping[str, int]] | None = None,
    settings: Settings,
    progress: Progress = SILENT,
) -> ShadowReport:
    """Ask a plan's slot and another one the same queries, in the client form of the funnel.

    Nothing is written, and no client is answered by it.

    Args:
        client: the cluster.
        plan: searches the present slot; bound to its index.
        candidate: the other slot.
        queries: what is asked.
        qrels: judgments of some of the queries.
        settings: say where models are.
        progress: told of every query.

    Raises:
        InvalidPlanError: the index has no such slot.
        ModelError: a model of one of the slots cannot be opened.
    """
    other = plan_of_slot(client, plan, slot=candidate)
    systems = []
    for one in (plan, other):
        models = open_models(one, settings=settings, progress=progress)
        funnel = client_funnel(client, one, models=models)
        systems.append(client_system(funnel, name=f"slot {one.slot}"))
    present, shadow = systems
    return compare_systems(present, shadow, queries=queries, qrels=qrels, progress=progress)
