"""What the connections of clients share: what they know, count, log and say."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from secrets import token_hex
from typing import Any, Protocol

from opensearch_funnel.service.supervisor import counts as counting
from opensearch_funnel.service.supervisor.answers import as_json, json_headers, passed_on
from opensearch_funnel.service.supervisor.counts import Counts, Reason
from opensearch_funnel.service.supervisor.deadlines import Deadlines
from opensearch_funnel.service.supervisor.link import WorkerLink
from opensearch_funnel.service.supervisor.reading import Header, Limits, Request

logger = logging.getLogger(__name__)

_SWEEP_S = 1.0
_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")
# The engine passes no header on to the second call of a search: its id is in the rank context.
_ID_IN_BODY = re.compile(rb'"request"\s*:\s*"([A-Za-z0-9._:-]{1,64})"')
_STAGE = re.compile(rb"/v1/plans/[^/]+/(rewrite|rank|embed|encode)")
_ID_BYTES = 8
_REFUSED = frozenset({401, 403})


class WorkerState(Protocol):
    """What is known of the worker."""

    @property
    def link(self) -> WorkerLink | None:
        """Where it can be asked; ``None`` where that makes no sense now."""

    @property
    def unavailable(self) -> tuple[Reason, str]:
        """Why it cannot be asked: for counting, and for people."""


@dataclass(slots=True, kw_only=True)
class Front:
    """What all connections of clients share."""

    worker: WorkerState
    counts: Counts
    identity: dict[str, str]
    """What the service is; part of the supervisor's own answer to ``/health``."""
    limits: Limits
    token: str | None = None
    """What a request for ``/metrics`` must show; nothing if not given."""
    deadlines: Deadlines = field(default_factory=Deadlines)
    connections: set[Connection] = field(default_factory=set)
    calls: int = 0
    held: int = 0
    """Bytes of requests that all connections keep."""
    stopping: bool = False
    emptied: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last connection has ended after ``stopping``."""

    async def sweep(self) -> None:
        """End connections that wait for nothing, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_SWEEP_S)
            for connection in list(self.connections):
                connection.end_if_stuck(loop.time())

    async def drain(self, *, within_s: float) -> None:
        """End every connection as soon as its request is answered, and all of them in time."""
        self.stopping = True
        for connection in list(self.connections):
            connection.end_if_idle()
        if self.connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.emptied.wait(), within_s)
        for connection in list(self.connections):
            connection.abort()

    def log(self, request: Request, reason: Reason, detail: str, *, request_id: bytes) -> None:
        """Log a 503 in one line; a search that lost a stage is worth a warning."""
        found = _STAGE.fullmatch(request.path)
        of_search = _ID_IN_BODY.search(request.body) if found and found[1] == b"rank" else None
        logger.log(
            logging.WARNING if found else logging.INFO,
            "request=%s stage=%s reason=%s status=503 path=%s: %s",
            (of_search[1] if of_search else request_id).decode(),
            found[1].decode() if found else "request",
            reason,
            request.path.decode("latin-1"),
            detail,
        )

    def unavailable_content(self, request: Request, reason: Reason, detail: str) -> dict[str, Any]:
        """Return what a 503 says; ``/health`` also says what it is that cannot answer."""
        # Cohere's clients read "message", the engine's log shows all of it.
        content: dict[str, Any] = {"error": detail, "message": detail, "reason": reason}
        if request.path == b"/ready":
            return {"ready": False, **content}
        return {**self.identity, **content} if request.path == b"/health" else content

    def metrics_answer(
        self, request: Request, status: int, headers: Sequence[Header], body: bytes
    ) -> tuple[int, list[Header], bytes]:
        """Return the answer to ``/metrics``, given the worker's: its text, then the own one.

        Without the worker, nobody else has asked for the token.
        """
        if status in _REFUSED:
            return status, passed_on(headers), body
        if not self._may_see(request):
            reason = "this service wants its token: Authorization: Bearer …"
            content = {"error": reason, "message": reason, "reason": "unauthorized"}
            refused = HTTPStatus.UNAUTHORIZED
            asked = [*json_headers(refused), (b"www-authenticate", b"Bearer")]
            return refused, asked, as_json(content)
        own = self.counts.text(worker_up=self.worker.link is not None).encode()
        kind = next((v for k, v in headers if k == b"content-type"), counting.CONTENT_TYPE)
        if status == HTTPStatus.OK:
            return HTTPStatus.OK, [(b"content-type", kind)], body + own
        return HTTPStatus.OK, [(b"content-type", counting.CONTENT_TYPE)], own

    def _may_see(self, request: Request) -> bool:
        if self.token is None:
            return True
        shown = request.header(b"authorization") or b""
        return hmac.compare_digest(shown, f"Bearer {self.token}".encode())


class Connection(Protocol):
    """A client's connection, as far as all of them are looked after together."""

    def end_if_stuck(self, now: float) -> None:
        """End the connection where the client has kept it waiting for too long."""

    def end_if_idle(self) -> None:
        """End the connection unless a request is on its way."""

    def abort(self) -> None:
        """End the connection, whatever is on its way."""


def is_metrics(request: Request) -> bool:
    """Say whether a request is one that the supervisor answers together with the worker."""
    return request.path == b"/metrics" and request.method in {b"GET", b"HEAD"}


def request_id_of(request: Request) -> bytes:
    """Return the id that a client gave, where it can be logged and sent back; else a new one."""
    given = request.header(b"x-request-id")
    if given is not None and _ID.fullmatch(given):
        return given
    return token_hex(_ID_BYTES).encode()
