"""The index whose documents are encoded while they are written: what its pipeline has to fit."""

from __future__ import annotations

from dataclasses import dataclass

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import state
from opensearch_funnel.engine.binding import planned_index
from opensearch_funnel.engine.default_pipelines import (
    INGEST,
    NO_PIPELINE,
    called_first,
    default_pipelines_of,
    is_ours,
    pipeline_body,
)
from opensearch_funnel.engine.indices import read_funnel_meta

INGEST_NOTE = (
    "documents are encoded while they are written, but not those of an update in a bulk request, "
    "which runs no ingest pipeline, nor those of writers that name a pipeline of their own: "
    "funnel migrate repair finds and encodes them"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveIndex:
    """An index whose documents are encoded while they are written.

    Attributes:
        index: its concrete name.
        theirs: the ingest pipeline that it runs by default on its own; empty for none.
        slots: the slots of funnel fields that it has.
    """

    index: str
    theirs: str = ""
    slots: tuple[str, ...] = ()


def live_index(client: OpenSearch, plan: FunnelPlan) -> LiveIndex:
    """Read what a plan's index runs when a document is written.

    Raises:
        InvalidPlanError: its default ingest pipeline does not exist, so that every write fails.
    """
    index = planned_index(client, plan)
    recorded = {one.name: one.ingest_of for one in state.list_pipelines(client)}
    theirs = default_pipelines_of(client, kind=INGEST).get(index, "")
    while theirs not in {"", NO_PIPELINE}:
        body = pipeline_body(client, theirs, kind=INGEST)
        before = recorded.get(theirs, {}).get(index)
        if before is None and is_ours(body):
            before = called_first(body)
        if before is None:
            if body is None:
                raise InvalidPlanError(
                    f"{index} has the default ingest pipeline {theirs}, which does not exist, so "
                    "every write fails: make it, or set index.default_pipeline to null, and "
                    "apply again"
                )
            break
        theirs = before
    slots = read_funnel_meta(client, index=index).get("slots", {})
    theirs = "" if theirs == NO_PIPELINE else theirs
    return LiveIndex(index=index, theirs=theirs, slots=tuple(sorted(slots)))
