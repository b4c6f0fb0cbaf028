"""A proxy on loopback in front of a node, which does something at a chosen request.

What ends a process at every request that it makes, before the node has it or before the answer is
back, ends it everywhere that matters: between two requests nothing that others see changes.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te"}


@dataclass(frozen=True, slots=True)
class Point:
    """A request, and which side of it.

    Attributes:
        nth: counted from 1, of those that match.
        handed_on: whether the node has answered it when it happens.
        where: a pattern of ``METHOD path``.
    """

    nth: int
    handed_on: bool
    where: str = ""


@dataclass(slots=True)
class Ending:
    """What happens at a point, once; requests after it pass as they are."""

    point: Point | None = None
    happen: Callable[[], None] = lambda: None
    seen: list[str] = field(default_factory=list)
    happened: bool = False
    _matched: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def arm(self, point: Point | None, happen: Callable[[], None]) -> None:
        with self._lock:
            self.point, self.happen = point, happen
            self._matched, self.happened = 0, False
            self.seen.clear()

    def meets(self, request: str) -> bool:
        """Say whether this is the request."""
        with self._lock:
            self.seen.append(request)
            if self.point is None or self.happened or not re.search(self.point.where, request):
                return False
            self._matched += 1
            self.happened = self._matched == self.point.nth
            return self.happened


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    ending: Ending
    node: str
    open_sockets: set[socket.socket]

    def setup(self) -> None:
        super().setup()
        self.open_sockets.add(self.connection)
        address = urlsplit(self.node)
        self._upstream = HTTPConnection(address.hostname or "", address.port or 80, timeout=120)

    def finish(self) -> None:
        self.open_sockets.discard(self.connection)
        self._upstream.close()
        super().finish()

    def _any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        met = self.ending.meets(f"{self.command} {urlsplit(self.path).path}")
        point = self.ending.point
        if met and point is not None and not point.handed_on:
            self.ending.happen()
            self.close_connection = True
            return
        headers = {
            name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        self._upstream.request(self.command, self.path, body=raw or None, headers=headers)
        response = self._upstream.getresponse()
        body = response.read()
        if met:
            self.ending.happen()
        self.send_response(response.status)
        for name in ("content-type", "content-encoding"):
            if name in response.headers:
                self.send_header(name, response.headers[name])
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _any  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    # Ended with the proxy, so that no connection of theirs outlives it.
    daemon_threads = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: a process that is killed hangs up."""


@contextmanager
def ending_proxy(node_url: str) -> Iterator[tuple[str, Ending]]:
    """Stand between a process and a node.

    Yields:
        The address that the process uses instead of the node's, and what to arm.
    """
    open_sockets: set[socket.socket] = set()
    ending = Ending()
    members = {"ending": ending, "node": node_url, "open_sockets": open_sockets}
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), members))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield url, ending
    finally:
        server.shutdown()
        thread.join()
        for one in list(open_sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        server.server_close()
        _end_guards(url)


def _end_guards(url: str) -> None:
    """End the guards of killed processes: they would ask for an address that is gone for an hour.

    They ignore every signal that can be ignored.
    """
    for guard in guards_of(url):
        with suppress(OSError):
            os.kill(guard, signal.SIGKILL)


def guards_of(url: str) -> list[int]:
    """Name the processes that were told of an address by their environment; none but on Linux."""
    if sys.platform != "linux":
        return []
    found = []
    wanted = f"FUNNEL_URL={url}".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        # Other people's processes, and those that have just ended, cannot be read.
        with suppress(OSError):
            if wanted in environment.read_bytes().split(b"\0"):
                found.append(int(environment.parent.name))
    return found
