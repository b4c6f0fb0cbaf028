"""Reranking as others ask for it: the bodies of Cohere's API and of Text Embeddings Inference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from opensearch_funnel.core.errors import InputError, StageUnavailableError
from opensearch_funnel.core.text import encoded_text

MOST_DOCUMENTS = 1000
"""Of one request; Cohere's own advice."""
_SEARCH_UNIT = 100
"""Documents that Cohere counts as one search."""
_LOGIT_LIMIT = 700.0

Text = Annotated[str, Field(min_length=1)]


class CohereRerank(BaseModel):
    """A request of Cohere's ``/v1/rerank`` and ``/v2/rerank``; what is not named is ignored."""

    model_config = ConfigDict(strict=True)

    model: str | None = Field(default=None, description="A cross-encoder of `/v1/models`.")
    query: Text
    documents: list[str | dict[str, Any]] = Field(
        description=f"At most {MOST_DOCUMENTS}. Of an object, `text` or the `rank_fields` are read."
    )
    top_n: int | None = Field(default=None, ge=1)
    return_documents: bool | None = None
    rank_fields: list[str] | None = Field(default=None, min_length=1)
    max_tokens_per_doc: int | None = Field(
        default=None, description="Tolerated: the model's own limit cuts a text."
    )
    max_chunks_per_doc: int | None = Field(default=None, description="Tolerated.")
    relevant_spans: dict[str, Any] | None = Field(
        default=None, description="Tolerated, with a warning in `meta`."
    )

    def texts(self) -> list[str]:
        """Return the text of each document.

        Raises:
            InputError: an object has none of the fields that are read.
        """
        fields = self.rank_fields or ["text"]
        texts = []
        for place, document in enumerate(self.documents):
            if isinstance(document, str):
                texts.append(document)
                continue
            if not any(field in document for field in fields):
                raise InputError(f"documents.{place} has no {' or '.join(fields)}")
            texts.append(encoded_text(document, fields=fields))
        return texts


class CohereResult(BaseModel):
    """One document."""

    index: int = Field(description="Its place in the request, from 0.")
    relevance_score: float = Field(ge=0, le=1)
    document: dict[str, Any] | None = None


class CohereVersion(BaseModel):
    """Which API answered."""

    version: str


class CohereUnits(BaseModel):
    """What Cohere would have counted."""

    search_units: int


class CohereMeta(BaseModel):
    """About the answer."""

    api_version: CohereVersion
    billed_units: CohereUnits
    warnings: list[str] | None = None


class CohereAnswer(BaseModel):
    """The documents, most relevant first."""

    id: str = Field(description="The request id.")
    results: list[CohereResult]
    meta: CohereMeta


class CohereError(BaseModel):
    """A request that was refused."""

    message: str


class TeiRerank(BaseModel):
    """A request of Text Embeddings Inference's ``/rerank``; what is not named is ignored."""

    model_config = ConfigDict(strict=True)

    query: Text
    texts: list[str] = Field(description=f"At most {MOST_DOCUMENTS}.")
    model: str | None = Field(default=None, description="A cross-encoder of `/v1/models`.")
    raw_scores: bool = Field(default=False, description="Logits in place of values from 0 to 1.")
    return_text: bool = False
    truncate: bool | None = Field(
        default=None, description="Tolerated: a long text is cut at its end."
    )
    truncation_direction: Literal["Right", "right"] = "Right"


class TeiRank(BaseModel):
    """One text."""

    index: int
    score: float
    text: str | None = None


class TeiError(BaseModel):
    """A request that was refused."""

    error: str
    error_type: Literal["validation", "empty", "backend", "overloaded"]


def finite_scores(scores: Sequence[float], *, texts: int) -> list[float]:
    """Return a model's scores where they are one number a text.

    Raises:
        StageUnavailableError: they are not.
    """
    if len(scores) != texts:
        raise StageUnavailableError(f"the model gave {len(scores)} scores for {texts} texts")
    if not all(math.isfinite(score) for score in scores):
        raise StageUnavailableError("the model gave a score that is no number")
    return list(scores)


def cohere_answer(
    asked: CohereRerank, scores: Sequence[float], *, request_id: str, version: str
) -> dict[str, Any]:
    """Return the answer to a request of Cohere's API.

    Args:
        asked: the request.
        scores: one logit a document.
        request_id: under which the answer is known.
        version: of the API, ``1`` or ``2``.
    """
    results = []
    for place in _best_first(scores)[: asked.top_n]:
        result: dict[str, Any] = {"index": place, "relevance_score": probability(scores[place])}
        if asked.return_documents:
            document = asked.documents[place]
            result["document"] = {"text": document} if isinstance(document, str) else document
        results.append(result)
    meta: dict[str, Any] = {
        "api_version": {"version": version},
        "billed_units": {"search_units": math.ceil(len(scores) / _SEARCH_UNIT)},
    }
    if asked.relevant_spans is not None:
        meta["warnings"] = ["relevant_spans is not supported and was ignored"]
    return {"id": request_id, "results": results, "meta": meta}


def tei_answer(asked: TeiRerank, scores: Sequence[float]) -> list[dict[str, Any]]:
    """Return the answer to a request of Text Embeddings Inference, best text first.

    Args:
        asked: the request.
        scores: one logit a text.
    """
    shown = nine_digits if asked.raw_scores else probability
    return [
        {
            "index": place,
            "score": shown(scores[place]),
            **({"text": asked.texts[place]} if asked.return_text else {}),
        }
        for place in _best_first(scores)
    ]


def probability(logit: float) -> float:
    """Return a logit as a value from 0 to 1, by the logistic function.

    Example:
        >>> probability(0.0), probability(2.0), probability(-900.0)
        (0.5, 0.880797078, 0.0)
    """
    if logit < -_LOGIT_LIMIT:
        return 0.0
    return nine_digits(1.0 / (1.0 + math.exp(-logit)))


def nine_digits(number: float) -> float:
    """Return a number as a float of at most nine significant digits.

    The engine casts what a connector answers to a Java ``Double``; a longer decimal becomes a
    ``BigDecimal`` there, and an integer an ``Integer``, and both throw.
    """
    return float(f"{number:.9g}")


def _best_first(scores: Sequence[float]) -> list[int]:
    return sorted(range(len(scores)), key=lambda place: -scores[place])
