"""Which plan an index's applied pipeline runs, where its documents are encoded as they come."""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import bound_plan, pipeline_name
from opensearch_funnel.engine.binding import planned_index
from opensearch_funnel.engine.default_pipelines import (
    INGEST,
    default_pipelines_of,
    is_ours,
    pipeline_body,
)


def live_plan(
    client: OpenSearch, alias: str, *, pipeline: str | None = None
) -> tuple[FunnelPlan, str]:
    """Return the plan that is applied to an index, and the concrete index.

    Args:
        client: the cluster.
        alias: an index or alias.
        pipeline: the applied pipeline's name; ``funnel-<alias>`` if not given.

    Raises:
        IndexMissingError: there is no such index.
        InputError: the index has no funnel fields, no pipeline is applied to it, or its documents
            are not encoded as they are written; says what to do.
        InvalidPlanError: the plan does not fit the index any more.
    """
    mappings = client.indices.get_mapping(index=alias)
    metas = [found["mappings"].get("_meta", {}).get("funnel", {}) for found in mappings.values()]
    if not any(meta.get("slots") for meta in metas):
        raise InputError(
            f"{alias} has no funnel fields, so there is nothing to find a document by but its "
            f"words: funnel migrate plan {alias}"
        )
    name = pipeline or pipeline_name(alias)
    applied = state.load_pipeline(client, name)
    if applied is None:
        raise InputError(
            f"no pipeline {name} was applied: funnel pipeline apply --index {alias} --default "
            "--ingest, or name another with --pipeline"
        )
    plan = bound_plan(client, state.load_plan(client, applied.plan_id), with_others=True)
    index = planned_index(client, plan)
    writes_through = default_pipelines_of(client, kind=INGEST).get(index, "")
    if not writes_through or not is_ours(pipeline_body(client, writes_through, kind=INGEST)):
        raise InputError(
            f"documents of {index} are not encoded as they are written: funnel pipeline apply "
            f"--index {alias} --default --ingest"
        )
    return plan, index
