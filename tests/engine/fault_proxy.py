"""A proxy on loopback in front of a node, which lets requests fail in the ways clusters fail.

    with fault_proxy(node_url, faults=Faults(busy_items=0.2, reset=0.1), seed=7) as url:
        client = connect(Settings(url=url))

What fails is drawn by the seed and by what is sent: an item by its id and by how often it was
sent before, a request by how many came before it. So the order in which threads get their turn
does not change which items fail, and a test does not depend on chance.

Bodies of refusals are those of OpenSearch 3.6.0, as it gave them.
"""

from __future__ import annotations

import json
import random
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from opensearch_funnel.engine.bulk import BulkReport

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te"}
_TOO_MANY = {
    "type": "rejected_execution_exception",
    "reason": "rejected execution of coordinating operation [coordinating_and_primary_bytes=0, "
    "replica_bytes=0, all_bytes=0, coordinating_operation_bytes=78656464, "
    "max_coordinating_and_primary_bytes=73400320]",
}
_BREAKER = {
    "type": "circuit_breaking_exception",
    "reason": "[in_flight_requests] Data too large, data for [<http_request>] would be "
    "[794/794b], which is larger than the limit of [200/200b]",
    "bytes_wanted": 794,
    "bytes_limit": 200,
    "durability": "TRANSIENT",
}
_UNAVAILABLE = {
    "type": "cluster_block_exception",
    "reason": "blocked by: [SERVICE_UNAVAILABLE/1/state not recovered / initialized];",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """How often what fails; each is a share from 0 to 1, unless said otherwise.

    Faults of whole requests exclude each other, so theirs must not sum to more than 1.
    """

    busy_items: float = 0.0
    """Items of a bulk request that are answered 429 and not handed on."""
    breaker_items: float = 0.0
    """The same, with a circuit breaker as the reason."""
    busy: float = 0.0
    """Requests answered 429: too many at once."""
    breaker: float = 0.0
    """Requests answered 429 by a circuit breaker."""
    unavailable: float = 0.0
    """Requests answered 503."""
    reset: float = 0.0
    """Requests handed on, whose connection is reset instead of an answer."""
    cut: float = 0.0
    """Requests handed on, whose answer ends in the middle."""
    largest: int | None = None
    """Bytes above which a request is answered 413."""
    where: str = r"/_bulk$"
    """A pattern: only requests whose path has it fail, all others are handed on as they are."""
    in_a_row: int = 5
    """After so many failed requests one is let through, however low the odds of that are."""


_WHOLE = ("busy", "breaker", "unavailable", "reset", "cut")


@dataclass(slots=True)
class _Chance:
    """What fails next; used by several threads."""

    faults: Faults
    seed: int
    injected: Counter[str]
    lock: threading.Lock = field(default_factory=threading.Lock)
    requests: int = 0
    in_a_row: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def of_request(self, path: str, *, size: int) -> str:
        """Return what is to happen to a request; nothing where it is handed on."""
        if not re.search(self.faults.where, path):
            return ""
        if self.faults.largest is not None and size > self.faults.largest:
            return self._told("too_large")
        with self.lock:
            self.requests += 1
            drawn = self._drawn(f"request {self.requests}", _WHOLE)
            self.in_a_row = self.in_a_row + 1 if drawn else 0
            if self.in_a_row > self.faults.in_a_row:
                self.in_a_row, drawn = 0, ""
        return self._told(drawn)

    def of_item(self, doc_id: str) -> str:
        """Return what is to happen to an item."""
        with self.lock:
            self.seen[doc_id] += 1
            name = f"item {doc_id} {self.seen[doc_id]}"
        return self._told(self._drawn(name, ("busy_items", "breaker_items")))

    def _drawn(self, name: str, kinds: tuple[str, ...]) -> str:
        drawn = random.Random(f"{self.seed} {name}").random()  # noqa: S311
        for kind in kinds:
            drawn -= getattr(self.faults, kind)
            if drawn < 0:
                return kind
        return ""

    def _told(self, kind: str) -> str:
        if kind:
            with self.lock:
                self.injected[kind] += 1
        return kind


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    chance: _Chance
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
        path = urlsplit(self.path).path
        match self.chance.of_request(path, size=len(raw)):
            case "too_large":
                # The node's own has no body.
                self._send(413, b"")
            case "busy":
                self._refuse(429, _TOO_MANY)
            case "breaker":
                self._refuse(429, _BREAKER)
            case "unavailable":
                self._refuse(503, _UNAVAILABLE)
            case "reset":
                self._answer(path, raw)
                # Lingering for 0 s makes close() send a reset instead of an orderly end.
                linger = struct.pack("ii", 1, 0)
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                self.close_connection = True
            case "cut":
                status, body, kind = self._answer(path, raw)
                self._send(status, body[: len(body) // 2], length=len(body), kind=kind)
                self.close_connection = True
            case _:
                status, body, kind = self._answer(path, raw)
                self._send(status, body, kind=kind)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _any  # noqa: N815

    def _answer(self, path: str, raw: bytes) -> tuple[int, bytes, str]:
        faults = self.chance.faults
        items = faults.busy_items or faults.breaker_items
        if not items or not re.search(faults.where, path) or not path.endswith("/_bulk"):
            return self._handed_on(raw)
        return self._some_items(raw)

    def _some_items(self, raw: bytes) -> tuple[int, bytes, str]:
        """Hand on the items that do not fail, and put the others into the answer."""
        answers: list[dict[str, Any] | None] = []
        handed_on: list[bytes] = []
        for action, lines in _items(raw):
            ((name, about),) = action.items()
            fault = self.chance.of_item(about["_id"])
            if not fault:
                answers.append(None)
                handed_on += lines
                continue
            error = _TOO_MANY if fault == "busy_items" else _BREAKER
            answers.append({name: {"_id": about["_id"], "status": 429, "error": error}})
        status, body, kind = 200, b'{"errors":false,"items":[]}', "application/json"
        if handed_on:
            status, body, kind = self._handed_on(b"".join(handed_on))
        if status != 200:
            return status, body, kind
        answer = json.loads(body)
        real = iter(answer["items"])
        answer["items"] = [made or next(real) for made in answers]
        answer["errors"] = answer["errors"] or any(answers)
        return status, json.dumps(answer).encode(), kind

    def _handed_on(self, raw: bytes) -> tuple[int, bytes, str]:
        headers = {
            name: value
            for name, value in self.headers.items()
            if name.lower() not in _HOP_BY_HOP | {"accept-encoding"}
        }
        self._upstream.request(self.command, self.path, body=raw or None, headers=headers)
        response = self._upstream.getresponse()
        return response.status, response.read(), response.headers.get("content-type", "")

    def _refuse(self, status: int, error: dict[str, Any]) -> None:
        body = {"error": {"root_cause": [error], **error}, "status": status}
        self._send(status, json.dumps(body).encode())

    def _send(
        self, status: int, body: bytes, *, length: int | None = None, kind: str = "application/json"
    ) -> None:
        self.send_response(status)
        if kind and body:
            self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    # Ended with the proxy, so that no connection of theirs outlives it.
    daemon_threads = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients hang up, as they do."""


@contextmanager
def fault_proxy(
    node_url: str, *, faults: Faults, seed: int, injected: Counter[str] | None = None
) -> Iterator[str]:
    """Stand between clients and a node, and let requests fail.

    Args:
        node_url: the node, without TLS.
        faults: what fails how often.
        seed: what is drawn by.
        injected: is told how many faults of each kind there were.

    Yields:
        The address that clients use instead of the node's.
    """
    open_sockets: set[socket.socket] = set()
    chance = _Chance(faults, seed, Counter() if injected is None else injected)
    members = {"chance": chance, "node": node_url, "open_sockets": open_sockets}
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), members))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        for one in list(open_sockets):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        server.server_close()


def fault_report(report: BulkReport, injected: Counter[str]) -> dict[str, Any]:
    """Say what a load beside faults came to: what a benchmark prints.

    Args:
        report: of the load.
        injected: of the proxy.

    Returns:
        ``documents`` that came in, and what became of them; ``retries_per_document`` and
        ``resent_share`` of the bytes, what the faults cost; ``longest_pause_s``; ``faults``.
    """
    documents = report.indexed + report.kept + report.dead
    first = report.bytes - report.bytes_resent
    return {
        "documents": documents,
        "indexed": report.indexed,
        "kept": report.kept,
        "dead": report.dead,
        "retried": report.retried,
        "retries_per_document": round(report.retried / max(1, documents), 3),
        "bytes_resent": report.bytes_resent,
        "resent_share": round(report.bytes_resent / max(1, first), 3),
        "longest_pause_s": round(report.longest_pause, 3),
        "seconds": round(report.seconds, 3),
        "faults": dict(sorted(injected.items())),
    }


def _items(raw: bytes) -> Iterator[tuple[dict[str, Any], list[bytes]]]:
    lines = iter(line + b"\n" for line in raw.removesuffix(b"\n").split(b"\n"))
    for line in lines:
        action = json.loads(line)
        yield action, [line] if "delete" in action else [line, next(lines)]
