"""How a refusal looks in each of the APIs that the service speaks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

RETRY_AFTER_S = 1
"""When a client that was turned away may come again, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """The refusals of one API.

    Attributes:
        body: makes the answer's body of the reason, its cause and the status.
        statuses: the status of each cause that differs from the usual one.
    """

    body: Callable[[str, str, int], dict[str, Any]]
    statuses: Mapping[str, int] = field(default_factory=dict)

    def status(self, cause: str) -> int:
        """Return the HTTP status of a cause.

        Example:
            >>> PIPELINE.status("busy"), COHERE.status("busy")
            (503, 429)
        """
        return self.statuses.get(cause, _USUAL[cause])


_USUAL = {
    "invalid": 400,
    "empty": 400,
    "unauthorized": 401,
    "misdirected": 421,
    "unknown_model": 404,
    "unknown_route": 404,
    "too_large": 413,
    "too_many": 413,
    "not_ready": 503,
    "busy": 429,
    "deadline": 503,
    "gone": 499,
    "engine": 503,
    "unavailable": 503,
    "failed": 500,
}

PIPELINE = Form(
    body=lambda reason, _cause, _status: {"error": reason},
    # The engine takes every status the same way; 503 is what its own log calls a busy service.
    statuses={"busy": 503},
)
"""The search pipeline, the page, and whatever has no API of its own."""

COHERE = Form(body=lambda reason, _cause, _status: {"message": reason}, statuses={"too_many": 400})
"""See https://docs.cohere.com/reference/errors."""

_TEI_TYPES = {
    "invalid": "validation",
    "too_large": "validation",
    "too_many": "validation",
    "empty": "empty",
    "unknown_model": "backend",
    "busy": "overloaded",
}

TEI = Form(
    body=lambda reason, cause, _status: {
        "error": reason,
        "error_type": _TEI_TYPES.get(cause, "backend"),
    },
    statuses={"invalid": 422, "unknown_model": 424, "unavailable": 424, "failed": 424},
)
"""Text Embeddings Inference; see https://huggingface.github.io/text-embeddings-inference/."""

_OPENAI_TYPES = {429: "rate_limit_error", 500: "server_error", 503: "server_error"}

OPENAI = Form(
    body=lambda reason, cause, status: {
        "error": {
            "message": reason,
            "type": _OPENAI_TYPES.get(status, "invalid_request_error"),
            "param": None,
            "code": cause,
        }
    },
    statuses={"too_many": 400},
)
"""See https://platform.openai.com/docs/guides/error-codes."""
