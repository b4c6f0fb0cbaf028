"""The list of models that may be asked for, as OpenAI's API gives it."""

from __future__ import annotations

import time
from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel

from opensearch_funnel.encoders.manifest import Kind
from opensearch_funnel.service.answers import json_answer, refused_for
from opensearch_funnel.service.embedding_shapes import OpenAiError
from opensearch_funnel.service.exchange import enter
from opensearch_funnel.service.forms import OPENAI
from opensearch_funnel.service.model_shelf import ModelShelf, ShelvedModel

_OWNER = "opensearch-funnel"


class ServedModel(BaseModel):
    """A model that may be asked for."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    kind: Kind
    fingerprint: str


class ServedModels(BaseModel):
    """The models that may be asked for."""

    object: Literal["list"]
    data: list[ServedModel]


def model_routes(shelf: ModelShelf) -> APIRouter:
    """Make the routes.

    Args:
        shelf: the models.
    """
    router = APIRouter(tags=["models"])
    # The API wants a date; a model here has none but the one it is served from.
    since = int(time.time())

    def shown(model: ShelvedModel) -> dict[str, Any]:
        return {
            "id": model.name,
            "object": "model",
            "created": since,
            "owned_by": _OWNER,
            "kind": model.kind,
            "fingerprint": model.fingerprint,
        }

    @router.get("/v1/models", responses={200: {"model": ServedModels}})
    def models() -> Response:
        """List the models that may be asked for by name."""
        return json_answer({"object": "list", "data": [shown(m) for m in shelf.models()]})

    @router.get(
        "/v1/models/{name}",
        responses={200: {"model": ServedModel}, 404: {"model": OpenAiError}},
    )
    async def one_model(name: str) -> Response:
        """Describe one model."""
        enter("models", form=OPENAI)
        for model in shelf.models():
            if model.name == name:
                return json_answer(shown(model))
        raise refused_for("unknown_model", f"no model {name[:100]!r} here: see /v1/models")

    return router
