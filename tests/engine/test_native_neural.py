"""Plans with ``dense.native_neural``: the engine asks for the query's vector; on the real node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, StageUnavailableError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, DenseLeg, FunnelPlan, Fusion, Reranking
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights
from tests.engine.shelf import fill_index, stand_in_service

pytestmark = pytest.mark.engine

SPARSE, DENSE = WordWeights(), WordVector(dimension=16)
TEXTS = [
    "the red fox and the hound",
    "a fox",
    "red paint on a red wall",
    "blue whales sing",
    "fox fox fox fox",
    "a hound in a red coat",
    "the wall of blue paint",
]
QUERIES = ["red fox", "a blue wall", "hound", '"quoted" \\ {"a": 1}', '["a", "b"]', "${x:-fox}"]


class Counted:
    """An encoder that says which texts it was given, and may stop to answer."""

    fingerprint = DENSE.fingerprint

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.down = False

    def encode_query(self, text: str) -> Any:
        self.asked.append(text)
        if self.down:
            raise StageUnavailableError("the model is gone")
        return DENSE.encode_query(text)


@pytest.fixture
def dense() -> Counted:
    return Counted()


@pytest.fixture
def url(client: OpenSearch, dense: Counted) -> Iterator[str]:
    models = PlanModels(sparse=SPARSE, dense=dense, reranker=OverlapScorer())
    with stand_in_service(client, models=models) as address:
        yield address


@pytest.fixture
def plan(client: OpenSearch, index_name: str) -> FunnelPlan:
    sources = {f"d{number}": {"text": text} for number, text in enumerate(TEXTS)}
    fill_index(client, index_name, sources, dense=DENSE)
    written = FunnelPlan(
        fusion=Fusion(technique="min_max"),  # under auto the service encodes the query itself
        alias=index_name,
        dense=DenseLeg(native_neural=True),
        deadlines=Deadlines(rewrite_ms=20_000, rank_ms=20_000),
    )
    return bound_plan(client, written)


@contextmanager
def applied(client: OpenSearch, plan: FunnelPlan, *, url: str) -> Iterator[str]:
    done = apply_pipeline(client, plan, service_url=url, default=True)
    try:
        yield done.name
    finally:
        remove_pipeline(client, done.name)


def answers(client: OpenSearch, plan: FunnelPlan, *, url: str) -> list[Any]:
    """Return the hits and scores of all queries, first page and second."""
    found = []
    with applied(client, plan, url=url):
        for text in QUERIES:
            for start in (0, 3):
                body = {"query": {"match": {"text": text}}, "from": start, "size": 3}
                answer = client.search(index=plan.alias, body=body)
                assert not degraded(answer)
                found.append([(hit["_id"], hit["_score"]) for hit in answer["hits"]["hits"]])
    return found


@pytest.mark.parametrize("enabled", [False, True])
def test_the_order_is_the_one_of_the_vector_made_in_the_rewrite(
    client: OpenSearch, plan: FunnelPlan, url: str, enabled: bool
) -> None:
    plan = replace(plan, rerank=Reranking(enabled=enabled))
    in_rewrite = replace(plan, dense=replace(plan.dense, native_neural=False))
    assert answers(client, plan, url=url) == answers(client, in_rewrite, url=url)


def test_the_engine_asks_once_for_the_text_as_it_was_typed(
    client: OpenSearch, plan: FunnelPlan, url: str, dense: Counted
) -> None:
    with applied(client, plan, url=url):
        dense.asked.clear()
        for text in QUERIES:
            client.search(index=plan.alias, body={"query": {"match": {"text": text}}})
        assert dense.asked == QUERIES


def test_without_the_vector_the_search_fails(
    client: OpenSearch, plan: FunnelPlan, url: str, dense: Counted
) -> None:
    body = {"query": {"match": {"text": "red fox"}}}
    with applied(client, plan, url=url):
        dense.down = True
        with pytest.raises(EngineError, match="the model is gone"):
            client.search(index=plan.alias, body=body)
        dense.down = False
        assert not degraded(client.search(index=plan.alias, body=body))


def test_a_service_that_has_no_vectors_is_found_out_before_the_pipeline_is_put(
    client: OpenSearch, plan: FunnelPlan, url: str, dense: Counted
) -> None:
    dense.down = True
    with pytest.raises(StageUnavailableError, match=r"gets no vector .*the model is gone"):
        apply_pipeline(client, plan, service_url=url, default=True)
    assert state.load_pipeline(client, f"funnel-{plan.alias}") is None


def test_a_neural_query_of_a_client_goes_by_its_own_model(
    client: OpenSearch, plan: FunnelPlan, url: str
) -> None:
    theirs = {"neural": {plan.dense_field: {"query_text": "fox", "model_id": "theirs", "k": 3}}}
    with applied(client, plan, url=url), pytest.raises(EngineError, match="theirs"):
        client.search(index=plan.alias, body={"query": theirs})
