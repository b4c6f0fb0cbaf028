"""The bodies that are put into a cluster, as exact dicts."""

import re

import pytest

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import Deadlines, DenseLeg, FunnelPlan, Fusion, Reranking
from opensearch_funnel.engine.search_pipelines import (
    funnel_pipeline,
    fusion_processor,
    plan_address,
    plan_connectors,
    rank_connector,
    rewrite_connector,
    trusted_pattern,
)

PLAN = FunnelPlan(alias="films")
SERVICE = "http://127.0.0.1:8750"


def test_the_pipeline_with_a_reranker() -> None:
    body = funnel_pipeline(PLAN, rewrite_model="W", rank_model="R")
    assert body["request_processors"] == [
        {"oversample": {"sample_factor": 1.0, "ignore_failure": True}},
        {
            "ml_inference": {
                "ignore_failure": True,
                "model_id": "W",
                "input_map": [{"source": "$"}],
                "output_map": [{"body": "body"}],
                "query_template": "${body}",
            }
        },
    ]
    assert body["response_processors"] == [
        {
            "rerank": {
                "ignore_failure": True,
                "ml_opensearch": {"model_id": "R"},
                "context": {"document_fields": ["funnel.id", "funnel.hash"]},
            }
        },
        {"truncate_hits": {"ignore_failure": True}},
        {"split": {"ignore_failure": True, "field": "funnel.id", "separator": "(?s).+"}},
        {"split": {"ignore_failure": True, "field": "funnel.hash", "separator": "(?s).+"}},
    ]


def test_without_a_reranker_nothing_asks_for_one() -> None:
    body = funnel_pipeline(PLAN, rewrite_model="W", rank_model=None)
    assert [next(iter(p)) for p in body["response_processors"]] == ["truncate_hits"]


def test_no_processor_has_a_constant_size() -> None:
    # A constant one cuts every request that passes through untouched, _reindex included.
    assert "target_size" not in str(funnel_pipeline(PLAN, rewrite_model="W", rank_model="R"))


def test_score_fusion_and_rank_fusion() -> None:
    z_score = FunnelPlan(alias="a", fusion=Fusion(technique="z_score")).with_legs("bm25", "dense")
    assert fusion_processor(z_score) == {
        "normalization-processor": {
            "normalization": {"technique": "z_score"},
            "combination": {
                "technique": "arithmetic_mean",
                "parameters": {"weights": [0.5, 0.5]},
            },
        }
    }
    auto = FunnelPlan(alias="a", fusion=Fusion(technique="auto"))
    by_ranks = FunnelPlan(alias="a", fusion=Fusion(technique="rrf"))
    assert fusion_processor(auto) == fusion_processor(by_ranks)
    rrf = FunnelPlan(alias="a", fusion=Fusion(technique="rrf", rank_constant=20))
    combination = fusion_processor(rrf.with_legs("bm25"))["score-ranker-processor"]["combination"]
    assert combination == {
        "technique": "rrf",
        "rank_constant": 20,
        "parameters": {"weights": [1.0]},
    }


def test_connectors_call_the_plan_s_own_addresses_and_never_retry() -> None:
    for action, connector in (
        ("rewrite", rewrite_connector(PLAN, service_url=SERVICE)),
        ("rank", rank_connector(PLAN, service_url=SERVICE)),
    ):
        (call,) = connector["actions"]
        assert call["url"] == f"{SERVICE}/v1/plans/{PLAN.plan_id}/{action}"
        assert connector["client_config"]["max_retry_times"] == 0
        assert re.match(trusted_pattern(SERVICE), call["url"])


def test_the_rank_connector_takes_the_query_as_an_object() -> None:
    (call,) = rank_connector(PLAN, service_url=SERVICE)["actions"]
    assert call["request_body"] == (
        '{"plan": ${parameters.query}, "documents": ${parameters.documents}}'
    )


def test_the_engine_asks_for_the_vector_of_a_text_by_a_model_of_its_own() -> None:
    plan = FunnelPlan(alias="films", dense=DenseLeg(native_neural=True))
    connector = plan_connectors(plan, service_url=SERVICE)["embed"]
    assert connector["actions"] == [
        {
            "action_type": "predict",
            "method": "POST",
            "url": f"{SERVICE}/v1/plans/{plan.plan_id}/embed",
            "headers": {"Content-Type": "application/json"},
            "request_body": '{"input": ${parameters.input}}',
            "pre_process_function": "connector.pre_process.openai.embedding",
            "post_process_function": "connector.post_process.openai.embedding",
        }
    ]
    body = funnel_pipeline(plan, rewrite_model="W", rank_model=None, embed_model="E")
    names = [next(iter(processor)) for processor in body["request_processors"]]
    assert names.index("neural_query_enricher") > names.index("ml_inference")
    without = plan.with_legs("bm25", "sparse")
    assert list(plan_connectors(without, service_url=SERVICE)) == ["rewrite"]


def test_a_token_goes_into_a_credential_and_not_into_the_header() -> None:
    plan = FunnelPlan(alias="films", rerank=Reranking(enabled=True))
    shown = "s3cret"
    for connector in plan_connectors(plan, service_url=SERVICE, token=shown).values():
        assert connector["credential"] == {"token": shown}
        (call,) = connector["actions"]
        assert call["headers"]["Authorization"] == "Bearer ${credential.token}"
        assert shown not in str(call)


@pytest.mark.parametrize("token", ["", "a b", "${credential.x}", "tüte", "line\nbreak"])
def test_a_token_that_no_header_can_carry_is_refused(token: str) -> None:
    with pytest.raises(InvalidPlanError, match="token cannot be sent"):
        plan_connectors(PLAN, service_url=SERVICE, token=token)


def test_the_engine_waits_longer_than_the_service_works() -> None:
    slow = FunnelPlan(alias="a", deadlines=Deadlines(rewrite_ms=250, rank_ms=60_000))
    assert rank_connector(slow, service_url=SERVICE)["client_config"]["read_timeout"] == 61
    assert rank_connector(PLAN, service_url=SERVICE)["client_config"]["read_timeout"] == 1


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:8750.evil.example/v1/plans/x/rank",
        "http://127x0x0x1:8750/v1/plans/x/rank",
        "http://user@127.0.0.1:8750/v1/plans/x/rank",
        "http://127.0.0.1:87501/v1/plans/x/rank",
        "https://127.0.0.1:8750/v1/plans/x/rank",
        "http://127.0.0.1:8750/elsewhere",
        "x http://127.0.0.1:8750/v1/plans/x/rank",
    ],
)
def test_the_trusted_pattern_matches_no_other_address(address: str) -> None:
    assert re.match(trusted_pattern(SERVICE), address) is None


def test_an_alias_cannot_leave_its_path() -> None:
    odd = FunnelPlan(alias="films/../../x", rerank=Reranking())
    address = plan_address(odd.plan_id, service_url=SERVICE, action="rank")
    assert address.startswith(f"{SERVICE}/v1/plans/films_.._.._x.")
