"""What the supervisor adds to a request, and what its own 503 costs.

The same application answers a body of 2 kB with one of 2 kB: on a TCP socket of its own, and
through the supervisor, whose worker serves it on a unix domain socket. The two take turns in
every round, so that a busy machine slows both; one client, connections kept open. Goal: at most
0.4 ms added at the median.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from opensearch_funnel.service.gate import Receive, Scope, Send
from opensearch_funnel.service.process import listen, listen_at, run
from opensearch_funnel.service.supervisor.supervising import supervise

GOAL_MS = 0.4
BODY = b'{"source":' + json.dumps("x" * 2000).encode() + b"}"
REQUEST = b"POST /v1/plans/p/rewrite HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n" % len(BODY)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body of the request."""
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def measure(*, rounds: int = 20, requests: int = 200) -> dict[str, Any]:
    """Time requests on both ways, in turns.

    Args:
        rounds: how often the two take turns.
        requests: of each way in a round.

    Returns:
        Milliseconds of each way, and of the supervisor's own 503 (its worker stopped).
    """
    with _direct() as direct, _supervised() as (supervised, child):
        ways = {"direct": _connected(direct), "supervised": _connected(supervised)}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, sock in ways.items():
                times[name] += [_ask(sock) for _ in range(requests)]
        for sock in ways.values():
            sock.close()
        refused = _while_the_worker_is_stopped(supervised, child)
    found = {name: _summary(taken) for name, taken in {**times, "refused": refused}.items()}
    added = found["supervised"]["p50_ms"] - found["direct"]["p50_ms"]
    return {**found, "added_p50_ms": round(added, 3), "goal_ms": GOAL_MS}


def _summary(times: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(times, n=100)
    return {"p50_ms": round(cuts[49], 3), "p95_ms": round(cuts[94], 3), "n": len(times)}


def _ask(sock: socket.socket, *, status: bytes = b"200") -> float:
    """Send one request, read its answer, and return the milliseconds that it took."""
    start = time.perf_counter()
    sock.sendall(REQUEST + BODY)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += sock.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += sock.recv(65536)
    taken = (time.perf_counter() - start) * 1000
    if head.split()[1] != status:
        raise RuntimeError(f"expected {status!r}: {head!r}")
    return taken


def _connected(address: tuple[str, int]) -> socket.socket:
    sock = socket.create_connection(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for _ in range(100):
        _ask(sock)
    return sock


@contextmanager
def _direct() -> Iterator[tuple[str, int]]:
    sock = listen("127.0.0.1", 0)
    child = multiprocessing.get_context("fork").Process(target=run, args=(echo, sock))
    child.start()
    address = sock.getsockname()
    sock.close()
    try:
        yield address
    finally:
        child.terminate()
        child.join()


@contextmanager
def _supervised() -> Iterator[tuple[tuple[str, int], subprocess.Popen[str]]]:
    child = subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, __file__, "--supervise"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a line for each 503
        text=True,
    )
    try:
        assert child.stdout is not None  # noqa: S101 - PIPE was asked for
        address = ("127.0.0.1", int(child.stdout.readline()))
        _wait_until_answered(address)
        yield address, child
    finally:
        child.send_signal(signal.SIGTERM)
        child.wait()


def _wait_until_answered(address: tuple[str, int]) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            with socket.create_connection(address) as sock:
                _ask(sock)
        except RuntimeError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("no worker came up in 30 s")


def _while_the_worker_is_stopped(
    address: tuple[str, int], child: subprocess.Popen[str]
) -> list[float]:
    """Time the supervisor's own answers, once it knows that the worker is stopped."""
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text(encoding="ascii")
    (worker,) = map(int, children.split())
    os.kill(worker, signal.SIGSTOP)
    with socket.create_connection(address) as sock:
        _wait_until_given_up(sock)
        times = [_ask(sock, status=b"503") for _ in range(500)]
    os.kill(worker, signal.SIGKILL)
    return times


def _wait_until_given_up(sock: socket.socket) -> None:
    """Wait until the supervisor says at once that the worker does not answer."""
    sock.settimeout(10)
    health = b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n"
    answer = b""
    while b'"silent"' not in answer:
        sock.sendall(health)
        answer = sock.recv(65536)


def main() -> int:
    """Run from the shell: prints one JSON object; exit status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--supervise", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        run(echo, listen_at(arguments.worker), until_eof=0)
        return 0
    if arguments.supervise:
        sock = listen("127.0.0.1", 0)
        print(sock.getsockname()[1], flush=True)  # noqa: T201 - for the parent
        supervise(
            sock,
            worker_command=lambda path: [sys.executable, __file__, "--worker", str(path)],
            identity={},
            until_eof=0,
        )
        return 0
    found = measure(rounds=arguments.rounds)
    json.dump(found, sys.stdout, indent=1)
    return 0 if found["added_p50_ms"] <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main())
