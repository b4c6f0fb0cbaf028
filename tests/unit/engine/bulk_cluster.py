"""A server on loopback that takes bulk requests, and misbehaves in every way a cluster can."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Whole:
    """A whole request that fails: a status, or one of the ways to break a connection."""

    status: int = 0
    how: str = ""
    applied: bool = False


@dataclass
class Cluster:
    """What the server holds, and the faults it is told to make."""

    whole: Callable[[int, list[str]], Whole | None] = lambda _number, _ids: None
    one: Callable[[str], int] = lambda _doc_id: 200
    error: dict[str, Any] = field(default_factory=dict)
    """What the error of a refused document says, beside the usual."""
    paths: list[str] = field(default_factory=list)
    stored: dict[str, Any] = field(default_factory=dict)
    writes: Counter[str] = field(default_factory=Counter)
    sizes: list[int] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def apply(self, actions: list[tuple[str, Any]]) -> dict[str, Any]:
        items = []
        for doc_id, body in actions:
            status = self.one(doc_id)
            result: dict[str, Any] = {"_id": doc_id, "status": status}
            if status == 200:
                self.stored[doc_id] = body
                self.writes[doc_id] += 1
            else:
                result["error"] = {"type": "kind", "reason": f"fault {status}"}
                if status == 403:
                    result["error"]["type"] = "cluster_block_exception"
                result["error"].update(self.error)
            items.append({"index": result})
        return {"errors": True, "items": items}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    cluster: Cluster

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["content-length"]))
        lines = [json.loads(line) for line in raw.splitlines()]
        actions = [(a["index"]["_id"], b) for a, b in zip(lines[::2], lines[1::2], strict=True)]
        cluster = self.cluster
        with cluster.lock:
            cluster.sizes.append(len(raw))
            cluster.paths.append(self.path)
            fault = cluster.whole(len(cluster.sizes), [doc_id for doc_id, _ in actions])
            answer = cluster.apply(actions) if fault is None or fault.applied else {}
        if fault is None:
            self._send(200, json.dumps(answer).encode())
        elif fault.how == "reset":
            # Lingering for 0 s makes close() send a reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
        elif fault.how == "cut":
            whole = json.dumps(answer).encode()
            self._send(200, whole[: len(whole) // 2], length=len(whole))
            self.close_connection = True
        elif fault.how == "html":
            self._send(200, b"<html>busy</html>", kind="text/html")
        elif fault.how == "others":
            for entry in answer["items"]:
                entry["index"]["_id"] += "-other"
            self._send(200, json.dumps(answer).encode())
        elif fault.how == "fewer":
            self._send(200, json.dumps({"items": answer["items"][1:]}).encode())
        else:
            error = {"type": "kind", "reason": "whole request", **cluster.error}
            body = {"error": error, "status": fault.status}
            self._send(fault.status, json.dumps(body).encode())

    def _send(
        self,
        status: int,
        body: bytes,
        *,
        length: int | None = None,
        kind: str = "application/json",
    ) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def bulk_cluster() -> Iterator[Cluster]:
    """Serve a cluster while the context is open."""
    state = Cluster()
    handler = type("Handler", (_Handler,), {"cluster": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
