"""Reranking and embedding in the shapes of Text Embeddings Inference and of ml-commons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import pytest

from opensearch_funnel.encoders.stored_weights import stored_weights
from opensearch_funnel.service.rerank_shapes import MOST_DOCUMENTS, probability
from tests.unit.service.served_api import DenseWords, served_api


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with served_api() as address:
        yield address


def post(url: str, path: str, content: Any) -> httpx2.Response:
    return httpx2.post(f"{url}{path}", json=content)


def test_texts_come_best_first(url: str) -> None:
    asked = {"query": "red fox", "texts": ["whale", "red fox", "red"]}
    assert post(url, "/rerank", asked).json() == [
        {"index": 1, "score": probability(2.0)},
        {"index": 2, "score": probability(1.0)},
        {"index": 0, "score": probability(0.0)},
    ]
    options = {"raw_scores": True, "return_text": True, "truncate": True}
    assert post(url, "/rerank", {**asked, **options}).json()[0] == {
        "index": 1,
        "score": 2.0,
        "text": "red fox",
    }


def test_scores_are_written_with_a_point_and_few_digits(url: str) -> None:
    answer = post(url, "/rerank", {"query": "red fox", "texts": ["red fox"], "raw_scores": True})
    assert answer.text == '[{"index":0,"score":2.0}]'


def test_the_same_path_answers_in_the_shape_of_the_question(url: str) -> None:
    answer = post(url, "/rerank", {"query": "red", "documents": ["red"]}).json()
    assert answer["results"] == [{"index": 0, "relevance_score": probability(1.0)}]
    refused = post(url, "/rerank", {"query": "red", "documents": []})
    assert (refused.status_code, refused.json()) == (400, {"message": "there is no text to rerank"})


@pytest.mark.parametrize(
    ("path", "content", "status", "kind"),
    [
        ("/rerank", {"query": "q", "texts": []}, 400, "empty"),
        ("/rerank", {"query": "q", "texts": ["a"] * (MOST_DOCUMENTS + 1)}, 413, "validation"),
        ("/rerank", {"query": "q"}, 422, "validation"),
        ("/rerank", {"query": "q", "texts": ["a", None]}, 422, "validation"),
        ("/rerank", {"query": "q", "texts": ["a"], "truncation_direction": "Left"}, 422, None),
        ("/rerank", {"query": "q", "texts": ["a"], "model": "dense-words"}, 424, "backend"),
        ("/rerank", {"query": "nan", "texts": ["a"], "model": "broken"}, 424, "backend"),
        ("/rerank", {"query": "x", "texts": ["a"], "model": "broken"}, 424, "backend"),
        ("/embed", {"inputs": []}, 400, "empty"),
        ("/embed", {"inputs": "a", "normalize": False}, 422, "validation"),
        ("/embed", {"inputs": [[1, 2]]}, 422, "validation"),
        ("/embed_sparse", {"inputs": "a", "model": "overlap"}, 424, "backend"),
    ],
)
def test_refusals_have_the_status_and_the_form_of_the_api(
    url: str, path: str, content: Any, status: int, kind: str | None
) -> None:
    answer = post(url, path, content)
    assert answer.status_code == status, answer.text
    refusal = answer.json()
    assert set(refusal) == {"error", "error_type"}
    assert refusal["error_type"] == (kind or "validation")


def test_dense_and_sparse_embeddings(url: str) -> None:
    wanted = DenseWords().embed(["w1 w2"], as_queries=False).vectors
    made = post(url, "/embed", {"inputs": "w1 w2"}).json()
    np.testing.assert_array_equal(np.float32(made), wanted)
    as_query = DenseWords().embed(["w1"], as_queries=True).vectors
    made = post(url, "/embed", {"inputs": ["w1"], "prompt_name": "query"}).json()
    np.testing.assert_array_equal(np.float32(made), as_query)
    sparse = post(url, "/embed_sparse", {"inputs": ["w1 w3 w3", "w2"]}).json()
    assert sparse[0] == [{"index": 1, "value": 1.7}, {"index": 3, "value": 3.4}]
    assert len(sparse) == 2


def test_ml_commons_gets_a_bare_list_of_weights(url: str) -> None:
    documents = post(url, "/v1/sparse-embeddings", {"input": ["w1 w1", "w2"]}).json()
    # What the index keeps of them, as when the funnel encodes documents itself.
    assert documents == [stored_weights({"w1": 3.4}), stored_weights({"w2": 1.7})]
    query = {"input": "w1", "input_type": "search_query"}
    assert post(url, "/v1/sparse-embeddings", query).json() == [{"w1": 1.0}]
    refused = post(url, "/v1/sparse-embeddings", {"input": [None]})
    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == "input.0 is no text"
