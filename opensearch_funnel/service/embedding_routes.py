"""The routes that embed texts, and the list of models that may be asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import APIRouter, Request, Response

from opensearch_funnel.encoders.manifest import Kind
from opensearch_funnel.encoders.stored_weights import stored_weights
from opensearch_funnel.service.answers import (
    json_answer,
    parsed,
    read_object,
    refused_for,
    refusing,
    run_stage,
)
from opensearch_funnel.service.embedding_shapes import (
    MOST_TEXTS,
    OpenAiEmbeddings,
    OpenAiEmbeddingsAnswer,
    OpenAiError,
    SparseEmbeddings,
    TeiEmbeddings,
    TeiWeight,
    check_dimensions,
    given_texts,
    openai_answer,
    tei_weights,
)
from opensearch_funnel.service.exchange import enter
from opensearch_funnel.service.forms import OPENAI, TEI
from opensearch_funnel.service.model_shelf import DenseModel, ModelShelf, SparseModel
from opensearch_funnel.service.openapi import PUBLIC_REFUSALS, TEI_REFUSALS, described
from opensearch_funnel.service.pools import StagePool
from opensearch_funnel.service.rerank_shapes import TeiError

STAGE = "embed"
WITHIN_MS = 30_000
"""When a request is given up."""
_QUERY = "search_query"

Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class _Encoding:
    """Runs the models of a shelf over the texts of requests."""

    shelf: ModelShelf
    pool: StagePool

    async def run(
        self,
        request: Request,
        given: str | list[Any],
        *,
        model: str | None,
        kind: Kind,
        encode: Callable[[Any, list[str]], Made],
    ) -> tuple[str, Made]:
        """Return the name of the model that was meant, and what it made of the texts."""
        with refusing():
            texts = given_texts(given)
            chosen = self.shelf.choose(model, kind=kind)
        if len(texts) > MOST_TEXTS:
            raise refused_for("too_many", f"at most {MOST_TEXTS} texts in one request")
        if not texts:
            raise refused_for("empty", "there is no text to encode")
        made = await run_stage(
            self.pool,
            lambda: encode(self.shelf.open(chosen), texts),
            within_ms=WITHIN_MS,
            request=request,
        )
        return chosen.name, made


def embedding_routes(shelf: ModelShelf, *, embedding: StagePool) -> APIRouter:
    """Make the routes.

    Args:
        shelf: the models that may be asked for.
        embedding: where they run.
    """
    router = APIRouter(tags=["embed"])
    encoding = _Encoding(shelf, embedding)
    _add_openai_routes(router, encoding)
    _add_tei_routes(router, encoding)
    return router


def _add_openai_routes(router: APIRouter, encoding: _Encoding) -> None:
    @router.post(
        "/v1/embeddings",
        **described(
            OpenAiEmbeddings, OpenAiEmbeddingsAnswer, refusals=OpenAiError, statuses=PUBLIC_REFUSALS
        ),
    )
    async def openai_embeddings(request: Request) -> Response:
        """Return the vector of each text, as OpenAI's API does."""
        enter(STAGE, form=OPENAI)
        asked = parsed(OpenAiEmbeddings, await read_object(request))

        def encode(model: DenseModel, texts: list[str]) -> Any:
            check_dimensions(asked.dimensions, model=model.name, dimension=model.dimension)
            return model.embed(texts, as_queries=asked.input_type == _QUERY)

        name, made = await encoding.run(
            request, asked.input, model=asked.model, kind="dense", encode=encode
        )
        return json_answer(openai_answer(asked, made, model=name))

    @router.post(
        "/v1/sparse-embeddings",
        **described(
            SparseEmbeddings, list[dict[str, float]], refusals=OpenAiError, statuses=PUBLIC_REFUSALS
        ),
    )
    async def sparse_embeddings(request: Request) -> Response:
        """Return token → weight of each text, as a `sparse_encoding` processor takes it.

        Weights of documents are rounded to what a `rank_features` field keeps.
        """
        enter(STAGE, form=OPENAI)
        asked = parsed(SparseEmbeddings, await read_object(request))
        as_queries = asked.input_type == _QUERY

        def encode(model: SparseModel, texts: list[str]) -> Any:
            weights = model.weigh(texts, as_queries=as_queries)
            return weights if as_queries else [stored_weights(one) for one in weights]

        _, made = await encoding.run(
            request, asked.input, model=asked.model, kind="splade", encode=encode
        )
        return json_answer(made)


def _add_tei_routes(router: APIRouter, encoding: _Encoding) -> None:
    @router.post(
        "/embed",
        **described(TeiEmbeddings, list[list[float]], refusals=TeiError, statuses=TEI_REFUSALS),
    )
    async def tei_embed(request: Request) -> Response:
        """Return the vector of each text, as Text Embeddings Inference does."""
        enter(STAGE, form=TEI)
        asked = parsed(TeiEmbeddings, await read_object(request))
        _, made = await encoding.run(
            request,
            asked.inputs,
            model=asked.model,
            kind="dense",
            encode=lambda model, texts: model.embed(texts, as_queries=asked.role == _QUERY),
        )
        return json_answer(made.vectors)

    @router.post(
        "/embed_sparse",
        **described(TeiEmbeddings, list[list[TeiWeight]], refusals=TeiError, statuses=TEI_REFUSALS),
    )
    async def tei_embed_sparse(request: Request) -> Response:
        """Return the weighted terms of each text, as Text Embeddings Inference does."""
        enter(STAGE, form=TEI)
        asked = parsed(TeiEmbeddings, await read_object(request))

        def encode(model: SparseModel, texts: list[str]) -> Any:
            weights = model.weigh(texts, as_queries=asked.role == _QUERY)
            return tei_weights(weights, indices=model.indices)

        _, made = await encoding.run(
            request, asked.inputs, model=asked.model, kind="splade", encode=encode
        )
        return json_answer(made)
