"""Reranking as the real ``cohere`` client asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cohere
import httpx
import httpx2
import pytest
from cohere.core.request_options import RequestOptions
from cohere.errors import BadRequestError, NotFoundError, TooManyRequestsError, UnauthorizedError

from opensearch_funnel.service.app import MOST_RERANKINGS
from opensearch_funnel.service.rerank_shapes import MOST_DOCUMENTS, probability
from tests.unit.service.served_api import Gated, served_api

ONCE: RequestOptions = {"max_retries": 0}
DOCUMENTS = ["a blue whale", "the red fox", "a red car"]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_api() as address:
        yield address


@pytest.fixture(scope="module")
def connections() -> Iterator[httpx.Client]:
    with httpx.Client() as made:
        yield made


@pytest.fixture
def v1(url: str, connections: httpx.Client) -> cohere.Client:
    return cohere.Client(api_key="any", base_url=url, httpx_client=connections)


@pytest.fixture
def v2(url: str, connections: httpx.Client) -> cohere.ClientV2:
    return cohere.ClientV2(api_key="any", base_url=url, httpx_client=connections)


def test_the_second_api_orders_by_relevance(v2: cohere.ClientV2) -> None:
    answer = v2.rerank(model="overlap", query="red fox", documents=DOCUMENTS)
    assert [r.index for r in answer.results] == [1, 2, 0]
    scores = [probability(logit) for logit in (2.0, 1.0, 0.0)]
    assert [r.relevance_score for r in answer.results] == scores
    assert answer.meta is not None
    assert answer.meta.api_version is not None
    assert answer.meta.api_version.version == "2"
    assert len(answer.id or "") == 16


def test_the_first_api_returns_documents_as_they_were_sent(v1: cohere.Client) -> None:
    documents = ["whale", {"text": "red fox", "id": "7"}, {"text": "red"}]
    answer = v1.rerank(query="red fox", documents=documents, top_n=2, return_documents=True)  # type: ignore[arg-type]
    returned = [r.document.model_dump() if r.document else None for r in answer.results]
    assert returned == [{"text": "red fox", "id": "7"}, {"text": "red"}]
    without = v1.rerank(query="red fox", documents=documents)  # type: ignore[arg-type]
    assert [r.document for r in without.results] == [None] * 3


def test_the_fields_that_were_named_are_read(v1: cohere.Client) -> None:
    documents = [{"title": "red", "text": "fox"}, {"title": "fox", "text": "red red"}]
    answer = v1.rerank(query="fox", documents=documents, rank_fields=["title"])
    assert [r.index for r in answer.results] == [1, 0]


def test_options_that_mean_nothing_here_do_no_harm(v2: cohere.ClientV2) -> None:
    spans = cohere.RerankRelevantSpans(mode="enabled")
    answer = v2.rerank(
        model="overlap",
        query="red",
        documents=DOCUMENTS,
        top_n=99,
        max_tokens_per_doc=10,
        priority=3,
        relevant_spans=spans,
    )
    assert len(answer.results) == 3
    assert answer.meta is not None
    assert answer.meta.warnings == ["relevant_spans is not supported and was ignored"]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"documents": []}, "there is no text to rerank"),
        ({"documents": ["a"] * (MOST_DOCUMENTS + 1)}, f"at most {MOST_DOCUMENTS} texts"),
        ({"query": ""}, "query: String should have at least 1 character"),
        ({"top_n": 0}, "top_n: Input should be greater than or equal to 1"),
        ({"documents": ["a", 7]}, "documents.1"),
        ({"documents": [{"body": "a"}]}, "documents.0 has no text"),
    ],
)
def test_what_cannot_be_answered_is_a_bad_request(
    v2: cohere.ClientV2, asked: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadRequestError) as caught:
        v2.rerank(**{"model": "overlap", "query": "q", "documents": ["a"], **asked})
    assert reason in caught.value.body["message"]


@pytest.mark.parametrize("model", ["rerank-v3.5", "dense-words", "../../etc/passwd", "x" * 5000])
def test_a_model_that_is_not_here_is_not_found(v2: cohere.ClientV2, model: str) -> None:
    with pytest.raises(NotFoundError) as caught:
        v2.rerank(model=model, query="q", documents=["a"])
    assert "there are: broken, gated, logits, overlap" in caught.value.body["message"]
    assert len(caught.value.body["message"]) < 300


def test_a_model_that_fails_is_said_to_fail(url: str) -> None:
    for query, status in (("short", 503), ("nan", 503), ("boom", 500)):
        body = {"model": "broken", "query": query, "documents": ["a", "b"]}
        answer = httpx2.post(f"{url}/v2/rerank", json=body)
        assert answer.status_code == status, answer.text
        assert answer.json()["message"]


def test_a_service_that_is_full_turns_away_and_says_when_to_come_again(
    url: str, v2: cohere.ClientV2
) -> None:
    Gated.go.clear()
    with ThreadPoolExecutor(MOST_RERANKINGS) as threads:
        try:
            held = [
                threads.submit(v2.rerank, model="gated", query="q", documents=["q"])
                for _ in range(MOST_RERANKINGS)
            ]
            refused = None
            for _ in range(500):
                depth = httpx2.get(f"{url}/metrics").text
                if f'funnel_queue_depth{{stage="rerank"}} {MOST_RERANKINGS}.0' in depth:
                    break
            with pytest.raises(TooManyRequestsError) as caught:
                v2.rerank(model="gated", query="q", documents=["q"], request_options=ONCE)
            refused = caught.value
        finally:
            Gated.go.set()
        assert all(f.result().results[0].index == 0 for f in held)
    assert refused is not None
    assert {k.lower(): v for k, v in (refused.headers or {}).items()}["retry-after"] == "1"


def test_a_token_is_asked_for_where_there_is_one(connections: httpx.Client) -> None:
    with served_api(token="a-token-of-this-test") as url:  # noqa: S106 - shown to itself
        ok, wrong = (
            cohere.ClientV2(api_key=key, base_url=url, httpx_client=connections)
            for key in ("a-token-of-this-test", "another")
        )
        assert ok.rerank(model="overlap", query="red", documents=["red"]).results
        with pytest.raises(UnauthorizedError) as caught:
            wrong.rerank(model="overlap", query="red", documents=["red"])
        assert "Authorization: Bearer" in caught.value.body["message"]
