"""The freshness test with the models of the plan that is applied to an index."""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.build.plans import open_encoders
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.evaluating.gating.checks import Gate
from opensearch_funnel.evaluating.gating.freshness import Freshness
from opensearch_funnel.evaluating.gating.live import live_plan
from opensearch_funnel.service.models import check_fingerprints
from opensearch_funnel.settings import Settings


def check_freshness(  # noqa: PLR0913 - what is tested, and how
    client: OpenSearch,
    alias: str,
    *,
    within: float,
    settings: Settings,
    pipeline: str | None = None,
    progress: Progress = SILENT,
) -> Gate:
    """Write a probe into an index, see that every leg finds it, and delete it.

    Args:
        client: the cluster.
        alias: an index or alias with a funnel pipeline and its ingest pipeline.
        within: seconds that each leg has.
        settings: say where models are.
        pipeline: the applied pipeline's name; ``funnel-<alias>`` if not given.
        progress: hears of what is fetched and of each step.

    Raises:
        InputError: the index is not one whose documents are encoded as they are written.
        InvalidPlanError: the models here are not those that encode the index.
    """
    plan, index = live_plan(client, alias, pipeline=pipeline)
    models = open_encoders(plan, settings=settings, progress=progress)
    check_fingerprints(plan, models)
    return Freshness(
        client=client, plan=plan, index=index, models=models, within=within, progress=progress
    ).run()
