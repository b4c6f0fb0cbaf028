"""What every group of routes shares: JSON in, JSON out, and a request that ends early."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson
from fastapi import Request, Response
from pydantic import BaseModel, ValidationError

from opensearch_funnel.core.errors import (
    EngineError,
    FunnelError,
    InputError,
    StageUnavailableError,
)
from opensearch_funnel.service.exchange import (
    Cause,
    current_exchange,
    note_refused,
    without_query,
)
from opensearch_funnel.service.forms import RETRY_AFTER_S
from opensearch_funnel.service.model_shelf import UnknownModelError
from opensearch_funnel.service.pools import DeadlineError, StageBusyError, StagePool

Result = TypeVar("Result")
Model = TypeVar("Model", bound=BaseModel)

_COME_AGAIN = frozenset({429, 503})


class Refused(Exception):  # noqa: N818 - an answer, not an error of this program
    """A request ends here, with this status and reason.

    Attributes:
        status: of the answer.
        cause: one of a fixed set, for the metrics and the log.
        expected: whether somebody mistyped, which is nothing to warn of.
        logged: the reason as the log may hold it: without anything of the query.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        *,
        cause: Cause | None = None,
        expected: bool = False,
        logged: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.logged = reason if logged is None else logged
        self.status = status
        self.cause: Cause = cause or _CAUSES.get(status, "failed")
        self.expected = expected


_CAUSES: dict[int, Cause] = {
    400: "invalid",
    404: "unknown_route",
    413: "too_large",
    429: "busy",
    503: "unavailable",
}


def refused_for(cause: Cause, reason: str, *, logged: str | None = None) -> Refused:
    """Return the refusal of the current request, with the status that its API has for a cause."""
    return Refused(current_exchange().form.status(cause), reason, cause=cause, logged=logged)


async def refusal(request: Request, error: Exception) -> Response:
    """Answer a request that was refused, and log it: the only place that does."""
    del request
    assert isinstance(error, Refused)  # noqa: S101 - it is registered for nothing else
    cause, status = error.cause, error.status
    # What nobody planned for is a bug: its origin goes to the log, in the same record.
    origin = error.__cause__ if cause == "failed" else None
    note_refused(cause, status=status, detail=error.logged, expected=error.expected, origin=origin)
    form = current_exchange().form
    answer = json_answer(form.body(str(error), cause, status), status=status)
    if status in _COME_AGAIN:
        answer.headers["retry-after"] = str(RETRY_AFTER_S)
    return answer


async def read_json(request: Request) -> Any:
    """Return what a request's body says.

    Raises:
        Refused: it is no JSON, nested too deeply, or too large.
    """
    body = await request.body()
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise refused_for("invalid", f"the body is not JSON: {error}") from error


async def read_object(request: Request) -> dict[str, Any]:
    """Return a request's body, which must be a JSON object.

    Raises:
        Refused: it is something else.
    """
    content = await read_json(request)
    if not isinstance(content, dict):
        raise refused_for("invalid", "the body must be a JSON object")
    return content


def field(content: dict[str, Any], name: str, kind: type[Result]) -> Result:
    """Return a field of a body, which must be there and of this type.

    Raises:
        Refused: it is not.
    """
    value = content.get(name)
    if not isinstance(value, kind):
        raise refused_for("invalid", f"{name} is missing, or not a {kind.__name__}")
    return value


def parsed(kind: type[Model], content: Any) -> Model:
    """Return a body as what it has to be.

    Raises:
        Refused: it is not; names the first field that is wrong, and nothing of its content.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        # The branches of a union are part of the path, and say nothing to who wrote the field.
        path = ".".join(str(part) for part in first["loc"] if "[" not in str(part))
        raise refused_for("invalid", f"{path or 'the body'}: {first['msg']}") from error


async def run_stage(
    pool: StagePool,
    work: Callable[[], Result],
    *,
    within_ms: int,
    request: Request | None = None,
) -> Result:
    """Run a stage; whatever happens to it becomes an answer.

    Args:
        pool: where it runs.
        work: what runs.
        within_ms: when it is given up, in milliseconds.
        request: given up, too, when whoever sent this request has gone; its body must have been
            read.

    Raises:
        Refused: the stage did not answer in time, or failed.
    """
    running = pool.run(work, within_ms=within_ms)
    with refusing():
        return await (running if request is None else _unless_gone(request, running))


@contextmanager
def refusing() -> Iterator[None]:
    """Turn whatever happens in the context into the refusal of the current request."""
    try:
        yield
    except Refused:
        raise
    except Exception as error:
        cause = next((cause for kind, cause in _CAUSES_OF_ERRORS if isinstance(error, kind)), None)
        if cause is not None:
            raise refused_for(cause, str(error), logged=without_query(error)) from error
        raise refused_for("failed", f"{type(error).__name__}: {error}") from error


_CAUSES_OF_ERRORS: tuple[tuple[type[Exception], Cause], ...] = (
    (StageBusyError, "busy"),
    (DeadlineError, "deadline"),
    (StageUnavailableError, "unavailable"),
    (EngineError, "engine"),
    (UnknownModelError, "unknown_model"),
    (InputError, "invalid"),
    (FunnelError, "failed"),
)
"""The first kind that fits counts."""


async def _unless_gone(request: Request, running: Any) -> Any:
    """Wait for a stage while somebody waits for its answer."""
    stage = asyncio.ensure_future(running)
    gone = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({stage, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not stage.done():
            raise refused_for("gone", "the client has gone")
        return await stage
    finally:
        for each in (stage, gone):
            each.cancel()


def json_answer(content: Any, *, status: int = 200) -> Response:
    """Return an answer of JSON types; arrays are written as lists."""
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    return Response(body, status_code=status, media_type="application/json")
