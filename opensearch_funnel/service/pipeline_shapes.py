"""The bodies of the routes that the engine's pipelines call, for the OpenAPI schema alone.

These routes are on the way of every search and every write: their bodies are read by hand.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class PlanState(BaseModel):
    """Whether a plan can be run."""

    plan: str
    state: str = Field(description="`ready`, `loading`, or `failed: ` and the reason.")


class RewriteBody(BaseModel):
    """A client's search, as the engine read it."""

    source: dict[str, Any]


class RewriteAnswer(BaseModel):
    """The search to run in place of it."""

    body: str = Field(description="JSON as text, in which no `$` stands as itself.")


class RankBody(BaseModel):
    """The hits of a page."""

    plan: dict[str, Any] = Field(description="What the rewrite left in `ext.rerank`.")
    documents: list[str] = Field(
        description="The key of each hit, `funnel.id` and `funnel.hash`, in fused order."
    )


class RankResult(BaseModel):
    """One hit."""

    index: int = Field(description="Its place in the request, from 0.")
    relevance_score: float = Field(
        description="From 1000 to 2000 for a hit that was reranked, below 1 for any other."
    )


class RankAnswer(BaseModel):
    """One score a hit."""

    results: list[RankResult]


class EmbedBody(BaseModel):
    """Query texts."""

    input: list[str]


class EmbedResult(BaseModel):
    """One text's vector."""

    index: int
    embedding: list[float]


class EmbedAnswer(BaseModel):
    """The vectors, in the order of the texts."""

    data: list[EmbedResult]


class EncodeBody(BaseModel):
    """A document that is being written, as an ingest processor `ml_inference` sends `$`."""

    doc: dict[str, Any] = Field(
        description="All its fields, with the engine's `_id` (null where it is made later), "
        "`_index` and `_version`."
    )


class EncodeAnswer(BaseModel):
    """The fields of the document that change."""

    funnel: str = Field(
        description="JSON as text, in which no `{{` stands as itself: an object with the field "
        "`funnel` (`id`, `model`, `hash`, `state`, and `sparse_<slot>` and `dense_<slot>` where "
        "the document has text), or an empty one. Where the engine may merge it into another "
        "document, `sparse_<slot>` is a list of one object, and without text there is none."
    )


class PipelineError(BaseModel):
    """A call that the engine goes on without."""

    error: str
