"""``/v1/plans/{plan_id}/encode`` over HTTP: its answers, its refusals, its deadline."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.service.process import wait_for_plan
from opensearch_funnel.testing import WordVector, WordWeights
from tests.unit.service.served_api import served_api

SPARSE, DENSE = WordWeights(), WordVector()
PLAN = FunnelPlan.from_dict(
    {
        "alias": "films",
        "sparse": {"fingerprint": SPARSE.fingerprint},
        "dense": {"fingerprint": DENSE.fingerprint},
        "deadlines": {"rewrite_ms": 20_000, "encode_ms": 20_000},
    }
)
HASTY = FunnelPlan.from_dict(
    {**PLAN.to_dict(), "deadlines": {"rewrite_ms": 20_000, "encode_ms": 1000}}
)


class Stuck(WordWeights):
    """An encoder that makes nothing of documents until it is let; queries do not wait."""

    go = threading.Event()

    def encode_documents(self, texts: Sequence[str]) -> list[dict[str, float]]:
        assert self.go.wait(60)
        return super().encode_documents(texts)


@pytest.fixture
def url() -> Iterator[str]:
    models = PlanModels(sparse=SPARSE, dense=DENSE)
    with served_api(plan=PLAN, models=models, preload=lambda: [PLAN.plan_id]) as address:
        wait_for_plan(address, PLAN.plan_id)
        yield address


def encode(url: str, content: Any, *, plan: FunnelPlan = PLAN) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/plans/{plan.plan_id}/encode", json=content, timeout=60)


def test_a_document_gets_its_object_and_the_answer_says_how_long_it_may_take(url: str) -> None:
    answer = encode(url, {"doc": {"_id": "1", "_version": -3, "text": "red fox"}})
    assert answer.status_code == 200
    assert answer.headers["x-funnel-deadline-ms"] == "20000"
    made = json.loads(answer.json()["funnel"])["funnel"]
    assert made["id"] == "1"
    assert made["sparse_a"] == {"red": 1.0, "fox": 1.0}
    assert made["dense_a"] == pytest.approx(DENSE.encode_query("red fox").tolist())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ([], "object"),
        ({}, "doc"),
        ({"doc": "text"}, "doc"),
        ({"doc": {"text": "fox", "funnel": "mine"}}, "'funnel'"),
    ],
)
def test_what_is_no_document_of_ours_is_refused(url: str, content: Any, reason: str) -> None:
    answer = encode(url, content)
    assert answer.status_code == 400
    assert reason in answer.json()["error"]
    counted = httpx2.get(f"{url}/metrics").text
    assert 'funnel_degraded_total{reason="invalid",stage="encode"} 1.0' in counted


def test_documents_that_hang_are_given_up_and_keep_no_search_waiting() -> None:
    stuck = Stuck()
    models = PlanModels(sparse=stuck, dense=DENSE)
    with served_api(plan=HASTY, models=models, preload=lambda: [HASTY.plan_id]) as url:
        wait_for_plan(url, HASTY.plan_id)
        try:
            with ThreadPoolExecutor(8) as clients:
                sent = [
                    clients.submit(encode, url, {"doc": {"text": "fox"}}, plan=HASTY)
                    for _ in range(8)
                ]
            answers = {(one.result().status_code, one.result().json()["error"]) for one in sent}
            body: dict[str, Any] = {"source": {"query": {"match_all": {}}}}
            search = httpx2.post(f"{url}/v1/plans/{HASTY.plan_id}/rewrite", json=body)
        finally:
            stuck.go.set()
    assert answers == {(503, "not done within 1000 ms")}
    assert search.status_code == 200
