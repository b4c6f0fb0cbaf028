"""A loopback server that embeds like the hosted ones, and misbehaves like them."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

DIMENSION = 8
KEY = "key-of-the-tests"


def vector_of(text: str) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Embed a text: the same text, the same vector."""
    seed = int.from_bytes(text.encode()[:8].ljust(8, b"\0"), "little")
    return np.random.default_rng(seed).normal(0, 1, DIMENSION).astype(np.float32)


REFUSALS: Mapping[str, tuple[int, Any, Mapping[str, str]]] = {
    "429": (429, {"error": "slow down"}, {"Retry-After": "0.01"}),
    "429 without a word": (429, {}, {}),
    "500": (500, {"error": "oops"}, {}),
    "400": (400, {"error": {"message": "the input is too long"}}, {}),
}


@dataclass
class Heard:
    """What the server was asked, and how it misbehaves: one fault an answer, then none."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


def openai(body: Any) -> Any:
    rows = [
        {"index": i, "embedding": base64.b64encode(vector_of(t).tobytes()).decode()}
        for i, t in enumerate(body["input"])
    ]
    # Providers promise no order: the index says it.
    return {"data": rows[::-1], "usage": {"total_tokens": 10 * len(rows)}}


def cohere(body: Any) -> Any:
    (output,) = body["embedding_types"]
    vectors = np.stack([vector_of(t) for t in body["texts"]])
    match output:
        case "int8":
            rows = np.clip(vectors * 40, -128, 127).astype(np.int8).tolist()
        case "binary":
            rows = np.packbits(vectors > 0, axis=1).view(np.int8).tolist()
        case _:
            rows = vectors.tolist()
    billed = {"input_tokens": 7 * len(rows)}
    return {"embeddings": {output: rows}, "meta": {"billed_units": billed}}


def tei(body: Any) -> Any:
    return [vector_of(t).tolist() for t in body["inputs"]]


ANSWERS: dict[str, Callable[[Any], Any]] = {
    "/embeddings": openai,
    "/v2/embed": cohere,
    "/embed": tei,
}


class EmbeddingServer(ThreadingHTTPServer):
    """Listens on loopback and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.heard = Heard(url=f"http://127.0.0.1:{self.server_port}")


class Answers(BaseHTTPRequestHandler):
    server: EmbeddingServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        heard = self.server.heard
        heard.paths.append(self.path)
        heard.bodies.append(body)
        fault = heard.faults.pop(0) if heard.faults else ""
        if self.headers.get("authorization") != f"Bearer {KEY}":
            self.send(401, {"error": {"message": "no such key"}})
        elif fault in REFUSALS:
            status, content, headers = REFUSALS[fault]
            self.send(status, content, headers=headers)
        elif fault == "hang":
            time.sleep(1)
            self.close_connection = True
        else:
            right = ANSWERS[self.path](body)
            self.send(200, spoiled(right, fault) if fault not in ("", "cut") else right, fault)

    def send(
        self,
        status: int,
        content: Any,
        fault: str = "",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if fault == "cut":
            self.wfile.write(text[: len(text) // 2])
            self.close_connection = True
        else:
            self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        del format, args


@contextmanager
def embedding_server() -> Iterator[Heard]:
    server = EmbeddingServer()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.heard
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def spoiled(answer: Any, fault: str) -> Any:
    """Make a right answer a wrong one."""
    match fault:
        case "an error in it":
            return {"error": {"message": "overloaded"}}
        case "one too few":
            return {**answer, "data": answer["data"][:0]}
        case "too short":
            rows = [{**row, "embedding": [1.0, 2.0]} for row in answer["data"]]
            return {**answer, "data": rows}
        case "not a number":
            rows = [{**row, "embedding": [None] * DIMENSION} for row in answer["data"]]
            return {**answer, "data": rows}
    raise AssertionError(fault)
