"""A loopback server that answers like a chat endpoint, and misbehaves like one.

A script has one act a request: a function that gets the open connection and the request. When it
is played to its end, the last act is repeated.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-canary-of-the-tests-7f3a"
"""A key that must never be seen outside of one header."""
USAGE = {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15}


@dataclass
class Heard:
    """What the server was asked."""

    url: str = ""
    bodies: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    script: list[Act] = field(default_factory=list)


class Answers(BaseHTTPRequestHandler):
    server: ModelServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        heard = self.server.heard
        with self.server.lock:
            heard.bodies.append(body)
            heard.headers.append({k.lower(): v for k, v in self.headers.items()})
            act = heard.script.pop(0) if len(heard.script) > 1 else heard.script[0]
        try:
            act(self, body)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def send(
        self,
        content: bytes,
        *,
        status: int = 200,
        kind: str = "application/json",
        headers: Mapping[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        """Send headers and content; ``length`` promises more than comes."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
        self.close_connection |= length is not None

    def begin_stream(self) -> None:
        """Send the headers of a stream that ends with the connection."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def pause(self, seconds: float) -> bool:
        """Wait, and say whether the test still runs."""
        return not self.server.over.wait(seconds)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        del format, args


Act = Callable[[Answers, Any], None]


class ModelServer(ThreadingHTTPServer):
    """Listens on loopback until the test is over; what hangs then ends."""

    daemon_threads = False

    def __init__(self, script: Sequence[Act]) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.heard = Heard(url=f"http://127.0.0.1:{self.server_port}/v1", script=list(script))
        self.over = threading.Event()
        self.lock = threading.Lock()


@contextmanager
def model_server(*script: Act) -> Iterator[Heard]:
    """Serve a script; open the client inside, so that it is closed first."""
    server = ModelServer(script or (says("ready"),))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server.heard
    finally:
        server.over.set()
        server.shutdown()
        thread.join()
        server.server_close()


def completion(text: str | None, *, finish: str | None = "stop", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    return {"id": "c", "object": "chat.completion", "choices": choices, "usage": USAGE, **more}


def event(text: str, *, finish: str | None = None, **more: Any) -> bytes:
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": finish}]
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": choices, **more}
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def says(text: str | None, *, finish: str | None = "stop", **more: Any) -> Act:
    """Answer well: whole, or as a stream of words with usage at its end, as it was asked."""

    def act(answers: Answers, body: Any) -> None:
        if not body.get("stream"):
            answers.send(json.dumps(completion(text, finish=finish, **more)).encode())
            return
        answers.begin_stream()
        for word in (text or "").split(" "):
            answers.wfile.write(event(word + " "))
        answers.wfile.write(event("", finish=finish))
        if body.get("stream_options"):
            answers.wfile.write(
                b'data: {"choices": [], "usage": %b}\n\n' % json.dumps(USAGE).encode()
            )
        answers.wfile.write(b"data: [DONE]\n\n")

    return act


def sends(content: Any, *, kind: str = "application/json", length: int | None = None) -> Act:
    """Send a body with status 200, whatever was asked."""
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    return lambda answers, _: answers.send(raw, kind=kind, length=length)


def refuses(status: int, said: Any = None, *, headers: Mapping[str, str] | None = None) -> Act:
    """Send an error in the form of OpenAI."""
    content = json.dumps({"error": {"message": said or "no"}}).encode()
    return lambda answers, _: answers.send(content, status=status, headers=headers)


def events(*parts: bytes) -> Act:
    """Send parts of a stream, and end the connection."""

    def act(answers: Answers, _: Any) -> None:
        answers.begin_stream()
        for part in parts:
            answers.wfile.write(part)

    return act


def silent(answers: Answers, _: Any) -> None:
    """Take the request and say nothing."""
    while answers.pause(0.05):
        pass
    answers.close_connection = True


def drips(answers: Answers, body: Any) -> None:
    """Send an answer a byte at a time, never done, each sooner than any timeout of a read."""
    if body.get("stream"):
        answers.begin_stream()
    else:
        answers.send(b"", length=1_000_000)
    while answers.pause(0.02):
        answers.wfile.write(b" ")
        answers.wfile.flush()


def endless(answers: Answers, _: Any) -> None:
    """Send events without an end, slowly enough to stay below any limit of size."""
    answers.begin_stream()
    while answers.pause(0.02):
        answers.wfile.write(event("x"))
        answers.wfile.flush()


def hangs_up(answers: Answers, _: Any) -> None:
    """Close the connection without a word."""
    answers.close_connection = True
