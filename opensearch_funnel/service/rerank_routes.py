"""The routes that rerank texts: ``/rerank``, ``/v1/rerank``, ``/v2/rerank``."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request, Response

from opensearch_funnel.service.answers import (
    json_answer,
    parsed,
    read_object,
    refused_for,
    refusing,
    run_stage,
)
from opensearch_funnel.service.exchange import enter, request_id
from opensearch_funnel.service.forms import COHERE, TEI
from opensearch_funnel.service.model_shelf import ModelShelf
from opensearch_funnel.service.openapi import PUBLIC_REFUSALS, TEI_REFUSALS, described
from opensearch_funnel.service.pools import StagePool
from opensearch_funnel.service.rerank_shapes import (
    MOST_DOCUMENTS,
    CohereAnswer,
    CohereError,
    CohereRerank,
    TeiError,
    TeiRank,
    TeiRerank,
    cohere_answer,
    finite_scores,
    tei_answer,
)

STAGE = "rerank"
WITHIN_MS = 30_000
"""When a request is given up."""


def rerank_routes(shelf: ModelShelf, *, reranking: StagePool) -> APIRouter:
    """Make the routes.

    Args:
        shelf: the models that may be asked for.
        reranking: where they run.
    """
    router = APIRouter(tags=["rerank"])

    async def scored(
        request: Request, *, model: str | None, query: str, texts: Sequence[str]
    ) -> list[float]:
        if len(texts) > MOST_DOCUMENTS:
            raise refused_for("too_many", f"at most {MOST_DOCUMENTS} texts in one request")
        if not texts:
            raise refused_for("empty", "there is no text to rerank")
        with refusing():
            chosen = shelf.choose(model, kind="cross_encoder")

        def score() -> list[float]:
            return finite_scores(shelf.open(chosen).score(query, texts), texts=len(texts))

        return await run_stage(reranking, score, within_ms=WITHIN_MS, request=request)

    async def as_cohere(request: Request, *, version: str) -> Response:
        enter(STAGE, form=COHERE)
        asked = parsed(CohereRerank, await read_object(request))
        with refusing():
            texts = asked.texts()
        scores = await scored(request, model=asked.model, query=asked.query, texts=texts)
        content = cohere_answer(asked, scores, request_id=request_id(), version=version)
        return json_answer(content)

    as_cohere_has_it = described(
        CohereRerank, CohereAnswer, refusals=CohereError, statuses=PUBLIC_REFUSALS
    )

    @router.post("/v1/rerank", **as_cohere_has_it)
    async def cohere_v1(request: Request) -> Response:
        """Order documents by their relevance to a query, as Cohere's API does."""
        return await as_cohere(request, version="1")

    @router.post("/v2/rerank", **as_cohere_has_it)
    async def cohere_v2(request: Request) -> Response:
        """Order documents by their relevance to a query, as Cohere's API does."""
        return await as_cohere(request, version="2")

    @router.post(
        "/rerank",
        **described(
            TeiRerank | CohereRerank,
            list[TeiRank] | CohereAnswer,
            refusals=TeiError | CohereError,
            statuses={**PUBLIC_REFUSALS, **TEI_REFUSALS},
        ),
    )
    async def rerank_texts(request: Request) -> Response:
        """Order texts by their relevance to a query, as Text Embeddings Inference does.

        A body with `documents` in place of `texts` is taken for one of Cohere's.
        """
        enter(STAGE, form=TEI)
        content = await read_object(request)
        if "documents" in content and "texts" not in content:
            return await as_cohere(request, version="1")
        asked = parsed(TeiRerank, content)
        scores = await scored(request, model=asked.model, query=asked.query, texts=asked.texts)
        return json_answer(tei_answer(asked, scores))

    return router
