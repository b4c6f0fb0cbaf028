"""The service's public API behind the engine's own processors: on the real node.

Nothing of the funnel's pipeline is involved: connectors are written as the blueprints of
ml-commons for Cohere, OpenAI and sparse encoders have them, and only their address is ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.encoders.stored_weights import stored_weights
from opensearch_funnel.engine.remote_models import create_connector, create_model, delete_connector
from opensearch_funnel.engine.service_access import PRIVATE_IP, TRUSTED
from opensearch_funnel.service.rerank_shapes import probability
from tests.unit.service.served_api import DenseWords, served_api

pytestmark = pytest.mark.engine

TOKEN = "a-token-of-this-test"  # noqa: S105 - shown to a service of the test's own
TEXTS = {"d0": "fox", "d1": "a blue whale and the fox", "d2": "the red fox", "d3": 'a "red" car'}
MakeModel = Callable[..., str]


@pytest.fixture
def url() -> Iterator[str]:
    with served_api(token=TOKEN) as address:
        yield address


@pytest.fixture
def make_model(client: OpenSearch, url: str, index_name: str) -> Iterator[MakeModel]:
    """Makes the remote model of a connector to a path of the service."""
    before = client.cluster.get_settings(params={"flat_settings": "true"})["persistent"]
    trusted = [*before.get(TRUSTED, []), rf"^http://127\.0\.0\.1:{urlsplit(url).port}/.*$"]
    client.cluster.put_settings(body={"persistent": {TRUSTED: trusted, PRIVATE_IP: True}})
    made: list[str] = []

    def make(path: str, *, request_body: str, **functions: str) -> str:
        connector = {
            "name": f"{index_name} {path}",
            "description": "a test's",
            "version": "1",
            "protocol": "http",
            "credential": {"key": TOKEN},
            "actions": [
                {
                    "action_type": "predict",
                    "method": "POST",
                    "url": f"{url}{path}",
                    "headers": {"Authorization": "Bearer ${credential.key}"},
                    "request_body": request_body,
                    **functions,
                }
            ],
        }
        connector_id = create_connector(client, connector)
        made.append(connector_id)
        return create_model(client, connector, connector_id=connector_id)

    yield make
    for connector_id in made:
        delete_connector(client, connector_id)
    after = {TRUSTED: before.get(TRUSTED), PRIVATE_IP: before.get(PRIVATE_IP)}
    client.cluster.put_settings(body={"persistent": after})


def rerank_pipeline(model_id: str) -> dict[str, Any]:
    return {
        "request_processors": [],
        "response_processors": [
            {
                "rerank": {
                    "ml_opensearch": {"model_id": model_id},
                    "context": {"document_fields": ["text"]},
                }
            }
        ],
    }


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/rerank"])
def test_the_rerank_processor_orders_by_the_scores_of_the_service(
    client: OpenSearch, index_name: str, make_model: MakeModel, path: str
) -> None:
    for doc_id, text in TEXTS.items():
        client.index(index=index_name, id=doc_id, body={"text": text})
    client.indices.refresh(index=index_name)
    model_id = make_model(
        path,
        request_body='{"model": "overlap", "query": "${parameters.query}", '
        '"documents": ${parameters.documents}, "top_n": ${parameters.top_n}}',
        pre_process_function="connector.pre_process.cohere.rerank",
        post_process_function="connector.post_process.cohere.rerank",
    )
    body = {
        "query": {"match": {"text": "fox car"}},
        "search_pipeline": rerank_pipeline(model_id),
        "ext": {"rerank": {"query_context": {"query_text": 'the red fox, "quoted"'}}},
    }
    hits = client.search(index=index_name, body=body)["hits"]["hits"]
    # Words of "the red fox, ..." that a text shares: the, red; a text's own order breaks ties.
    assert [hit["_id"] for hit in hits][:2] == ["d2", "d1"]
    scores = [hit["_score"] for hit in hits]
    wanted = [probability(2.0), probability(1.0), probability(0.0), probability(0.0)]
    assert scores == pytest.approx(wanted, abs=1e-6)


def test_very_small_and_very_large_scores_are_read_by_the_engine(
    client: OpenSearch, make_model: MakeModel
) -> None:
    model_id = make_model(
        "/v2/rerank",
        request_body='{"model": "logits", "query": "${parameters.query}", '
        '"documents": ${parameters.documents}}',
        pre_process_function="connector.pre_process.cohere.rerank",
        post_process_function="connector.post_process.cohere.rerank",
    )
    logits = [-900.0, -30.0, -20.123456, -9.5, 0.1, 9.5, 30.0, 900.0]
    answer = client.transport.perform_request(
        "POST",
        f"/_plugins/_ml/_predict/text_similarity/{model_id}",
        body={"query_text": "q", "text_docs": [str(logit) for logit in logits]},
    )
    outputs = [one for result in answer["inference_results"] for one in result["output"]]
    found = [one["data"][0] for one in outputs]
    assert found == pytest.approx([probability(logit) for logit in logits], rel=1e-6)
    assert all(math.isfinite(score) for score in found)


def test_documents_are_embedded_while_they_are_indexed(
    client: OpenSearch, index_name: str, make_model: MakeModel
) -> None:
    dense = make_model(
        "/v1/embeddings",
        request_body='{"input": ${parameters.input}}',
        pre_process_function="connector.pre_process.openai.embedding",
        post_process_function="connector.post_process.openai.embedding",
    )
    sparse = make_model(
        "/v1/sparse-embeddings",
        request_body='{"input": ${parameters.input}}',
        pre_process_function="connector.pre_process.default.embedding",
    )
    processors = [
        {"text_embedding": {"model_id": dense, "field_map": {"text": "vector"}, "batch_size": 5}},
        {"sparse_encoding": {"model_id": sparse, "field_map": {"text": "terms"}, "batch_size": 5}},
    ]
    client.ingest.put_pipeline(id=index_name, body={"processors": processors})
    try:
        operations: list[dict[str, Any]] = []
        for doc_id in ("1", "2"):
            operations += [{"index": {"_id": doc_id}}, {"text": f"w{doc_id} w3 w3"}]
        done = client.bulk(
            index=index_name,
            body=operations,
            params={"pipeline": index_name, "refresh": "true"},
        )
        assert not done["errors"], done
        source = client.get(index=index_name, id="2")["_source"]
    finally:
        client.ingest.delete_pipeline(id=index_name)
    # The engine writes them as 32-bit floats.
    terms = {token: np.float32(weight) for token, weight in source["terms"].items()}
    assert terms == stored_weights({"w2": 1.7, "w3": 3.4})
    wanted = DenseWords().embed(["w2 w3 w3"], as_queries=False).vectors[0]
    assert source["vector"] == pytest.approx(wanted.tolist(), abs=1e-6)
