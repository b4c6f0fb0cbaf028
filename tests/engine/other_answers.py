"""A proxy on loopback in front of a node, which gives some answers of its own.

For what the embedded node does not have: the security plugin, index state management, a user who
sees a part of an index. Bodies of refusals are those of the security plugin.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

Change = Callable[[Any, Any], tuple[int, Any]]
"""From what was asked and what the node answered to a status and another answer."""


def answered(answer: Any, *, status: int = 200) -> Change:
    """Return the same answer always."""
    return lambda _asked, _given: (status, answer)


def denied(action: str, *, user: str = "ann") -> Change:
    """Refuse as the security plugin does."""
    who = f"User [name={user}, backend_roles=[], requestedTenant=null]"
    reason = f"no permissions for [{action}] and {who}"
    error = {"type": "security_exception", "reason": reason}
    return answered({"error": {"root_cause": [error], **error}, "status": 403}, status=403)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    node: str
    changes: Mapping[str, Change]

    def _any(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        status, body = self._handed_on(raw)
        call = f"{self.command} {urlsplit(self.path).path}"
        for pattern, change in self.changes.items():
            if re.fullmatch(pattern, call):
                status, made = change(_read(raw), _read(body))
                body = json.dumps(made).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json; charset=UTF-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _any  # noqa: N815

    def _handed_on(self, raw: bytes) -> tuple[int, bytes]:
        address = urlsplit(self.node)
        upstream = HTTPConnection(address.hostname or "", address.port or 80, timeout=120)
        try:
            headers = {"content-type": "application/json"}
            upstream.request(self.command, self.path, body=raw or None, headers=headers)
            response = upstream.getresponse()
            return response.status, response.read()
        finally:
            upstream.close()

    def log_message(self, *_: Any) -> None:
        pass


def _read(raw: bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return None


class _Server(ThreadingHTTPServer):
    daemon_threads = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent: clients hang up, as they do."""


@contextmanager
def other_answers(node_url: str, changes: Mapping[str, Change]) -> Iterator[str]:
    """Stand between clients and a node.

    Args:
        node_url: the node, without TLS.
        changes: a pattern of whole calls, such as ``GET /films/_stats.*``, and what becomes of
            their answers.

    Yields:
        The proxy's address.
    """
    made = type("Handler", (_Handler,), {"node": node_url, "changes": changes})
    server = _Server(("127.0.0.1", 0), made)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
