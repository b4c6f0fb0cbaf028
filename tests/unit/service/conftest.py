"""A cluster of one index, as an HTTP server on loopback: what the service asks it for texts."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from opensearch_funnel.core.text import encoded_text, text_hash


class Cluster:
    """Documents by ``_id``; a search returns those whose id and hash are in its filters."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, str]] = {}
        self.searches = 0
        self.delay_s = 0.0
        self.url = ""

    def add(self, doc_id: str, source: dict[str, str], *, key: str | None = None) -> str:
        """Store a document and return its key: ``funnel.id`` and ``funnel.hash``."""
        funnel_id = doc_id if key is None else key
        hashed = text_hash(encoded_text(source, fields=["title", "text"]))
        self.documents[doc_id] = {**source, "funnel.id": funnel_id, "funnel.hash": hashed}
        return funnel_id + hashed

    def search(self, body: dict[str, Any]) -> list[dict[str, Any]]:
        wanted: dict[str, list[str]] = {}
        for one in body["query"]["bool"]["filter"]:
            wanted |= one["terms"]
        found = [
            (doc_id, document)
            for doc_id, document in self.documents.items()
            if all(document[field] in values for field, values in wanted.items())
        ]
        return [
            {
                "_id": doc_id,
                "_source": {k: v for k, v in document.items() if k in body["_source"]},
                "fields": {name: [document[name]] for name in body["docvalue_fields"]},
            }
            for doc_id, document in found[: body["size"]]
        ]


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made.searches += 1
            time.sleep(made.delay_s)
            answer = json.dumps({"hits": {"hits": made.search(body)}}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that does not wait for an answer is what some tests are about."""

    server = Quiet(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    thread.join()
    server.server_close()
