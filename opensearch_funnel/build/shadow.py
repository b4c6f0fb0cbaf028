"""Compare two slots of an index: the one that is searched now and the one that might be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opensearchpy import OpenSearch

from opensearch_funnel.build.funnel import client_funnel
from opensearch_funnel.build.plans import open_models
from opensearch_funnel.build.trusting import Trusting
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.engine.binding import bound_plan, in_slot
from opensearch_funnel.evaluating.funnel_systems import client_system
from opensearch_funnel.evaluating.shadow import ShadowReport, compare_systems
from opensearch_funnel.settings import Settings


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

    Nothing is written, and no client is answered by it. Legs that ``auto`` fuses are measured
    in each slot, unless the plan says that they were.

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
    other = bound_plan(client, in_slot(client, plan, slot=candidate))
    systems = []
    for one in (plan, other):
        models = open_models(one, settings=settings, progress=progress)
        trusting = Trusting(client=client, progress=progress)
        funnel = client_funnel(client, trusting.measured(one, models=models), models=models)
        systems.append(client_system(funnel, name=f"slot {one.slot}"))
    present, shadow = systems
    return compare_systems(present, shadow, queries=queries, qrels=qrels, progress=progress)
