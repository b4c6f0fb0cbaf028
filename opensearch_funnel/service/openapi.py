"""The OpenAPI schema: routes that read their bodies themselves, and what holds for all of them."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter

from opensearch_funnel.service.gate import OPEN_PATHS

_REFUSALS = {
    400: "The request cannot be answered as it is.",
    413: "The body is too large.",
    503: "The stage did not answer, or not in time.",
}
PUBLIC_REFUSALS = {
    404: "There is no such model.",
    429: "Too many requests wait: come again after `Retry-After` seconds.",
}
TEI_REFUSALS = {
    400: "There is no text.",
    413: "The body is too large, or has too many texts.",
    422: "The request cannot be read.",
    424: "There is no such model, or it failed.",
    429: PUBLIC_REFUSALS[429],
}

_VALIDATION = "HTTPValidationError"
_SCHEME = "token"


def described(
    request: Any, answer: Any, *, refusals: Any, statuses: dict[int, str] | None = None
) -> dict[str, Any]:
    """Return the arguments of a route that describe it.

    The framework does not validate such a route: bodies are checked by the models named here,
    or by hand where every search goes by, and refused in the words of the client's API.

    Args:
        request: the model of the body, or a union of models; none of them nests another.
        answer: the model of the answer.
        refusals: the model of a refusal.
        statuses: refusals besides the usual ones, or in other words.
    """
    told = {**_REFUSALS, **(statuses or {})}
    return {
        "responses": {
            200: {"model": answer},
            **{
                status: {"model": refusals, "description": words}
                for status, words in sorted(told.items())
            },
        },
        "openapi_extra": {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _schema(request)}},
            }
        },
    }


def _schema(kind: Any) -> dict[str, Any]:
    schema = TypeAdapter(kind).json_schema()
    definitions = schema.pop("$defs", {})
    if "anyOf" in schema:
        named = (option["$ref"].rpartition("/")[2] for option in schema["anyOf"])
        schema["anyOf"] = [definitions[name] for name in named]
    return schema


def describe(app: FastAPI) -> None:
    """Let an application tell its schema as it is: its refusals, its token, its request ids."""

    def schema() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    description=app.description,
                    routes=app.routes,
                )
            )
        return app.openapi_schema

    app.openapi = schema  # type: ignore[method-assign] # the framework's own way


def _complete(schema: dict[str, Any]) -> dict[str, Any]:
    components = schema.setdefault("components", {})
    components["securitySchemes"] = {
        _SCHEME: {
            "type": "http",
            "scheme": "bearer",
            "description": "Asked for where the service was started with FUNNEL_SERVICE_TOKEN.",
        }
    }
    components["parameters"] = {
        "request_id": {
            "name": "x-request-id",
            "in": "header",
            "required": False,
            "description": "1 to 64 of `A-Z a-z 0-9 . _ : -`; logged, and sent back.",
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._:-]{1,64}$"},
        }
    }
    for path, operations in schema["paths"].items():
        for operation in operations.values():
            # The framework announces its own refusal of parameters; none here can be refused.
            if _VALIDATION in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
            reference = {"$ref": "#/components/parameters/request_id"}
            operation["parameters"] = [*operation.get("parameters", ()), reference]
            if path not in OPEN_PATHS:
                operation["security"] = [{}, {_SCHEME: []}]
                operation["responses"]["401"] = {"description": "The token is missing or wrong."}
    if _VALIDATION not in str(schema["paths"]):
        for name in (_VALIDATION, "ValidationError"):
            components.get("schemas", {}).pop(name, None)
    return schema
