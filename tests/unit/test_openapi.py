"""The committed schema is the service's, and what it says of answers is so."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import BaseModel, ConfigDict, TypeAdapter

from opensearch_funnel.build.schema import openapi_text
from opensearch_funnel.service.embedding_shapes import (
    OpenAiEmbeddingsAnswer,
    OpenAiError,
    TeiWeight,
)
from opensearch_funnel.service.info_routes import Info
from opensearch_funnel.service.model_routes import ServedModels
from opensearch_funnel.service.pipeline_shapes import PipelineError, PlanState
from opensearch_funnel.service.rerank_shapes import CohereAnswer, CohereError, TeiError, TeiRank
from opensearch_funnel.service.status_routes import Health, Ready
from tests.unit.service.served_api import served_api

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
SCHEMA: dict[str, Any] = json.loads(COMMITTED.read_text(encoding="utf-8"))
RERANK = {"query": "red", "documents": ["red", "fox"], "return_documents": True}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_api() as address:
        yield address


def test_the_committed_schema_is_the_services() -> None:
    assert json.loads(openapi_text()) == SCHEMA, "run scripts/write-openapi"


def test_every_reference_leads_somewhere() -> None:
    for reference in set(re.findall(r'"#/([^"]+)"', COMMITTED.read_text(encoding="utf-8"))):
        found: Any = SCHEMA
        for part in reference.split("/"):
            found = found[part]


def test_every_route_says_what_it_takes_and_what_it_answers() -> None:
    for path, operations in SCHEMA["paths"].items():
        for method, operation in operations.items():
            assert operation["description"], path
            assert operation["tags"], path
            if method == "post":
                assert operation["requestBody"]["content"]["application/json"]["schema"], path
            for content in operation["responses"]["200"]["content"].values():
                assert content["schema"], path


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/health", None, 200, Health),
        ("/ready", None, 200, Ready),
        ("/info", None, 200, Info),
        ("/v1/models", None, 200, ServedModels),
        ("/v1/models/x", None, 404, OpenAiError),
        ("/v1/plans/x.1", None, 200, PlanState),
        ("/v1/plans/x.1/rewrite", {"source": {}}, 503, PipelineError),
        ("/v2/rerank", RERANK, 200, CohereAnswer),
        ("/v2/rerank", {}, 400, CohereError),
        ("/rerank", RERANK, 200, CohereAnswer),
        ("/rerank", {"query": "a", "texts": ["a"], "return_text": True}, 200, list[TeiRank]),
        ("/rerank", {}, 422, TeiError),
        ("/v1/embeddings", {"input": "w1"}, 200, OpenAiEmbeddingsAnswer),
        ("/v1/embeddings", {}, 400, OpenAiError),
        ("/v1/sparse-embeddings", {"input": "w1"}, 200, list[dict[str, float]]),
        ("/embed", {"inputs": "w1"}, 200, list[list[float]]),
        ("/embed_sparse", {"inputs": "w1"}, 200, list[list[TeiWeight]]),
        ("/embed_sparse", {}, 422, TeiError),
    ],
)
def test_answers_are_as_described(url: str, path: str, body: Any, status: int, kind: Any) -> None:
    method = "GET" if body is None else "POST"
    answer = httpx2.request(method, f"{url}{path}", json=body)
    assert answer.status_code == status
    TypeAdapter(_closed(kind)).validate_json(answer.content)


def _closed(kind: Any) -> Any:
    """Return a model that also refuses what it does not name."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return kind
    return type(kind.__name__, (kind,), {"model_config": ConfigDict(extra="forbid")})
