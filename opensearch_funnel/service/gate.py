"""What every request passes first: its id, the token, the size of its body; and its count."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import orjson

from opensearch_funnel.service.answers import refused_for
from opensearch_funnel.service.exchange import (
    Exchange,
    begin_exchange,
    current_exchange,
    note_refused,
    usable_request_id,
)
from opensearch_funnel.service.forms import PIPELINE
from opensearch_funnel.service.metrics import Metrics
from opensearch_funnel.service.page.routes import PAGE_PATHS

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BYTES = 16 * 2**20
"""Of a request's body."""
OPEN_PATHS = frozenset({"/health", "/ready"}) | PAGE_PATHS
"""Answered without a token: a supervisor has none, a browser has none before its page has asked
for one, and they say nothing of anybody's data."""

_REQUEST_ID = b"x-request-id"
_UNAUTHORIZED, _FAILED = 401, 500


class Gate:
    """An ASGI application around another one.

    Not one of the framework's own middlewares, which put a task and a stream around each request.
    """

    def __init__(
        self,
        app: Application,
        *,
        metrics: Metrics,
        token: str | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Make the gate.

        Args:
            app: what is behind it.
            metrics: where requests are counted.
            token: what a request must show; nothing if not given.
            most_bytes: the largest body.
        """
        self._app = app
        self._metrics = metrics
        self._wanted = None if token is None else f"Bearer {token}".encode()
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = scope["headers"]
        given = _header(headers, _REQUEST_ID)
        exchange = Exchange(
            request_id=usable_request_id(None if given is None else given.decode("latin-1")),
            path=scope["path"],
            counters=self._metrics,
        )
        begin_exchange(exchange)
        status = _FAILED

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                shown = current_exchange().request_id.encode()
                message["headers"] = [*message.get("headers", ()), (_REQUEST_ID, shown)]
            await send(message)

        try:
            if self._may_pass(scope["path"], headers):
                bounded = _bounded(receive, headers=headers, most_bytes=self._most_bytes)
                await self._app(scope, bounded, answer)
            else:
                await _refuse_unauthorized(answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(route=route, status=status)

    def _may_pass(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        if self._wanted is None or path in OPEN_PATHS:
            return True
        return hmac.compare_digest(_header(headers, b"authorization") or b"", self._wanted)


def _bounded(
    receive: Receive, *, headers: Iterable[tuple[bytes, bytes]], most_bytes: int
) -> Receive:
    """Return a body that ends early when it is too large; a refusal where it is read."""
    announced = _header(headers, b"content-length") or b""
    taken = int(announced) if announced.isdigit() else 0
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive() if taken <= most_bytes else {"type": "http.request"}
        received += len(message.get("body", b""))
        if max(taken, received) > most_bytes:
            raise refused_for("too_large", f"the body is larger than {most_bytes} bytes")
        return message

    return bounded


async def _refuse_unauthorized(answer: Send) -> None:
    reason = "this service wants its token: Authorization: Bearer …"
    note_refused("unauthorized", status=_UNAUTHORIZED, detail="no token, or a wrong one")
    # Cohere's clients read ``message``, the others ``error``.
    content = {**PIPELINE.body(reason, "unauthorized", _UNAUTHORIZED), "message": reason}
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
    await answer({"type": "http.response.start", "status": _UNAUTHORIZED, "headers": headers})
    await answer({"type": "http.response.body", "body": orjson.dumps(content)})


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)
