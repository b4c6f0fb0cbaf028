"""A plan with a sample on the real node: every page of a search is in the same arm."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.build.evaluation import Bench
from opensearch_funnel.core.plan import FunnelPlan, Reranking, Trust
from opensearch_funnel.engine import state
from opensearch_funnel.engine.allow_list import MARK
from opensearch_funnel.engine.applying import pipeline_name
from opensearch_funnel.engine.indices import index_uuid
from opensearch_funnel.settings import Settings
from tests.engine.shelf import COLOURS, applied, shelves, stand_in_service

pytestmark = pytest.mark.engine

EACH = 6
"""Texts looked at inside of the sample, and as many outside of it."""


@dataclass(frozen=True, slots=True)
class Place:
    index: str
    plan: FunnelPlan


@pytest.fixture(scope="module")
def place(client: OpenSearch) -> Iterator[Place]:
    with shelves(client) as made, stand_in_service(client) as url:
        decided = Reranking(enabled=True, depth=12, decided=True, reason="on: by evidence")
        measured = Trust(
            dense=0.5, decided=True, reason="…", index=index_uuid(client, index=made[1])
        )
        plan = FunnelPlan(alias=made[1], sample=0.5, rerank=decided, trust=measured)
        with applied(client, plan, url=url):
            yield Place(made[1], plan)


def texts(plan: FunnelPlan, *, inside: bool) -> list[str]:
    """Return the first texts of an arm; which these are depends on the name of the index."""
    made = (f"{COLOURS[n % 4]} {('fox', 'hound')[n % 2]} n{n}" for n in count())
    return list(islice((text for text in made if plan.samples(text) is inside), EACH))


def search(client: OpenSearch, index: str, body: dict[str, Any], **params: str) -> dict[str, Any]:
    answer: dict[str, Any] = client.search(index=index, body=body, params=params)
    assert answer["_shards"]["failed"] == 0
    del answer["took"]
    return answer


def test_the_pages_of_a_search_are_all_upgraded_or_all_as_without_the_pipeline(
    client: OpenSearch, place: Place
) -> None:
    for text in [*texts(place.plan, inside=True), *texts(place.plan, inside=False)]:
        query = {"match": {"text": text}}
        for more in ({}, {"from": 10}, {"from": 20}, {"track_total_hits": True}):
            body = {"query": query, **more}
            answer = search(client, place.index, body)
            assert (MARK in answer.get("aggregations", {})) is place.plan.samples(text), body
            if not place.plan.samples(text):
                assert answer == search(client, place.index, body, search_pipeline="_none")


def test_another_share_asks_for_no_new_measure_and_no_new_decision_about_the_reranker(
    client: OpenSearch, place: Place
) -> None:
    pipeline = pipeline_name(place.index)
    record = state.load_pipeline(client, pipeline)
    assert record is not None
    before = state.load_plan(client, record.plan_id)
    larger = replace(before.undecided(), sample=0.9)
    # Deciding anew would try the reranker on probes; the settings name no place for its files.
    bench = Bench(client=client, settings=Settings(home=Path("/nowhere")))
    assert bench.decided_once(larger, pipeline=pipeline) == replace(before, sample=0.9)
