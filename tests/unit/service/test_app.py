"""The service over HTTP, on loopback, with stand-ins for the models."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from opensearch_funnel.core.errors import (
    EngineUnreachableError,
    InputError,
    InvalidPlanError,
    StageUnavailableError,
)
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan
from opensearch_funnel.engine.client import connect
from opensearch_funnel.service.app import MOST_RANKINGS, create_app
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.process import listen, service_at, wait_for_plan
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights, served

SPARSE, DENSE = WordWeights(), WordVector()


def bound_plan(**changes: Any) -> FunnelPlan:
    """Make a plan as it is once it is bound to its index."""
    bound = {
        "alias": "films",
        "searched_fields": ["title", "text"],
        "sparse": {"fingerprint": SPARSE.fingerprint},
        "dense": {"fingerprint": DENSE.fingerprint},
        # A test says what happens, not how fast.
        "deadlines": {"rewrite_ms": 5000, "rank_ms": 5000},
    }
    return FunnelPlan.from_dict({**bound, **changes})


PLAN = bound_plan()
NOBODY = "http://127.0.0.1:9"
BODY = {"query": {"match": {"text": {"query": "red fox"}}}}


class SlowWeights(WordWeights):
    def encode_query(self, text: str) -> dict[str, float]:
        time.sleep(1.0)
        return super().encode_query(text)


class StuckScorer:
    """A reranker that answers when it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.go.wait()
        return list(OverlapScorer().score(query, texts))


@contextmanager
def running(
    plan: FunnelPlan,
    models: PlanModels,
    *,
    preload: Callable[[], list[str]] | None = None,
    open_models: Callable[[FunnelPlan], PlanModels] | None = None,
    cluster: str = NOBODY,
) -> Iterator[str]:
    def read(plan_id: str) -> FunnelPlan:
        if plan_id != plan.plan_id:
            raise InvalidPlanError(f"no plan {plan_id!r} in this cluster")
        return plan

    app = create_app(
        LoadedPlans(read_plan=read, open_models=open_models or (lambda _: models)),
        IndexTexts(connect(Settings(url=cluster))),
        engine_url=cluster,
        preload=preload or (lambda: [plan.plan_id]),
        retry_s=0.02,
    )
    with served(app) as url:
        yield url


def ready_after(url: str, *, until: Callable[[httpx2.Response], bool]) -> httpx2.Response:
    """Ask whether the service is ready until the answer is the one that is waited for."""
    for _ in range(500):
        answer = httpx2.get(f"{url}/ready")
        if until(answer):
            return answer
        time.sleep(0.01)
    raise AssertionError(answer.text)


def is_ready(answer: httpx2.Response) -> bool:
    return answer.status_code == 200


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
    assert json.loads(post(url, "rewrite", {"source": other}).json()["body"]) == other


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


def test_an_unknown_plan_is_said_to_be_unknown_and_does_not_make_the_others_unready(
    url: str,
) -> None:
    other = bound_plan(alias="books")
    assert post(url, "rewrite", {"source": BODY}, plan=other).status_code == 503
    answer = ready_after(url, until=lambda a: "failed" in a.text)
    assert "no plan 'books." in answer.json()["plans"][other.plan_id]
    assert answer.status_code == 200


def test_models_that_did_not_encode_the_index_are_refused() -> None:
    models = PlanModels(sparse=WordWeights(fingerprint="ffffffffffff"), dense=DENSE)
    with running(PLAN, models) as url:
        answer = ready_after(url, until=lambda a: "failed" in a.text)
        assert answer.status_code == 503
        assert "ffffffffffff" in answer.text
        assert post(url, "rewrite", {"source": BODY}).status_code == 503


@pytest.mark.parametrize("error", [EngineUnreachableError("down"), RuntimeError("odd")])
def test_a_cluster_that_is_down_at_the_start_is_asked_again(error: Exception) -> None:
    cluster_is_up = threading.Event()

    def preload() -> list[str]:
        if not cluster_is_up.is_set():
            raise error
        return [PLAN.plan_id]

    with running(PLAN, PlanModels(sparse=SPARSE, dense=DENSE), preload=preload) as url:
        answer = ready_after(url, until=lambda a: bool(a.json()["reason"]))
        assert answer.status_code == 503
        assert str(error) in answer.json()["reason"]
        cluster_is_up.set()
        answer = ready_after(url, until=is_ready)
    assert answer.json() == {"ready": True, "plans": {PLAN.plan_id: "ready"}, "reason": ""}


def test_a_request_during_the_start_does_not_open_the_models_again() -> None:
    opened: list[str] = []
    go = threading.Event()

    def open_models(plan: FunnelPlan) -> PlanModels:
        opened.append(plan.plan_id)
        go.wait()
        return PlanModels(sparse=SPARSE, dense=DENSE)

    with running(PLAN, PlanModels(), open_models=open_models) as url:
        try:
            ready_after(url, until=lambda a: "loading" in a.text)
            answer = post(url, "rewrite", {"source": BODY})
        finally:
            go.set()
        assert answer.status_code == 503
        assert "is loading" in answer.json()["error"]
        ready_after(url, until=is_ready)
        assert post(url, "rewrite", {"source": BODY}).status_code == 200
    assert opened == [PLAN.plan_id]


def test_a_reranker_that_hangs_stops_no_rewrite_and_is_not_waited_for(cluster: Any) -> None:
    hasty = bound_plan(rerank={"enabled": True}, deadlines={"rewrite_ms": 5000, "rank_ms": 300})
    key = cluster.add("1", {"title": "", "text": "a red fox"})
    page = {"plan": {"q": "Zm94"}, "documents": [key]}
    stuck = StuckScorer()
    models = PlanModels(sparse=SPARSE, dense=DENSE, reranker=stuck)
    with running(hasty, models, cluster=cluster.url) as url:
        ready_after(url, until=is_ready)
        try:
            for _ in range(2):
                # Those that wait for a thread leave at their deadline, those that run stay.
                with ThreadPoolExecutor(MOST_RANKINGS) as clients:
                    sent = [
                        clients.submit(post, url, "rank", page, plan=hasty)
                        for _ in range(MOST_RANKINGS)
                    ]
                assert {answer.result().status_code for answer in sent} == {503}
            upgraded = post(url, "rewrite", {"source": BODY}, plan=hasty)
        finally:
            stuck.go.set()
    assert upgraded.status_code == 200
    assert '"hybrid"' in upgraded.json()["body"]


def test_a_stage_that_is_too_slow_is_given_up_at_its_deadline() -> None:
    hasty = bound_plan(deadlines={"rewrite_ms": 50})
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


def test_waiting_for_a_plan_says_what_is_wrong_with_the_service(cluster: Any) -> None:
    with pytest.raises(StageUnavailableError, match="no service answers at"):
        wait_for_plan(NOBODY, PLAN.plan_id)
    with pytest.raises(StageUnavailableError, match="not funnel serve"):
        wait_for_plan(cluster.url, PLAN.plan_id)
    with (
        running(PLAN, PlanModels()) as url,
        pytest.raises(StageUnavailableError, match="the service cannot run plan x: failed"),
    ):
        wait_for_plan(url, "x")


def test_what_is_no_service_is_none_and_what_is_no_address_is_said(cluster: Any) -> None:
    assert service_at(NOBODY) is None
    assert service_at(cluster.url) is None
    with pytest.raises(StageUnavailableError, match="no address"):
        service_at("http://[::1")
