"""What every request passes first: its id, host, token, the size of its body; and its count."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any
from urllib.parse import quote

import orjson

from opensearch_funnel.service.answers import refused_for
from opensearch_funnel.service.exchange import (
    Exchange,
    begin_exchange,
    current_exchange,
    note_refused,
    usable_request_id,
)
from opensearch_funnel.service.host_names import answers_to
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
for one, and they say nothing of anybody's data. ``/ready`` says less without one."""

_REQUEST_ID = b"x-request-id"
_UNAUTHORIZED, _MISDIRECTED, _FAILED = 401, 421, 500
_HEARTBEAT = ("/health", "worker")
"""What the supervisor asks its worker, and the host that it names: a worker has no address."""


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
        service_url: str | None = None,
        most_bytes: int = MOST_BYTES,
    ) -> None:
        """Make the gate.

        Args:
            app: what is behind it.
            metrics: where requests are counted.
            token: what a request must show; nothing if not given.
            service_url: where callers reach the service; its host may be asked for besides
                those of loopback. With a token any host may be.
            most_bytes: the largest body.
        """
        self._app = app
        self._metrics = metrics
        self._wanted = None if token is None else f"Bearer {token}".encode()
        self._service_url = service_url
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
            # Quoted again: what a client sent must not break the line of the log.
            path=quote(scope["path"]),
            trusted=self._shows_token(headers),
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
            if not self._is_asked_for(scope["path"], headers):
                await _refuse_misdirected(answer, _header(headers, b"host"))
            elif exchange.trusted or scope["path"] in OPEN_PATHS:
                bounded = _bounded(receive, headers=headers, most_bytes=self._most_bytes)
                await self._app(scope, bounded, answer)
            else:
                await _refuse_unauthorized(answer)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(route=route, status=status)

    def _is_asked_for(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Say whether a request names this service, which only matters without a token."""
        if self._wanted is not None:
            return True
        host = (_header(headers, b"host") or b"").decode("latin-1")
        return answers_to(host, service_url=self._service_url) or (path, host) == _HEARTBEAT

    def _shows_token(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        if self._wanted is None:
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
    await _refuse(answer, reason, status=_UNAUTHORIZED, headers=((b"www-authenticate", b"Bearer"),))


async def _refuse_misdirected(answer: Send, host: bytes | None) -> None:
    reason = (
        "this service has no token and answers only to 127.0.0.1, localhost and the host of "
        "FUNNEL_SERVICE_URL: ask it there, or set that or FUNNEL_SERVICE_TOKEN for the service"
    )
    asked = "none" if host is None else quote(host)
    note_refused("misdirected", status=_MISDIRECTED, detail=f"asked for the host {asked}")
    await _refuse(answer, reason, status=_MISDIRECTED)


async def _refuse(
    answer: Send, reason: str, *, status: int, headers: Iterable[tuple[bytes, bytes]] = ()
) -> None:
    # Cohere's clients read ``message``, the others ``error``.
    body = orjson.dumps({"error": reason, "message": reason})
    told = [(b"content-type", b"application/json"), *headers]
    await answer({"type": "http.response.start", "status": status, "headers": told})
    await answer({"type": "http.response.body", "body": body})


def _header(headers: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    return next((value for key, value in headers if key == name), None)
