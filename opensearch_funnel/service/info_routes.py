"""The route that says what the service runs and how much it takes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version

from fastapi import APIRouter, Response
from pydantic import BaseModel

from opensearch_funnel.encoders.manifest import Kind
from opensearch_funnel.service.answers import json_answer
from opensearch_funnel.service.embedding_shapes import MOST_TEXTS
from opensearch_funnel.service.model_shelf import ModelShelf
from opensearch_funnel.service.pools import StagePool
from opensearch_funnel.service.rerank_shapes import MOST_DOCUMENTS
from opensearch_funnel.service.status_routes import SERVICE


class OpenModel(BaseModel):
    """A model in memory."""

    name: str
    kind: Kind
    fingerprint: str


class Limits(BaseModel):
    """How much the service takes."""

    body_bytes: int
    rerank_documents: int
    embed_texts: int
    requests: dict[str, int]


class Info(BaseModel):
    """What the service runs."""

    name: str
    version: str
    uptime_s: float
    models: list[OpenModel]
    limits: Limits


def info_routes(shelf: ModelShelf, *, pools: Sequence[StagePool], most_bytes: int) -> APIRouter:
    """Make the route.

    Args:
        shelf: knows which models are open.
        pools: of the stages; say how many requests each takes.
        most_bytes: the largest body of a request.
    """
    router = APIRouter(tags=["status"])
    start = time.monotonic()

    @router.get("/info", responses={200: {"model": Info}})
    def info() -> Response:
        """Say what the service runs, how much it takes, and since when it is up."""
        limits = {
            "body_bytes": most_bytes,
            "rerank_documents": MOST_DOCUMENTS,
            "embed_texts": MOST_TEXTS,
            "requests": {pool.stage: pool.places for pool in pools},
        }
        models = [
            {"name": model.name, "kind": model.kind, "fingerprint": model.fingerprint}
            for model in shelf.opened()
        ]
        content = {
            "name": SERVICE,
            "version": version(SERVICE),
            "uptime_s": round(time.monotonic() - start, 3),
            "models": models,
            "limits": limits,
        }
        return json_answer(content)

    return router
