"""Requests out of the bytes of a connection: HTTP/1.1, within limits, without I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

import httptools

Header = tuple[bytes, bytes]

_SHOWN_BYTES = 80
_EMPTY_REQUEST_BYTES = 512
"""What a request takes in memory, beyond its head and body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is taken from clients at most; in bytes, but for what is counted."""

    head: int = 64 * 1024
    headers: int = 128
    """How many, not how long."""
    body: int = 16 * 2**20
    """As much as the worker takes."""
    held: int = 256 * 2**20
    """Requests of all connections together, from their first byte to their answer."""
    share: int = 64 * 1024
    """What one connection may hold even when all of them together hold too much: searches are
    small, and go on while somebody sends bodies without end."""
    connections: int = 1024
    """How many."""


@dataclass(slots=True, kw_only=True)
class Request:
    """A request that came in whole."""

    method: bytes
    target: bytes
    headers: list[Header]
    """Names in lower case; in the order in which they came."""
    version: str
    keep_alive: bool
    body: bytes
    size: int = 0
    """Bytes that it takes in memory, more or less."""

    @property
    def path(self) -> bytes:
        """The target without its query."""
        return self.target.partition(b"?")[0]

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header, or ``None``."""
        return next((value for given, value in self.headers if given == name), None)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What came is not passed on; the connection ends after this answer."""

    status: int
    reason: str


class RequestReader:
    r"""Reads the requests of one connection, one after the other.

    Example:
        >>> reader = RequestReader()
        >>> reader.feed(b"POST /rank HTTP/1.1\r\nContent-Length: 2\r\n\r\n{")
        []
        >>> [request] = reader.feed(b"}")
        >>> request.method, request.path, request.body
        (b'POST', b'/rank', b'{}')
        >>> reader.feed(b"hello\r\n")[0].status
        400
    """

    def __init__(
        self, *, limits: Limits | None = None, clock: Callable[[], float] = monotonic
    ) -> None:
        self._limits = limits or Limits()
        self._clock = clock
        self._parser = httptools.HttpRequestParser(self)
        self._found: list[Request | Refusal] = []
        self._refused = False
        self._partial = 0
        self.in_head = False
        """Whether a request has begun whose head is not complete."""
        self.in_body = False
        """Whether a request's head is complete, and its body is not."""
        self.wants_continue = False
        """Whether the client waits for a ``100 Continue`` before it sends the body."""
        self.began = 0.0
        """When the first byte of the last request came, by the reader's clock."""
        self._start()

    @property
    def held(self) -> int:
        """Bytes that are kept of a request that is not complete."""
        if self._refused or not (self.in_head or self.in_body):
            return 0
        return max(self._head_bytes, self._partial) + len(self._body)

    def stop(self) -> None:
        """Ignore whatever still comes, and keep nothing of what came."""
        self._refused = True
        self.in_head = self.in_body = self.wants_continue = False
        self._start()

    def feed(self, arrived: bytes) -> list[Request | Refusal]:
        """Take bytes as they arrive and return what became complete by them.

        A refusal is the last thing that comes: whatever follows it is ignored.
        """
        if self._refused:
            return []
        try:
            self._parser.feed_data(arrived)
        except httptools.HttpParserUpgrade:
            self._refuse(501, "the protocol of a connection cannot be changed here")
        except httptools.HttpParserError as error:
            self._refuse(400, f"this is no HTTP/1.1 request: {error}")
        if self.in_head and not self._found:
            # The parser keeps a header until its end: one that never ends must not fill memory.
            # Where another request ended in the same bytes, they are not all of this head.
            self._partial += len(arrived)
            if self._partial > self._limits.head:
                self._refuse(431, f"the head is longer than {self._limits.head} bytes")
        found, self._found = self._found, []
        return found

    def _start(self) -> None:
        self._target = b""
        self._headers: list[Header] = []
        self._head_bytes = 0
        # Not a list of parts: a part of one byte takes forty of them.
        self._body = bytearray()
        self._partial = 0

    def _refuse(self, status: int, reason: str) -> None:
        if not self._refused:
            self.stop()
            self._found.append(Refusal(status, reason))

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._start()
        self.in_head = not self._refused
        self.began = self._clock()

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self._target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; one behind a chunked body is counted and dropped."""
        self._count_head(len(name) + len(value))
        if self.in_head:
            self._headers.append((name.lower(), value))
            if len(self._headers) > self._limits.headers:
                self._refuse(431, f"there are more than {self._limits.headers} headers")

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._limits.head:
            self._refuse(431, f"the head is longer than {self._limits.head} bytes")

    def on_headers_complete(self) -> None:
        """Decide by the head alone whether the body is worth waiting for."""
        if self._refused:
            return
        self.in_head, self.in_body = False, True
        for name, value in self._headers:
            if name == b"content-length" and int(value) > self._limits.body:
                self._refuse_body()
            elif name == b"expect":
                if value.lower() == b"100-continue":
                    self.wants_continue = True
                else:
                    self._refuse(417, f"not understood: Expect: {_shown(value)}")

    def on_body(self, part: bytes) -> None:
        """Take a part of the body."""
        if self._refused:
            return
        self.wants_continue = False
        if len(self._body) + len(part) > self._limits.body:
            self._refuse_body()
        else:
            self._body += part

    def _refuse_body(self) -> None:
        self._refuse(413, f"the body is longer than {self._limits.body} bytes")

    def on_message_complete(self) -> None:
        """End a request."""
        if self._refused:
            return
        self.in_body = self.wants_continue = False
        self._found.append(
            Request(
                method=self._parser.get_method(),
                target=self._target,
                headers=self._headers,
                version=self._parser.get_http_version(),
                keep_alive=self._parser.should_keep_alive(),
                body=bytes(self._body),
                size=_EMPTY_REQUEST_BYTES + self._head_bytes + len(self._body),
            )
        )
        self._body = bytearray()


def _shown(value: bytes) -> str:
    return value[:_SHOWN_BYTES].decode("latin-1")
