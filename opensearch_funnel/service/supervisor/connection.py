"""One connection of a client: a request goes to the worker, or is answered here."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from typing import cast

from opensearch_funnel.service.supervisor.answers import (
    CONTINUE,
    LAST_CHUNK,
    answer_head,
    as_json,
    forwarded_request,
    json_headers,
    passed_on,
    whole_answer,
)
from opensearch_funnel.service.supervisor.counts import Reason
from opensearch_funnel.service.supervisor.front import Front, is_metrics, request_id_of
from opensearch_funnel.service.supervisor.late import LateAnswer
from opensearch_funnel.service.supervisor.link import Call, WholeAnswer
from opensearch_funnel.service.supervisor.reading import (
    Header,
    Refusal,
    Request,
    RequestReader,
)

logger = logging.getLogger(__name__)

MOST_CALLS = 512
"""Requests that are with the worker at once; it refuses most of them itself before that."""
HEAD_S, BODY_S, IDLE_S, UNREAD_S = 10.0, 60.0, 75.0, 60.0
"""How long a client may take: for a head, for a body, between requests, and to read an answer."""
LINGER_S = 3.0
"""How long a client may go on sending what was refused: a connection that is closed before may
take the refusal with it."""
_TOO_MANY = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
_TOO_MUCH = Refusal(HTTPStatus.SERVICE_UNAVAILABLE, "too many large requests at once: ask again")


class ClientConnection(asyncio.Protocol):
    """One connection of a client; also the listener of the answer that it waits for."""

    def __init__(self, front: Front) -> None:
        self._front = front
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(limits=front.limits, clock=self._loop.time)
        self._waiting: deque[Request | Refusal] = deque()
        self._request: Request | None = None
        self._request_id = b""
        self._call: Call | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._out: list[bytes] = []
        self._began = self._chunked = self._paused = self._continued = False
        self._last_activity = self._loop.time()
        self._unread_since: float | None = None
        self._refused_at: float | None = None
        self._taking_up = False
        self._held = 0
        self._free_since = self._loop.time()

    # The client's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be connected; one too many is told so."""
        self._transport = cast("asyncio.Transport", transport)
        self._front.connections.add(self)
        if len(self._front.connections) > self._front.limits.connections:
            self._refuse(_TOO_MANY)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ask the worker no more: nobody is there to hear the answer."""
        del exc
        self._front.connections.discard(self)
        if self._front.stopping and not self._front.connections:
            self._front.emptied.set()
        self._waiting.clear()
        self._reader.stop()  # it and its parser hold each other until they are found as garbage
        if self._call is not None:
            self._call.give_up()
        self._settle()
        self._hold(-self._held)

    def data_received(self, data: bytes) -> None:
        """Take what the client sends; after a refusal, only off the wire."""
        if self._refused_at is not None:
            return
        self._last_activity = self._loop.time()
        before = self._reader.held
        found = self._reader.feed(data)
        came = sum(one.size for one in found if isinstance(one, Request))
        self._waiting.extend(found)
        self._hold(came + self._reader.held - before)
        limits = self._front.limits
        if self._held > limits.share and self._front.held > limits.held:
            self._turn_away()
        self._next()
        if self._waiting and not self._paused and not self._transport.is_closing():
            # Requests sent ahead wait in the kernel, and not here.
            self._paused = True
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        """Hold the worker's answer back: the client reads slowly."""
        self._unread_since = self._loop.time()
        if self._call is not None:
            self._call.pause()

    def resume_writing(self) -> None:
        """Let it come again, or the next one."""
        self._unread_since = None
        self._free_since = self._loop.time()
        if self._call is not None:
            self._call.resume()
        self._next()

    def end_if_stuck(self, now: float) -> None:
        """End the connection where the client has kept it waiting for too long."""
        closing = self._transport.is_closing()
        if self._refused_at is not None and now - self._refused_at > LINGER_S:
            self.abort()
        elif self._unread_since is not None or closing:
            if now - (self._unread_since or self._last_activity) > UNREAD_S:
                self.abort()
        elif self._request is None:
            if self._reader.in_head:
                patience, since = HEAD_S, max(self._reader.began, self._free_since)
            elif self._reader.in_body:
                patience, since = BODY_S, max(self._reader.began, self._free_since)
            else:
                patience, since = IDLE_S, self._last_activity
            if now - since > patience:
                self._transport.close()

    def end_if_idle(self) -> None:
        """End the connection unless a request is on its way."""
        if self._request is None and not self._reader.in_head and not self._reader.in_body:
            self._transport.close()

    def abort(self) -> None:
        """End the connection, whatever is on its way."""
        self._transport.abort()

    def _next(self) -> None:
        """Take up the requests that came in whole, as long as they are answered at once."""
        if self._taking_up or self._refused_at is not None:
            return  # the loop below goes on when the answer that is being given is out
        self._taking_up = True
        while (
            self._request is None
            and self._waiting
            # Answers that nobody reads would pile up here.
            and self._unread_since is None
            and not self._transport.is_closing()
        ):
            following = self._waiting.popleft()
            if isinstance(following, Refusal):
                self._refuse(following)
            else:
                self._forward(following)
        self._taking_up = False
        if self._request is not None or self._waiting or self._transport.is_closing():
            return
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._reader.wants_continue and not self._continued and self._refused_at is None:
            self._continued = True
            self._transport.write(CONTINUE)

    def _hold(self, change: int) -> None:
        """Count bytes of requests that are kept, or no longer."""
        self._held += change
        self._front.held += change

    def _turn_away(self) -> None:
        """Let go of what the client has sent and waits for no answer yet; say so in its turn."""
        self._reader.stop()
        self._waiting = deque([_TOO_MUCH])
        self._hold((self._request.size if self._request is not None else 0) - self._held)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer what is no request that can be passed on; the connection ends with that."""
        logger.info("refused (%d): %s", refusal.status, refusal.reason)
        if refusal.status == HTTPStatus.SERVICE_UNAVAILABLE:
            self._front.counts.unavailable("busy")
        answer = whole_answer(
            refusal.status,
            as_json({"error": refusal.reason}),
            headers=json_headers(refusal.status),
            version="1.1",
            keep_alive=False,
            head_only=False,
        )
        self._transport.write(answer)
        self._transport.write_eof()
        self._waiting.clear()
        self._hold(-self._held)
        self._refused_at = self._loop.time()

    def _forward(self, request: Request) -> None:
        front = self._front
        self._request, self._began, self._continued = request, False, False
        self._request_id = request_id_of(request)
        if front.stopping:
            self._unavailable("stopping", "the service is ending")
            return
        link = front.worker.link
        if link is None:
            self._unavailable(*front.worker.unavailable)
            return
        if front.calls >= MOST_CALLS:
            self._unavailable("busy", f"the worker has {front.calls} requests already")
            return
        # From now on, and not from its first byte: the client's upload, or its request before
        # this one, is no time of the worker's.
        allowed = front.deadlines.of(request.path)
        self._timer = self._loop.call_later(allowed, self._late, allowed)
        front.calls += 1
        # What the supervisor counts comes after what the worker counts.
        listener = WholeAnswer(self._metrics) if is_metrics(request) else self
        head_only = request.method == b"HEAD"
        message = forwarded_request(request, request_id=self._request_id)
        self._call = link.ask(message, listener, head_only=head_only)

    # The worker's side.

    def answer_began(self, status: int, headers: list[Header], *, chunked: bool) -> None:
        """Pass the head on."""
        request = self._request
        assert request is not None  # noqa: S101 - a call ends with its request
        self._front.deadlines.learn(request.path, headers)
        self._began = True
        self._chunked = chunked and request.version != "1.0" and request.method != b"HEAD"
        kept = passed_on(headers)
        if not chunked:
            kept += [header for header in headers if header[0] == b"content-length"]
        elif request.version != "1.0":
            kept.append((b"transfer-encoding", b"chunked"))
        else:
            request.keep_alive = False  # only the end of the connection tells where it ends
        self._out.append(
            answer_head(status, kept, version=request.version, keep_alive=self._keeps(request))
        )

    def answer_part(self, part: bytes) -> None:
        """Pass a part of the body on."""
        self._last_activity = self._loop.time()
        self._out.append(b"%x\r\n%b\r\n" % (len(part), part) if self._chunked else part)

    def answer_arrived(self) -> None:
        """Send what has come so far."""
        if self._out:
            self._transport.write(b"".join(self._out))
            self._out.clear()

    def answer_ended(self) -> None:
        """Send the rest, and take up the next request."""
        if self._chunked:
            self._out.append(LAST_CHUNK)
        self.answer_arrived()
        self._finish()

    def answer_lost(self, why: str) -> None:
        """Answer 503 where nothing was sent yet; half an answer can only be broken off."""
        self._unavailable("lost", why)

    def _metrics(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        request = self._request
        assert request is not None  # noqa: S101 - a call ends with its request
        self._answer(*self._front.metrics_answer(request, status, headers, body))

    def _late(self, allowed: float) -> None:
        """Wait no longer for the worker, unless its answer is coming in, and may take its time."""
        request = self._request
        assert request is not None  # noqa: S101 - the timer ends with its request
        deadlines = self._front.deadlines
        silence = self._loop.time() - self._last_activity
        if self._began and not deadlines.bounds_the_whole(request.path) and silence < allowed:
            self._timer = self._loop.call_later(allowed - silence, self._late, allowed)
            return
        self._unavailable("deadline", f"the worker did not answer within {allowed * 1000:.0f} ms")

    # Answers of the supervisor's own.

    def _unavailable(self, reason: Reason, detail: str) -> None:
        """Answer in place of the worker; log it, once."""
        request = self._request
        assert request is not None  # noqa: S101 - a call ends with its request
        call = self._call
        if is_metrics(request):
            if call is not None:
                call.give_up()
            self._metrics(0, [], b"")
            return
        self._front.counts.unavailable(reason)
        log = partial(self._front.log, request, reason, detail, request_id=self._request_id)
        if call is not None and not call.over and not self._began:
            LateAnswer(call, log=log)
        else:
            log()
        if self._began:
            self._transport.abort()
            return
        content = self._front.unavailable_content(request, reason, detail)
        status = HTTPStatus.SERVICE_UNAVAILABLE
        headers = [*json_headers(status), (b"x-request-id", self._request_id)]
        self._answer(status, headers, as_json(content))

    def _answer(self, status: int, headers: Sequence[Header], body: bytes) -> None:
        request = self._request
        assert request is not None  # noqa: S101 - there is no answer without a request
        answer = whole_answer(
            status,
            body,
            headers=headers,
            version=request.version,
            keep_alive=self._keeps(request),
            head_only=request.method == b"HEAD",
        )
        self._transport.write(answer)
        self._finish()

    def _keeps(self, request: Request) -> bool:
        request.keep_alive = request.keep_alive and not self._front.stopping
        return request.keep_alive

    def _finish(self) -> None:
        request = self._request
        self._settle()
        if request is not None and not request.keep_alive:
            self._transport.close()
        else:
            self._next()

    def _settle(self) -> None:
        """Forget the request that was answered, or that nobody waits for any more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._call is not None:
            self._front.calls -= 1
        if self._request is not None:
            self._hold(-self._request.size)
        self._request = self._call = self._timer = None
        self._out.clear()
        self._last_activity = self._free_since = self._loop.time()
