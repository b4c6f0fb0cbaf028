"""Embedding as others ask for it: the bodies of OpenAI's API and of Text Embeddings Inference."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.service.batched_models import Embedded

MOST_TEXTS = 2048
"""Of one request; OpenAI's own limit."""

InputType = Literal["search_query", "search_document"]
_INPUT_TYPE = (
    "`search_query` for what is searched with, `search_document` for what is searched: some "
    "models put a prefix before one of the two."
)
_PROMPTS: Mapping[str, InputType] = {
    "query": "search_query",
    "passage": "search_document",
    "document": "search_document",
}


class OpenAiEmbeddings(BaseModel):
    """A request of OpenAI's ``/v1/embeddings``; what is not named is ignored."""

    model_config = ConfigDict(strict=True)

    model: str | None = Field(default=None, description="A dense model of `/v1/models`.")
    input: str | list[Any] = Field(
        description=f"One text, or a list of at most {MOST_TEXTS}. Token ids are refused."
    )
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(
        default=None, description="The model's own, or nothing: its vectors are not cut."
    )
    input_type: InputType = Field(default="search_document", description=_INPUT_TYPE)


class OpenAiEmbedding(BaseModel):
    """One text's vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str = Field(
        description="Numbers, or the base64 of little-endian 32-bit floats."
    )


class OpenAiUsage(BaseModel):
    """What the model read."""

    prompt_tokens: int
    total_tokens: int


class OpenAiEmbeddingsAnswer(BaseModel):
    """The vectors, in the order of the texts."""

    object: Literal["list"]
    data: list[OpenAiEmbedding]
    model: str
    usage: OpenAiUsage


class OpenAiErrorBody(BaseModel):
    """Why a request was refused."""

    message: str
    type: str
    param: str | None
    code: str


class OpenAiError(BaseModel):
    """A request that was refused."""

    error: OpenAiErrorBody


class SparseEmbeddings(BaseModel):
    """A request for weighted terms, as ml-commons sends it; what is not named is ignored."""

    model_config = ConfigDict(strict=True)

    model: str | None = Field(default=None, description="A sparse model of `/v1/models`.")
    input: str | list[Any] = Field(description=f"One text, or a list of at most {MOST_TEXTS}.")
    input_type: InputType = Field(default="search_document", description=_INPUT_TYPE)


class TeiEmbeddings(BaseModel):
    """A request of Text Embeddings Inference's ``/embed`` and ``/embed_sparse``."""

    model_config = ConfigDict(strict=True)

    inputs: str | list[Any] = Field(description=f"One text, or a list of at most {MOST_TEXTS}.")
    model: str | None = Field(default=None, description="A model of `/v1/models`.")
    input_type: InputType | None = Field(default=None, description=_INPUT_TYPE)
    prompt_name: Literal["query", "passage", "document"] | None = Field(
        default=None, description="As `input_type`, in the words of Text Embeddings Inference."
    )
    normalize: Literal[True] = Field(default=True, description="Vectors have length 1, always.")
    truncate: bool | None = Field(
        default=None, description="Tolerated: a long text is cut at its end."
    )
    truncation_direction: Literal["Right", "right"] = "Right"

    @property
    def role(self) -> InputType:
        """Whether the texts are queries or documents."""
        if self.input_type is not None:
            return self.input_type
        return _PROMPTS.get(self.prompt_name or "", "search_document")


class TeiWeight(BaseModel):
    """The weight of one token."""

    index: int = Field(description="Its place in the model's vocabulary.")
    value: float


def given_texts(given: str | list[Any]) -> list[str]:
    """Return the texts of a request, one or several.

    Raises:
        InputError: there is something else among them, or an empty one.
    """
    texts = [given] if isinstance(given, str) else given
    for place, text in enumerate(texts):
        if isinstance(text, int | list):
            raise InputError(
                "token ids are not read here, they belong to another model's vocabulary: send "
                "the text itself"
            )
        if not isinstance(text, str):
            raise InputError(f"input.{place} is no text")
        if not text:
            raise InputError(f"input.{place} is empty")
    return texts


def check_dimensions(wanted: int | None, *, model: str, dimension: int) -> None:
    """Refuse vectors of another length than a model's.

    Raises:
        InputError: says which length it has, and why it is not cut.
    """
    if wanted is not None and wanted != dimension:
        raise InputError(
            f"model {model} has {dimension} dimensions and was not trained to be cut to {wanted}: "
            "leave dimensions out"
        )


def openai_answer(asked: OpenAiEmbeddings, made: Embedded, *, model: str) -> dict[str, Any]:
    """Return the answer to a request of OpenAI's API."""
    vectors = np.ascontiguousarray(made.vectors, dtype="<f4")
    as_text = asked.encoding_format == "base64"
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": place,
                "embedding": b64encode(vector.tobytes()).decode() if as_text else vector,
            }
            for place, vector in enumerate(vectors)
        ],
        "model": model,
        "usage": {"prompt_tokens": made.tokens, "total_tokens": made.tokens},
    }


def tei_weights(
    weights: Sequence[Mapping[str, float]], *, indices: Mapping[str, int]
) -> list[list[dict[str, Any]]]:
    """Return weighted terms as Text Embeddings Inference writes them, by place in a vocabulary.

    Example:
        >>> tei_weights([{"fox": 1.5}], indices={"fox": 7})
        [[{'index': 7, 'value': 1.5}]]
    """
    return [
        [{"index": indices[token], "value": weight} for token, weight in one.items()]
        for one in weights
    ]
