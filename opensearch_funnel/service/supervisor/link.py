"""Connections to the worker: kept open, one request at a time on each."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, cast

import httptools

from opensearch_funnel.service.supervisor.reading import Header

logger = logging.getLogger(__name__)

# The worker closes a connection after 75 s of silence: ours has to be the first to give up, or a
# request could meet the worker's goodbye.
_MOST_IDLE_S = 30.0
_FIRST_FINAL = 200
_WITHOUT_BODY = frozenset({204, 304})


class Listener(Protocol):
    """Hears of an answer while it arrives."""

    def answer_began(self, status: int, headers: list[Header], *, chunked: bool) -> None:
        """Take the head."""

    def answer_part(self, part: bytes) -> None:
        """Take a part of the body."""

    def answer_ended(self) -> None:
        """Know that the answer is complete; nothing comes after it."""

    def answer_arrived(self) -> None:
        """Know that no more parts are at hand just now."""

    def answer_lost(self, why: str) -> None:
        """Know that the rest will not come; nothing comes after it."""


class Call:
    """A request that is with the worker."""

    __slots__ = ("connection", "head_only", "listener", "over", "request")

    def __init__(self, request: Iterable[bytes], listener: Listener, *, head_only: bool) -> None:
        self.request = request
        self.listener = listener
        self.head_only = head_only
        self.connection: WorkerConnection | None = None
        self.over = False

    def give_up(self) -> None:
        """Wait no longer: the listener hears nothing more."""
        if not self.over:
            self.over = True
            if self.connection is not None:
                # What still comes belongs to this answer: nothing else can use the connection.
                self.connection.abort()

    def pause(self) -> None:
        """Let the rest of the answer wait; nothing once there is no rest."""
        if self.connection is not None and not self.over:
            self.connection.pause()

    def resume(self) -> None:
        """Let the rest of the answer come."""
        if self.connection is not None and not self.over:
            self.connection.resume()

    def lose(self, why: str) -> None:
        """Tell the listener that the rest will not come."""
        if not self.over:
            self.over = True
            self.listener.answer_lost(why)


class WorkerConnection(asyncio.Protocol):
    """One connection to the worker."""

    def __init__(self, link: WorkerLink) -> None:
        self._link = link
        self._call: Call | None = None
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self.idle_since = 0.0
        self._parser = httptools.HttpResponseParser(self)
        self._status = 0
        self._headers: list[Header] = []
        self._complete = False
        self._reusable = False
        self._fault = ""

    @property
    def usable(self) -> bool:
        """Whether a request can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def begin(self, call: Call) -> None:
        """Send a request."""
        assert self._transport is not None  # noqa: S101 - connected before it is handed out
        self._call = call
        call.connection = self
        self.resume()  # whoever asked before may not have read on
        self._transport.writelines(call.request)
        call.request = ()  # sent: what is still needed of it, the transport keeps

    def abort(self) -> None:
        """Close at once."""
        self._call = None
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """Read no more for now."""
        if self.usable and not self._paused:
            self._paused = True
            cast("asyncio.Transport", self._transport).pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            if self.usable:
                cast("asyncio.Transport", self._transport).resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be connected."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell who waits that the worker has gone."""
        del exc
        self._link.forget(self)
        self._fail("the worker closed the connection")

    def data_received(self, data: bytes) -> None:
        """Take what the worker sends."""
        self._link.heard()
        call = self._call
        if call is None:
            self.abort()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if isinstance(error, httptools.HttpParserCallbackError):
                logger.exception("an answer of the worker could not be passed on")
            self._fail(f"the worker's answer is no HTTP: {error}")
            return
        if call.over:
            return
        if self._fault:
            self._fail(self._fault)
        elif self._complete:
            # Before anybody hears of it: the next request on this connection may be of somebody
            # else, whom a listener that reads slowly must not keep from the answer.
            call.over, call.connection, self._call = True, None, None
            if self._reusable:
                self.resume()
                self._status, self._headers, self._complete = 0, [], False
                self._link.take_back(self)
            else:
                self.abort()
            call.listener.answer_ended()
        else:
            call.listener.answer_arrived()

    def _fail(self, why: str) -> None:
        call, self._call = self._call, None
        self.abort()
        if call is not None:
            call.lose(why)

    def on_message_begin(self) -> None:
        """Begin an answer."""
        if self._complete:
            self._fault = "the worker answered twice"
        self._status, self._headers = 0, []

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind a chunked body is dropped."""
        if not self._status:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """Pass the head on, unless it is of an answer before the answer (1xx)."""
        status = self._parser.get_status_code()
        if self._call is None or self._fault or status < _FIRST_FINAL:
            return
        self._reusable = self._parser.should_keep_alive()
        names = {name for name, _ in self._headers}
        chunked = b"transfer-encoding" in names
        if self._call.head_only:
            # The parser does not know that no body follows, and waits for one.
            self._complete, self._reusable = True, False
        elif not chunked and b"content-length" not in names and status not in _WITHOUT_BODY:
            # It would end with the connection: nobody could tell it from half an answer.
            self._fault = "the worker's answer has no length"
            return
        self._status = status
        self._call.listener.answer_began(status, self._headers, chunked=chunked)

    def on_body(self, part: bytes) -> None:
        """Pass a part of the body on."""
        if self._call is not None and self._status and not self._complete:
            self._call.listener.answer_part(part)

    def on_message_complete(self) -> None:
        """End an answer."""
        self._complete = self._complete or self._status != 0


class WorkerLink:
    """The connections to one worker, at a path of the file system."""

    def __init__(self, path: Path, *, now: Callable[[], float]) -> None:
        """Make a link without a connection.

        Args:
            path: of the worker's socket.
            now: the event loop's clock.
        """
        self.path = path
        self._now = now
        self._open: set[WorkerConnection] = set()
        self._idle: list[WorkerConnection] = []
        self._connecting: set[asyncio.Task[None]] = set()
        self._closed = False
        self.heard_at = 0.0
        """When the worker last sent anything, by the event loop's clock."""

    def ask(self, request: Iterable[bytes], listener: Listener, *, head_only: bool = False) -> Call:
        """Send a request, given in parts; the listener hears of the answer."""
        call = Call(request, listener, head_only=head_only)
        while self._idle:
            connection = self._idle.pop()
            if connection.usable and self._now() - connection.idle_since < _MOST_IDLE_S:
                connection.begin(call)
                return call
            connection.abort()
        task = asyncio.get_running_loop().create_task(self._connect(call))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return call

    async def _connect(self, call: Call) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_unix_connection(
                lambda: WorkerConnection(self), str(self.path)
            )
        except OSError as error:
            call.lose(f"the worker cannot be reached: {error.strerror or error}")
            return
        self._open.add(connection)
        if self._closed:
            connection.abort()
            call.lose("the worker has gone")
        elif call.over:
            self.take_back(connection)
        else:
            connection.begin(call)

    def heard(self) -> None:
        """Note a sign of life."""
        self.heard_at = self._now()

    def take_back(self, connection: WorkerConnection) -> None:
        """Keep a connection for the next request."""
        connection.idle_since = self._now()
        self._idle.append(connection)

    def forget(self, connection: WorkerConnection) -> None:
        """Drop a connection that has ended."""
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        """End every connection; what is still asked is lost."""
        self._closed = True
        for connection in list(self._open):
            connection.connection_lost(None)
        self._idle.clear()


class WholeAnswer:
    """Collects an answer; for those that the supervisor reads itself."""

    def __init__(self, done: Callable[[int, Sequence[Header], bytes], None]) -> None:
        """Make a listener.

        Args:
            done: gets status, headers and body; status 0 where no answer came.
        """
        self._done = done
        self._status = 0
        self._headers: list[Header] = []
        self._parts: list[bytes] = []

    def answer_began(self, status: int, headers: list[Header], *, chunked: bool) -> None:
        """Keep the head."""
        del chunked
        self._status, self._headers = status, headers

    def answer_part(self, part: bytes) -> None:
        """Keep a part of the body."""
        self._parts.append(part)

    def answer_arrived(self) -> None:
        """Wait for the end."""

    def answer_ended(self) -> None:
        """Hand the answer over."""
        self._done(self._status, self._headers, b"".join(self._parts))

    def answer_lost(self, why: str) -> None:
        """Say that there is none."""
        del why
        self._done(0, [], b"")
