"""The body of the ingest pipeline, as an exact dict."""

from __future__ import annotations

from opensearch_funnel.core.plan import Deadlines, FunnelPlan
from opensearch_funnel.engine.ingest_pipelines import ingest_pipeline
from opensearch_funnel.engine.live_documents import LiveIndex
from opensearch_funnel.engine.search_pipelines import encode_connector, plan_connectors
from opensearch_funnel.engine.wanted_pipelines import planned_requests

PLAN = FunnelPlan(alias="films", slot="b")
SERVICE = "http://127.0.0.1:8750"

PENDING = [
    {"set": {"field": "funnel", "value": {}, "override": False}},
    {
        "remove": {
            "field": [
                "funnel.id",
                "funnel.origin",
                "funnel.model",
                "funnel.hash",
                "funnel.sparse_a",
                "funnel.dense_a",
                "funnel.sparse_b",
                "funnel.dense_b",
            ],
            "ignore_missing": True,
        }
    },
    {"set": {"field": "funnel.id", "value": "{{{_id}}}", "ignore_empty_value": True}},
    {"set": {"field": "funnel.state", "value": "pending"}},
]


def test_the_body() -> None:
    body = ingest_pipeline(PLAN, encode_model="M", slots=["a", "b"])
    assert body == {
        "description": f"opensearch-funnel {PLAN.plan_id}",
        "processors": [
            {
                "ml_inference": {
                    "model_id": "M",
                    "input_map": [{"doc": "$"}],
                    "output_map": [{"funnel_answer": "funnel"}],
                    "override": True,
                    "on_failure": [
                        *PENDING,
                        {"set": {"field": "funnel_answer", "value": "{}"}},
                    ],
                }
            },
            {"json": {"field": "funnel_answer", "add_to_root": True, "on_failure": PENDING}},
            {"remove": {"field": "funnel_answer", "ignore_missing": True}},
        ],
    }


def test_their_own_pipeline_comes_first_and_its_failures_stay_theirs() -> None:
    body = ingest_pipeline(PLAN, encode_model="M", theirs="dates")
    assert body["processors"][0] == {"pipeline": {"name": "dates"}}
    assert "on_failure" not in body


def test_the_connector_sends_the_whole_document_and_waits_for_its_own_deadline() -> None:
    patient = FunnelPlan(alias="films", deadlines=Deadlines(encode_ms=9_000))
    connector = encode_connector(patient, service_url=SERVICE)
    (call,) = connector["actions"]
    assert call["url"] == f"{SERVICE}/v1/plans/{patient.plan_id}/encode"
    assert call["request_body"] == '{"doc": ${parameters.doc}}'
    assert connector["client_config"]["read_timeout"] == 10
    assert connector["client_config"]["max_connection"] == 4
    others = plan_connectors(patient, service_url=SERVICE, ingest=True)["rewrite"]
    assert others["client_config"]["read_timeout"] == 1
    assert others["client_config"]["max_connection"] == 100


def test_the_bodies_that_would_be_sent_can_be_looked_at() -> None:
    live = LiveIndex(index="films-1", theirs="dates", slots=("a",))
    planned = planned_requests(PLAN, service_url=SERVICE, name="funnel-films", live=live)
    assert list(planned["connectors"]) == ["rewrite", "encode"]
    assert planned["PUT /_ingest/pipeline/funnel-films"] == ingest_pipeline(
        PLAN, encode_model="<id of model encode>", theirs="dates", slots=["a"]
    )
    without = planned_requests(PLAN, service_url=SERVICE, name="funnel-films")
    assert list(without["connectors"]) == ["rewrite"]
    assert "PUT /_ingest/pipeline/funnel-films" not in without
