"""Every request has an id, is counted, fits, and shows the token; a refusal is logged once."""

from __future__ import annotations

import logging
import re
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest

from opensearch_funnel.core.errors import EngineError, StageUnavailableError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.service.gate import MOST_BYTES
from opensearch_funnel.service.metrics import Metrics
from opensearch_funnel.service.process import wait_for_plan
from opensearch_funnel.testing import WordVector, WordWeights
from tests.unit.service.served_api import Gated, served_api

TOKEN = "a-token-of-this-test"  # noqa: S105 - shown to a service of the test's own
SHOWN = {"authorization": f"Bearer {TOKEN}"}
PLAN = FunnelPlan.from_dict(
    {
        "alias": "films",
        "searched_fields": ["text"],
        "sparse": {"fingerprint": WordWeights().fingerprint},
        "dense": {"fingerprint": WordVector().fingerprint},
        "deadlines": {"rewrite_ms": 5000, "rank_ms": 5000},
    }
)
RERANK = {"query": "red", "documents": ["red"]}


class DownWeights(WordWeights):
    def encode_query(self, text: str) -> dict[str, float]:
        del text
        raise StageUnavailableError("the sparse model does not answer")


class RefusedWeights(WordWeights):
    def encode_query(self, text: str) -> dict[str, float]:
        reason = f"OpenSearch refused (400): Failed to parse query [{text}]"
        raise EngineError(reason, status=400, kind="query_shard_exception")


@pytest.fixture
def url() -> Iterator[str]:
    with served_api() as address:
        yield address


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.getMessage().startswith("request=")]


def counted(url: str, name: str) -> dict[str, float]:
    text = httpx2.get(f"{url}/metrics").text
    rows = (line.rpartition(" ") for line in text.splitlines() if line.startswith(name))
    return {row: float(value) for row, _, value in rows}


@pytest.mark.parametrize("path", ["/health", "/v1/models", "/nowhere", "/v2/rerank"])
def test_a_usable_id_comes_back_and_another_is_replaced(url: str, path: str) -> None:
    for given in ("trace-1", "a" * 64, "00:11.22_33"):
        assert (
            httpx2.get(f"{url}{path}", headers={"x-request-id": given}).headers["x-request-id"]
            == given
        )
    for given in ("a" * 65, "two words", ""):
        made = httpx2.get(f"{url}{path}", headers={"x-request-id": given}).headers["x-request-id"]
        assert re.fullmatch("[0-9a-f]{16}", made)


def test_what_is_refused_is_logged_once_with_its_id_and_nothing_of_the_query(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = {"model": "secret", "query": "hidden words", "documents": ["hidden text"]}
    httpx2.post(f"{url}/v2/rerank", json={**asked, "top_n": 0}, headers={"x-request-id": "r1"})
    httpx2.post(f"{url}/v1/embeddings", json={"input": [7]}, headers={"x-request-id": "r2"})
    httpx2.post(f"{url}/v1/plans/x.1/rewrite", json={}, headers={"x-request-id": "r3"})
    starts = [line.partition(":")[0] for line in lines(caplog)]
    assert starts == [
        "request=r1 stage=rerank reason=invalid status=400 path=/v2/rerank",
        "request=r2 stage=embed reason=invalid status=400 path=/v1/embeddings",
        "request=r3 stage=rewrite reason=not_ready status=503 path=/v1/plans/x.1/rewrite",
    ]
    assert all(r.levelno == logging.WARNING for r in caplog.records if "request=" in r.message)
    assert "hidden" not in caplog.text


def test_an_error_that_nobody_planned_for_is_logged_with_its_origin(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = {"model": "broken", "query": "boom", "documents": ["a"]}
    assert httpx2.post(f"{url}/v2/rerank", json=asked).status_code == 500
    (line,) = lines(caplog)
    assert "reason=failed" in line
    assert "Traceback" in caplog.text


def test_what_the_cluster_says_of_a_query_is_told_to_its_client_and_not_to_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    models = PlanModels(sparse=RefusedWeights(), dense=WordVector())
    with served_api(plan=PLAN, models=models, preload=lambda: [PLAN.plan_id]) as url:
        wait_for_plan(url, PLAN.plan_id)
        source = {"query": {"match": {"text": {"query": "my secret"}}}}
        answer = httpx2.post(f"{url}/v1/plans/{PLAN.plan_id}/rewrite", json={"source": source})
    assert "my secret" in answer.json()["error"]
    (line,) = lines(caplog)
    assert line.endswith(": EngineError: status 400, query_shard_exception")
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    "path",
    [
        "/nope%0A2026-01-01%20ERROR%20forged",
        "/v1/plans/x%0A2026-01-01%20ERROR%20forged",
        "/v1/plans/x%1B%5B2J/rewrite",
        "/v1/plans/x%E2%80%A8y/rank",
        f"/v1/plans/{'x' * 301}/rewrite",
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_no_path_makes_a_line_of_the_log(
    caplog: pytest.LogCaptureFixture, path: str, token: str | None
) -> None:
    caplog.set_level(logging.INFO)
    page = {"plan": {"q": "Zm94", "page": [10, 5]}, "documents": []}
    with served_api(token=token) as url:
        answer = httpx2.request("GET" if "/v1/" not in path else "POST", f"{url}{path}", json=page)
        got = httpx2.get(f"{url}{path}")
        if token is None:
            states = httpx2.get(f"{url}/ready").json()["plans"]
            assert not states, "nothing was looked for"
    assert 400 <= answer.status_code < 500
    assert 400 <= got.status_code < 500
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("opensearch_funnel")]
    assert all(line.isprintable() for line in ours)
    assert not any("ERROR forged" in line for line in ours)
    assert all(len(line) < 1200 for line in ours)


def asked_as(url: str, host: str, path: str = "/health") -> int:
    return httpx2.get(f"{url}{path}", headers={"host": host}).status_code


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/v1/models", "/nope"])
def test_without_a_token_the_service_answers_to_its_own_names_only(
    url: str, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    for host in ("evil.example", "evil.example:8750", "127.0.0.1.evil.example", "10.0.0.1", ""):
        assert asked_as(url, host, path) == 421
    for host in ("127.0.0.1", "127.0.0.1:1", "LOCALHOST:8750", "[::1]:8750", "127.9.9.9"):
        assert asked_as(url, host, path) != 421
    assert "reason=misdirected status=421" in lines(caplog)[0]
    said = httpx2.get(f"{url}/health", headers={"host": "a\x1b[2Jb"})
    assert said.status_code in {400, 421}, "some servers refuse it themselves"
    assert all(line.isprintable() for line in lines(caplog))


def test_the_refusal_of_another_name_says_in_one_line_what_to_do(url: str) -> None:
    answer = httpx2.post(f"{url}/v2/rerank", json=RERANK, headers={"host": "funnel.lan"})
    assert answer.status_code == 421
    assert "FUNNEL_SERVICE_URL" in answer.json()["error"]
    assert answer.json()["message"] == answer.json()["error"]
    assert answer.headers["x-request-id"]


def test_the_host_of_the_services_own_address_is_its_name_too() -> None:
    with served_api(service_url="http://Funnel.lan:8750") as url:
        assert asked_as(url, "funnel.lan:8750") == 200
        assert asked_as(url, "127.0.0.1:8750") == 200
        assert asked_as(url, "other.lan:8750") == 421


def test_the_supervisors_heartbeat_is_answered_and_nothing_else_under_its_name(url: str) -> None:
    assert asked_as(url, "worker") == 200
    assert asked_as(url, "worker", "/ready") == 421


def test_with_a_token_any_name_will_do() -> None:
    with served_api(token=TOKEN) as url:
        assert asked_as(url, "evil.example") == 200
        assert asked_as(url, "evil.example", "/info") == 401


def test_readiness_names_no_plan_and_no_reason_without_the_token() -> None:
    with served_api(token=TOKEN, preload=lambda: ["patients.1"]) as url:
        for _ in range(500):
            shown = httpx2.get(f"{url}/ready", headers=SHOWN)
            if "failed" in shown.text:
                break
            time.sleep(0.01)
        assert shown.json()["plans"] == {"patients.1": "failed: no such plan in this cluster"}
        for headers in ({}, {"authorization": "Bearer no"}):
            hidden = httpx2.get(f"{url}/ready", headers=headers)
            assert (hidden.status_code, hidden.json()) == (503, {"ready": False})


def test_waiting_for_a_plan_shows_the_token() -> None:
    models = PlanModels(sparse=WordWeights(), dense=WordVector())
    with served_api(token=TOKEN, plan=PLAN, models=models) as url:
        wait_for_plan(url, PLAN.plan_id, token=TOKEN)
        with pytest.raises(StageUnavailableError, match="wants its token"):
            wait_for_plan(url, PLAN.plan_id)


def test_what_the_pipeline_goes_on_without_is_counted_by_stage_and_reason() -> None:
    models = PlanModels(sparse=DownWeights(), dense=WordVector())
    with served_api(plan=PLAN, models=models, preload=lambda: [PLAN.plan_id]) as url:
        wait_for_plan(url, PLAN.plan_id)
        source = {"query": {"match": {"text": {"query": "red fox"}}}}
        rewrite = f"{url}/v1/plans/{PLAN.plan_id}/rewrite"
        assert httpx2.post(rewrite, json={"source": source}).status_code == 503
        assert httpx2.post(rewrite, json={}).status_code == 400
        assert httpx2.post(f"{url}/v2/rerank", json={}).status_code == 400
        found = counted(url, "funnel_degraded_total")
        plans = counted(url, "funnel_plans")
    assert found == {
        'funnel_degraded_total{reason="unavailable",stage="rewrite"}': 1.0,
        'funnel_degraded_total{reason="invalid",stage="rewrite"}': 1.0,
    }
    assert plans == {
        'funnel_plans{state="ready"}': 1.0,
        'funnel_plans{state="loading"}': 0.0,
        'funnel_plans{state="failed"}': 0.0,
    }


def test_requests_are_counted_by_the_template_of_their_route(url: str) -> None:
    for path in ("/v1/plans/secret.1", "/v1/plans/secret.2", "/secret", "/v1/models/secret"):
        httpx2.get(f"{url}{path}")
    httpx2.post(f"{url}/v2/rerank", json=RERANK)
    found = counted(url, "funnel_requests_total")
    assert found == {
        'funnel_requests_total{route="/v1/plans/{plan_id}",status="200"}': 2.0,
        'funnel_requests_total{route="other",status="404"}': 1.0,
        'funnel_requests_total{route="/v1/models/{name}",status="404"}': 1.0,
        'funnel_requests_total{route="/v2/rerank",status="200"}': 1.0,
    }
    durations = counted(url, "funnel_stage_duration_seconds_count")
    assert durations['funnel_stage_duration_seconds_count{stage="rerank"}'] == 1.0


def test_two_applications_count_for_themselves() -> None:
    metrics = Metrics()
    with served_api(metrics=metrics) as one, served_api() as other:
        httpx2.post(f"{one}/v2/rerank", json=RERANK)
        assert "/v2/rerank" not in httpx2.get(f"{other}/metrics").text
    assert b"/v2/rerank" in metrics.text()


@pytest.mark.parametrize("path", ["/v2/rerank", "/rerank", "/v1/embeddings", "/v1/plans/x/rewrite"])
def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(url: str, path: str) -> None:
    content = b" " * (MOST_BYTES + 1)
    status = 503 if "plans" in path else 413
    assert httpx2.post(f"{url}{path}", content=content).status_code == status
    chunked = httpx2.post(f"{url}{path}", content=iter([content[:MOST_BYTES], b"  "]))
    assert chunked.status_code == status


def test_only_health_and_readiness_are_told_without_the_token() -> None:
    with served_api(token=TOKEN) as url:
        assert httpx2.get(f"{url}/health").status_code == 200
        assert httpx2.get(f"{url}/ready").status_code in {200, 503}
        for method, path in (
            ("GET", "/metrics"),
            ("GET", "/info"),
            ("GET", "/openapi.json"),
            ("GET", "/v1/models"),
            ("GET", "/health/"),
            ("GET", "//health"),
            ("POST", "/v2/rerank"),
            ("POST", "/v1/plans/x.1/rewrite"),
        ):
            for shown in ({}, {"authorization": "Bearer no"}, {"authorization": TOKEN}):
                refused = httpx2.request(method, f"{url}{path}", headers=shown)
                assert refused.status_code == 401, path
                assert refused.headers["www-authenticate"] == "Bearer"
                assert TOKEN not in refused.text
            assert httpx2.request(method, f"{url}{path}", headers=SHOWN).status_code != 401


def test_the_token_is_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with served_api(token=TOKEN) as url:
        httpx2.get(f"{url}/info", headers={"authorization": f"Bearer {TOKEN}x"})
        httpx2.post(f"{url}/v2/rerank", json=[], headers=SHOWN)
    assert len(lines(caplog)) == 2
    assert TOKEN not in caplog.text


def test_a_client_that_goes_away_frees_its_place_and_is_noted(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    Gated.go.clear()
    try:
        parts = urlsplit(url)
        body = b'{"model": "gated", "query": "q", "documents": ["q"]}'
        head = f"POST /v2/rerank HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        with socket.create_connection((parts.hostname, parts.port)) as connection:
            connection.sendall(head.encode() + body)
            assert Gated.entered.acquire(timeout=10)
        for _ in range(500):
            if lines(caplog):
                break
            time.sleep(0.01)
    finally:
        Gated.go.set()
    (line,) = lines(caplog)
    assert "stage=rerank reason=gone status=499" in line


def test_an_unknown_route_and_method_are_told_in_one_form(url: str) -> None:
    unknown: dict[str, Any] = httpx2.get(f"{url}/nowhere").json()
    assert unknown == {"error": "GET here: Not Found", "message": "GET here: Not Found"}
    assert httpx2.get(f"{url}/v2/rerank").status_code == 405
