"""Indices with ingest pipelines of somebody else's, and what is left of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.applying import bound_plan, remove_pipeline
from opensearch_funnel.engine.indices import index_body
from tests.engine.left_behind import known_pipelines, left, none_of_that
from tests.engine.live import PATIENT
from tests.engine.shelf import stand_in_slot

DEFAULT = "index.default_pipeline"
THEIRS = {
    "processors": [
        {"set": {"field": "by", "value": "them"}},
        {"fail": {"if": "ctx.bad == true", "message": "theirs refuses this"}},
        {"drop": {"if": "ctx.drop == true"}},
    ]
}


@contextmanager
def cleaned_index(client: OpenSearch, name: str) -> Iterator[None]:
    """An index for the funnel; afterwards the cluster is as it was."""
    before = left(client)
    make_index(client, name)
    yield
    for applied in known_pipelines(client, name):
        remove_pipeline(client, applied)
    client.indices.delete(index=f"{name}*")
    for pipeline in none_of_that(client, "GET", "/_ingest/pipeline"):
        if pipeline.startswith(name):
            client.ingest.delete_pipeline(id=pipeline)
    assert left(client) == before


def make_index(client: OpenSearch, name: str, **extra: Any) -> None:
    client.indices.create(index=name, body={**index_body(slot=stand_in_slot()), **extra})


def plan_for(client: OpenSearch, index: str, **changes: Any) -> FunnelPlan:
    return bound_plan(client, FunnelPlan(alias=index, deadlines=PATIENT, **changes))


def their_pipeline(client: OpenSearch, index: str, *, of: str | None = None) -> str:
    """Give an index an ingest pipeline of somebody else's."""
    name = f"{index}-theirs"
    client.ingest.put_pipeline(id=name, body=THEIRS)
    client.indices.put_settings(index=of or index, body={DEFAULT: name})
    return name


def default_of(client: OpenSearch, index: str) -> str | None:
    found = client.indices.get_settings(index=index, params={"flat_settings": "true"})
    value: str | None = found[index]["settings"].get(DEFAULT)
    return value
