"""What the three common embedding APIs are asked, and how they answer."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from opensearch_funnel.encoders.manifest import Api, Endpoint, Output

_BITS = 8


@dataclass(frozen=True, slots=True)
class Reply:
    """Vectors as they came, one row a text, and how many tokens are billed for them."""

    vectors: NDArray[np.float32]
    tokens: int


class Shape(Protocol):
    """One API."""

    path: str
    outputs: tuple[Output, ...]

    def body(
        self, endpoint: Endpoint, texts: Sequence[str], *, dimension: int, as_queries: bool
    ) -> dict[str, Any]:
        """Return what is posted."""
        ...

    def reply(self, answer: Any, *, output: Output) -> Reply:
        """Read an answer.

        Raises:
            KeyError, TypeError, ValueError: it has another form.
        """
        ...


class OpenAIShape:
    """``POST /embeddings``, of OpenAI and of many that speak like it.

    Source: the API reference of OpenAI, "Create embeddings".
    """

    path = "/embeddings"
    outputs: tuple[Output, ...] = ("float",)

    def body(
        self, endpoint: Endpoint, texts: Sequence[str], *, dimension: int, as_queries: bool
    ) -> dict[str, Any]:
        """Ask for base64: a third of the bytes of numbers written out."""
        del as_queries
        body = {"model": endpoint.model, "input": list(texts), "encoding_format": "base64"}
        return body | {"dimensions": dimension} if dimension else body

    def reply(self, answer: Any, *, output: Output) -> Reply:
        """Read base64 or, from servers that know no better, numbers."""
        del output
        rows: list[Any] = [None] * len(answer["data"])
        for row in answer["data"]:
            rows[row["index"]] = _floats(row["embedding"])
        return Reply(_matrix(rows), int((answer.get("usage") or {}).get("total_tokens", 0)))


class CohereShape:
    """``POST /v2/embed`` of Cohere.

    Source: the API reference of Cohere, "Embed API (v2)".
    """

    path = "/v2/embed"
    outputs: tuple[Output, ...] = ("float", "int8", "binary")

    def body(
        self, endpoint: Endpoint, texts: Sequence[str], *, dimension: int, as_queries: bool
    ) -> dict[str, Any]:
        """Ask for the output that the manifest names."""
        body = {
            "model": endpoint.model,
            "texts": list(texts),
            "input_type": "search_query" if as_queries else "search_document",
            "embedding_types": [endpoint.output],
            "truncate": "END",
        }
        return body | {"output_dimension": dimension} if dimension else body

    def reply(self, answer: Any, *, output: Output) -> Reply:
        """Read floats; whole numbers from -128 to 127; or bits, which become -1 and 1."""
        rows = answer["embeddings"][output]
        if output == "binary":
            packed = np.asarray(rows, dtype=np.int8).view(np.uint8)
            bits = np.unpackbits(packed, axis=1)
            vectors = bits.astype(np.float32) * 2 - 1
        else:
            vectors = _matrix(rows)
        billed: Mapping[str, Any] = (answer.get("meta") or {}).get("billed_units") or {}
        return Reply(vectors, int(billed.get("input_tokens", 0)))


class TeiShape:
    """``POST /embed`` of Hugging Face's text-embeddings-inference, which counts no tokens.

    Source: the OpenAPI description of text-embeddings-inference.
    """

    path = "/embed"
    outputs: tuple[Output, ...] = ("float",)

    def body(
        self, endpoint: Endpoint, texts: Sequence[str], *, dimension: int, as_queries: bool
    ) -> dict[str, Any]:
        """Ask for vectors as the model gives them; they are made of length 1 here."""
        del endpoint, as_queries
        body: dict[str, Any] = {"inputs": list(texts), "truncate": True, "normalize": False}
        return body | {"dimensions": dimension} if dimension else body

    def reply(self, answer: Any, *, output: Output) -> Reply:
        """Read rows of numbers."""
        del output
        return Reply(_matrix(answer), 0)


SHAPES: dict[Api, Shape] = {"openai": OpenAIShape(), "cohere": CohereShape(), "tei": TeiShape()}


def _floats(value: Any) -> Any:
    if isinstance(value, str):
        return np.frombuffer(base64.b64decode(value, validate=True), dtype="<f4")
    return value


def _matrix(rows: Any) -> NDArray[np.float32]:
    vectors = np.asarray(rows, dtype=np.float32)
    if vectors.ndim != 2:  # noqa: PLR2004 - texts, numbers
        raise ValueError("the vectors are not all of one length")
    return vectors
