"""A cluster with a security plugin, as a proxy on loopback in front of the real node.

It lets a call through where a role allows every action that the call takes, and answers 403 in the
plugin's own words otherwise. What runs inside of the node is beyond it, but for one thing: the
calls of a search pipeline run with the rights of who searches, so that a search of somebody who
may not call models goes on without a pipeline.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
import orjson

from tests.engine.rights_actions import taken_by
from tests.engine.rights_roles import Role

PREDICT = "cluster:admin/opensearch/ml/predict"
_LONGEST_S = 120.0


@dataclass(slots=True)
class Guarded:
    """What the proxy has seen.

    Attributes:
        url: where it listens.
        used: the actions that calls have taken, refused ones too.
        refused: the calls that were not allowed, each with what was missing.
    """

    url: str
    used: set[str] = field(default_factory=set)
    refused: list[tuple[str, str]] = field(default_factory=list)


@contextmanager
def guarded(target: str, *, user: Role) -> Iterator[Guarded]:
    """Listen for the calls of a user.

    Args:
        target: the cluster behind.
        user: what the user may do.
    """
    behind = httpx2.Client(base_url=target, timeout=_LONGEST_S)
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    seen = Guarded(url=f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = _handler(behind, user=user, seen=seen)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        behind.close()


def _handler(behind: httpx2.Client, *, user: Role, seen: Guarded) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            parts = urlsplit(self.path)
            missing = _missing(self.command, parts.path, body=body, user=user, seen=seen)
            if missing:
                seen.refused.append((f"{self.command} {parts.path}", missing))
                self.answer(403, refusal(missing, user=user.name), "application/json")
                return
            params = dict(parse_qsl(parts.query, keep_blank_values=True))
            searches = parts.path.endswith("/_search")
            # One that brings a pipeline of its own is the service's, which calls no model.
            if searches and not user.allows(PREDICT) and b'"search_pipeline"' not in body:
                params["search_pipeline"] = "_none"
            kind = {"Content-Type": self.headers.get("Content-Type", "application/json")}
            path = f"{parts.path}?{urlencode(params)}"
            answer = behind.request(self.command, path, content=body, headers=kind)
            shown = answer.headers.get("Content-Type", "application/json")
            self.answer(answer.status_code, answer.content, shown)

        do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = forward  # noqa: N815

        def answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    return Handler


def _missing(method: str, path: str, *, body: bytes, user: Role, seen: Guarded) -> str:
    """Return the first action of a call that a user may not do; empty where there is none."""
    taken = taken_by(method, path, body=body)
    if taken is None:
        return f"unknown:{method} {path}"
    seen.used.update(taken.actions)
    for action in taken.actions:
        if not all(user.allows(action, index=index) for index in taken.indices):
            return action
    return ""


def refusal(missing: str, *, user: str) -> bytes:
    """Return the body with which the security plugin refuses an action."""
    reason = (
        f"no permissions for [{missing}] and User [name={user}, backend_roles=[], "
        "requestedTenant=null]"
    )
    error = {"type": "security_exception", "reason": reason}
    return orjson.dumps({"error": {"root_cause": [error], **error}, "status": 403})
