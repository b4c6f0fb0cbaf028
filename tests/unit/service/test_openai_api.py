"""Embedding as the real ``openai`` client asks for it."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import numpy as np
import openai
import pytest

from opensearch_funnel.service.embedding_shapes import MOST_TEXTS
from tests.unit.service.served_api import DenseWords, served_api


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    with (
        served_api() as url,
        openai.OpenAI(api_key="any", base_url=f"{url}/v1", max_retries=0) as made,
    ):
        yield made


def expected(*texts: str) -> list[list[float]]:
    return DenseWords().embed(texts, as_queries=False).vectors.tolist()  # type: ignore[no-any-return]


def test_vectors_come_in_order_whatever_their_encoding(client: openai.OpenAI) -> None:
    texts = ["a red fox", "a blue whale"]
    # The client asks for base64 where nothing is said, and reads it.
    for encoding in ({}, {"encoding_format": "float"}):
        answer = client.embeddings.create(model="dense-words", input=texts, **encoding)  # type: ignore[arg-type]
        vectors = np.array([e.embedding for e in answer.data], dtype=np.float32)
        np.testing.assert_array_equal(vectors, expected(*texts))
        assert [e.index for e in answer.data] == [0, 1]
        assert answer.model == "dense-words"
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == 6


def test_base64_is_of_little_endian_floats(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model="dense-words", input="red", encoding_format="base64")
    raw: Any = answer.data[0].embedding
    assert np.frombuffer(base64.b64decode(raw), dtype="<f4").tolist() == expected("red")[0]


def test_a_query_is_encoded_as_one_where_it_is_said_to_be(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(
        model="dense-words", input="red", extra_body={"input_type": "search_query"}
    )
    wanted = DenseWords().embed(["red"], as_queries=True).vectors[0].tolist()
    assert answer.data[0].embedding == wanted != expected("red")[0]


def test_dimensions_of_the_model_are_taken_and_others_are_explained(client: openai.OpenAI) -> None:
    assert client.embeddings.create(model="dense-words", input="red", dimensions=8).data
    with pytest.raises(openai.BadRequestError, match="has 8 dimensions and was not trained"):
        client.embeddings.create(model="dense-words", input="red", dimensions=4)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ([1, 2, 3], "token ids are not read here"),
        ([[1, 2], [3]], "token ids are not read here"),
        ([], "there is no text to encode"),
        (["a", ""], "input.1 is empty"),
        (["a"] * (MOST_TEXTS + 1), f"at most {MOST_TEXTS} texts"),
    ],
)
def test_what_cannot_be_encoded_is_a_bad_request(
    client: openai.OpenAI, asked: Any, reason: str
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model="dense-words", input=asked)
    assert reason in str(caught.value)
    assert caught.value.type == "invalid_request_error"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("text-embedding-3-small", "there are: dense-words"),
        ("overlap", "no dense model 'overlap' here"),
        ("elsewhere", "model elsewhere is not on this machine"),
    ],
)
def test_a_model_that_is_not_here_is_not_found(
    client: openai.OpenAI, model: str, reason: str
) -> None:
    with pytest.raises(openai.NotFoundError, match=reason):
        client.embeddings.create(model=model, input="red")


def test_the_models_that_are_here_are_listed(client: openai.OpenAI) -> None:
    models = {model.id: model for model in client.models.list()}
    assert sorted(models) == ["broken", "dense-words", "gated", "logits", "overlap", "sparse-words"]
    one = client.models.retrieve("sparse-words")
    assert one == models["sparse-words"]
    assert one.model_extra == {"kind": "splade", "fingerprint": "000000000005"}
    with pytest.raises(openai.NotFoundError, match="no model 'elsewhere' here"):
        client.models.retrieve("elsewhere")
