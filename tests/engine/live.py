"""An index whose documents are encoded while they are written, and services that fail at it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import orjson
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, StageUnavailableError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan
from opensearch_funnel.core.text import text_hash
from opensearch_funnel.encoders.stored_weights import stored_weights
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.indices import index_body
from opensearch_funnel.engine.state import AppliedPipeline
from tests.engine.shelf import DENSE, SPARSE, stand_in_slot

PATIENT = Deadlines(rewrite_ms=20_000, rank_ms=20_000, encode_ms=20_000)


class CountedWeights:
    """The sparse stand-in; it remembers which documents it was asked for, and fails if told to."""

    fingerprint = SPARSE.fingerprint

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.down = False

    def encode_query(self, text: str) -> dict[str, float]:
        return SPARSE.encode_query(text)

    def encode_documents(self, texts: Sequence[str]) -> list[dict[str, float]]:
        if self.down:
            raise StageUnavailableError("the model is gone")
        self.texts += texts
        return SPARSE.encode_documents(texts)

    @property
    def models(self) -> PlanModels:
        return PlanModels(sparse=self, dense=DENSE)


@contextmanager
def live_index(  # noqa: PLR0913 - what an index and its plan may differ in
    client: OpenSearch,
    name: str,
    *,
    url: str,
    check: bool = True,
    deadlines: Deadlines = PATIENT,
    settings: dict[str, Any] | None = None,
) -> Iterator[AppliedPipeline]:
    """An index with a plan applied to its searches and its writes."""
    body = index_body(slot=stand_in_slot())
    body["settings"] |= settings or {}
    client.indices.create(index=name, body=body)
    plan = bound_plan(client, FunnelPlan(alias=name, deadlines=deadlines))
    done = apply_pipeline(client, plan, service_url=url, default=True, ingest=True, check=check)
    try:
        yield done
    finally:
        remove_pipeline(client, done.name)


def ready(text: str, *, key: str) -> dict[str, Any]:
    """Return the object ``funnel`` of a document, as the stand-ins make it."""
    made: dict[str, Any] = {
        "id": key,
        "model": [SPARSE.fingerprint, DENSE.fingerprint],
        "hash": text_hash(text),
        "state": "ready",
    }
    if text:
        made["sparse_a"] = stored_weights(SPARSE.encode_query(text))
        made["dense_a"] = [rounded(x) for x in DENSE.encode_query(text).tolist()]
    return made


def rounded(number: float) -> float:
    """Return a number with the digits that a float32 has: JSON holds no more of them."""
    return float(f"{number:.6g}")


def funnel_of(client: OpenSearch, index: str, doc_id: str) -> dict[str, Any]:
    """Return the object ``funnel`` of a document, its vector in few digits."""
    found: dict[str, Any] = client.get(index=index, id=doc_id)["_source"]["funnel"]
    if "dense_a" in found:
        found["dense_a"] = [rounded(x) for x in found["dense_a"]]
    return found


def found_by(client: OpenSearch, index: str, leg: str, text: str) -> set[str]:
    """Return what one leg alone finds for a text, without any pipeline."""
    query: dict[str, Any] = {"match": {"text": text}}
    if leg == "sparse":
        tokens = SPARSE.encode_query(text)
        query = {"neural_sparse": {"funnel.sparse_a": {"query_tokens": tokens}}}
    if leg == "dense":
        vector = DENSE.encode_query(text).tolist()
        query = {"knn": {"funnel.dense_a": {"vector": vector, "min_score": 1.99}}}
    body = {"query": query, "size": 1000, "_source": False}
    client.indices.refresh(index=index)
    answer = client.search(index=index, body=body, params={"search_pipeline": "_none"})
    return {hit["_id"] for hit in answer["hits"]["hits"]}


def bulk(client: OpenSearch, *lines: Any) -> list[dict[str, Any]]:
    """Send a bulk request; return what it says of each action."""
    answer = client.bulk(body=list(lines), params={"refresh": "true"})
    return [next(iter(one.values())) for one in answer["items"]]


def refused(client: OpenSearch, index: str, doc_id: str, source: Any) -> EngineError:
    """Write a document that must not pass, and return the engine's reason."""
    try:
        client.index(index=index, id=doc_id, body=source)
    except EngineError as error:
        return error
    raise AssertionError("it was written")


class FakeService:
    """What answers at a service's address and is none: one answer for everything, or silence."""

    def __init__(self) -> None:
        self.status = 200
        self.content = b""
        self.announced: int | None = None
        """The length that the answer claims to have, where that is not its own."""
        self.hangs = False
        self.let_go = Event()
        self.calls = 0
        self.url = ""

    def says(self, content: Any, *, status: int = 200, announced: int | None = None) -> None:
        self.content = content if isinstance(content, bytes) else orjson.dumps(content)
        self.status, self.announced, self.hangs = status, announced, False


@contextmanager
def fake_service() -> Iterator[FakeService]:
    """Answer on loopback as told."""
    fake = FakeService()

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            fake.calls += 1
            if fake.hangs:
                fake.let_go.wait(60)
                self.close_connection = True
                return
            self.send_response(fake.status)
            self.send_header("Content-Type", "application/json")
            length = len(fake.content) if fake.announced is None else fake.announced
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(fake.content)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    class Server(ThreadingHTTPServer):
        # A whole bulk request connects at once.
        request_queue_size = 256

        def handle_error(self, request: Any, client_address: Any) -> None:
            """An engine that does not wait for an answer is what some tests are about."""

    server = Server(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        fake.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()
