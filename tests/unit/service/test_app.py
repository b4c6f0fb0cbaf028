"""The service over HTTP, on loopback, with stand-ins for the models."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest
import uvicorn

from opensearch_funnel.core.errors import InputError, InvalidPlanError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan
from opensearch_funnel.engine.client import connect
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.process import address, listen, wait_for_plan
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import WordVector, WordWeights

SPARSE, DENSE = WordWeights(), WordVector()
PLAN = FunnelPlan.from_dict(
    {
        "alias": "films",
        "sparse": {"fingerprint": SPARSE.fingerprint},
        "dense": {"fingerprint": DENSE.fingerprint},
        "deadlines": {"rewrite_ms": 5000, "rank_ms": 5000},
    }
)
BODY = {"query": {"match": {"text": {"query": "red fox"}}}}


class SlowWeights(WordWeights):
    def encode_query(self, text: str) -> dict[str, float]:
        time.sleep(1.0)
        return super().encode_query(text)


@contextmanager
def running(plan: FunnelPlan, models: PlanModels) -> Iterator[str]:
    def read(plan_id: str) -> FunnelPlan:
        if plan_id != plan.plan_id:
            raise InvalidPlanError(f"no plan {plan_id!r} in this cluster")
        return plan

    texts = IndexTexts(connect(Settings(url="http://127.0.0.1:9")))
    app = create_app(
        LoadedPlans(read_plan=read, open_models=lambda _: models),
        texts,
        engine_url="http://127.0.0.1:9",
        preload=lambda: [plan.plan_id],
    )
    sock = listen("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    try:
        yield address(sock)
    finally:
        server.should_exit = True
        thread.join()
        sock.close()


@pytest.fixture
def url() -> Iterator[str]:
    with running(PLAN, PlanModels(sparse=SPARSE, dense=DENSE)) as address_:
        wait_for_plan(address_, PLAN.plan_id)
        yield address_


def post(url: str, action: str, content: Any, *, plan: FunnelPlan = PLAN) -> httpx2.Response:
    return httpx2.post(f"{url}/v1/plans/{plan.plan_id}/{action}", json=content)


def test_a_plain_search_is_upgraded_and_another_comes_back_as_it_is(url: str) -> None:
    upgraded = post(url, "rewrite", {"source": BODY}).json()["body"]
    assert '"hybrid"' in upgraded
    other = {"query": {"match_all": {}}, "sort": ["_doc"]}
    assert post(url, "rewrite", {"source": other}).json()["body"] == (
        '{"query":{"match_all":{}},"sort":["_doc"]}'
    )


def test_health_and_ready(url: str) -> None:
    health = httpx2.get(f"{url}/health").json()
    assert health["service"] == "opensearch-funnel"
    assert health["engine"] == "http://127.0.0.1:9"
    ready = httpx2.get(f"{url}/ready")
    assert ready.status_code == 200
    assert ready.json()["plans"] == {PLAN.plan_id: "ready"}


@pytest.mark.parametrize(
    ("action", "content", "status"),
    [
        ("rewrite", {}, 400),
        ("rewrite", {"source": "text"}, 400),
        ("rewrite", [1], 400),
        ("rank", {"documents": []}, 400),
        ("rank", {"plan": {}, "documents": [1]}, 400),
        ("rank", {"plan": {"q": "Zm94"}, "documents": ["d0" + "0" * 16]}, 503),
    ],
)
def test_what_cannot_be_answered_is_refused_with_the_reason(
    url: str, action: str, content: Any, status: int
) -> None:
    answer = post(url, action, content)
    assert answer.status_code == status
    assert answer.json()["error"]


def test_a_body_that_is_no_json_is_refused(url: str) -> None:
    answer = httpx2.post(f"{url}/v1/plans/{PLAN.plan_id}/rewrite", content=b'{"source": ')
    assert answer.status_code == 400
    assert "not JSON" in answer.json()["error"]


def test_an_unknown_plan_is_said_to_be_unknown(url: str) -> None:
    other = FunnelPlan(alias="books")
    assert post(url, "rewrite", {"source": BODY}, plan=other).status_code == 503
    for _ in range(100):
        state = httpx2.get(f"{url}/ready").json()["plans"].get(other.plan_id, "")
        if state.startswith("failed"):
            break
        time.sleep(0.02)
    assert "no plan 'books." in state
    assert httpx2.get(f"{url}/ready").status_code == 503


def test_models_that_did_not_encode_the_index_are_refused() -> None:
    models = PlanModels(sparse=WordWeights(fingerprint="ffffffffffff"), dense=DENSE)
    with running(PLAN, models) as url:
        for _ in range(100):
            answer = httpx2.get(f"{url}/ready")
            if "failed" in answer.text:
                break
            time.sleep(0.02)
        assert "ffffffffffff" in answer.text
        assert post(url, "rewrite", {"source": BODY}).status_code == 503


def test_a_stage_that_is_too_slow_is_given_up_at_its_deadline() -> None:
    hasty = FunnelPlan.from_dict({**PLAN.to_dict(), "deadlines": {"rewrite_ms": 50}})
    assert hasty.deadlines == Deadlines(rewrite_ms=50)
    with running(hasty, PlanModels(sparse=SlowWeights(), dense=DENSE)) as url:
        wait_for_plan(url, hasty.plan_id)
        answer = post(url, "rewrite", {"source": BODY}, plan=hasty)
    assert answer.status_code == 503
    assert "50 ms" in answer.json()["error"]


def test_only_loopback_addresses_are_listened_on() -> None:
    with pytest.raises(InputError, match="no authentication"):
        listen("0.0.0.0", 0)  # noqa: S104 - refused is what is tested


def test_a_port_in_use_is_named() -> None:
    sock = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    try:
        with pytest.raises(InputError, match=f"127.0.0.1:{port}"):
            listen("127.0.0.1", port)
    finally:
        sock.close()
