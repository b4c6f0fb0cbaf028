"""A service that wants a token, called by the engine: on the real node."""

from __future__ import annotations

import json

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import InvalidPlanError, StageUnavailableError
from opensearch_funnel.core.plan import Deadlines, DenseLeg, FunnelPlan, Reranking
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.engine.records import STATE_INDEX
from opensearch_funnel.testing import WordVector, WordWeights
from tests.engine.shelf import fill_index, stand_in_service

pytestmark = pytest.mark.engine

TOKEN = "0123456789\"'{}\\abcdef"  # noqa: S105 - shown to a service of the test's own
SPARSE, DENSE = WordWeights(), WordVector()
FOX = {"query": {"match": {"text": "red fox"}}}


@pytest.fixture
def plan(client: OpenSearch, index_name: str) -> FunnelPlan:
    """A plan that asks the service for everything."""
    texts = ["the red fox", "a fox", "whales"]
    fill_index(client, index_name, {f"d{n}": {"text": text} for n, text in enumerate(texts)})
    written = FunnelPlan(
        alias=index_name,
        dense=DenseLeg(native_neural=True),
        rerank=Reranking(enabled=True),
        deadlines=Deadlines(rewrite_ms=20_000, rank_ms=20_000),
    )
    return bound_plan(client, written)


def test_the_engine_shows_the_token_on_every_call(client: OpenSearch, plan: FunnelPlan) -> None:
    with stand_in_service(client, token=TOKEN) as url:
        done = apply_pipeline(client, plan, service_url=url, default=True, token=TOKEN)
        try:
            answer = client.search(index=plan.alias, body=FOX)
            again = apply_pipeline(client, plan, service_url=url, default=True, token=TOKEN)
        finally:
            remove_pipeline(client, done.name)
    assert not degraded(answer)
    assert answer["hits"]["max_score"] > 1000
    assert again == done, "the same token changes nothing"


@pytest.mark.parametrize("token", [None, "another-token-of-theirs"])
def test_a_wrong_token_is_refused_at_once_and_nothing_is_left(
    client: OpenSearch, plan: FunnelPlan, token: str | None
) -> None:
    with (
        stand_in_service(client, token=TOKEN) as url,
        pytest.raises(StageUnavailableError, match="FUNNEL_SERVICE_TOKEN"),
    ):
        apply_pipeline(client, plan, service_url=url, token=token)
    assert state.load_pipeline(client, f"funnel-{plan.alias}") is None


def test_another_token_makes_the_connectors_again(client: OpenSearch, plan: FunnelPlan) -> None:
    with stand_in_service(client, token=TOKEN) as url:
        first = apply_pipeline(client, plan, service_url=url, default=True, token=TOKEN)
    with stand_in_service(client, token=TOKEN + "2") as other:
        done = apply_pipeline(client, plan, service_url=other, default=True, token=TOKEN + "2")
        try:
            assert not degraded(client.search(index=plan.alias, body=FOX))
            assert set(done.connectors).isdisjoint(first.connectors)
        finally:
            remove_pipeline(client, done.name)


def test_a_token_that_cannot_be_sent_is_refused(client: OpenSearch, plan: FunnelPlan) -> None:
    for token in ("with a blank in it", "${parameters.x}", "", "schlüssel"):
        with pytest.raises(InvalidPlanError, match="token cannot be sent"):
            apply_pipeline(client, plan, service_url="http://127.0.0.1:9", token=token)


def test_no_command_and_nothing_that_is_stored_gives_the_token_away(
    client: OpenSearch,
    node_url: str,
    plan: FunnelPlan,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FUNNEL_URL", node_url)
    monkeypatch.setenv("FUNNEL_SERVICE_TOKEN", TOKEN)
    with stand_in_service(client, token=TOKEN) as url:
        apply = ["pipeline", "apply", "--index", plan.alias, "--rerank", "off"]
        apply += ["--service-url", url, "--output", "json"]
        assert main([*apply, "--dry-run"]) == 0
        planned = capsys.readouterr()
        assert main(apply) == 0
        applied = capsys.readouterr()
        assert main(["pipeline", "show", "--output", "json"]) == 0
        shown = capsys.readouterr()
        stored = client.search(index=STATE_INDEX, body={"size": 1000})
        record = json.loads(applied.out)
        connector = client.transport.perform_request(
            "GET", f"/_plugins/_ml/connectors/{record['connectors'][0]}"
        )
        remove_pipeline(client, record["name"])
    call = json.loads(planned.out)["connectors"]["rewrite"]
    assert call["credential"] == {"token": "<service_token>"}
    assert call["actions"][0]["headers"]["Authorization"] == "Bearer ${credential.token}"
    assert record["has_token"] is True
    assert "token_hash" not in record
    for text in (*planned, *applied, *shown, json.dumps(stored), json.dumps(connector)):
        assert TOKEN not in text
        assert json.dumps(TOKEN)[1:-1] not in text
