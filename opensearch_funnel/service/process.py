"""Run the service: in this process, or as a child that ends with whoever started it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import ip_address
from tempfile import TemporaryFile
from typing import IO

import httpx2
import orjson
import uvicorn
from fastapi import FastAPI

from opensearch_funnel.core.errors import InputError, StageUnavailableError

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.05
_BACKLOG = 2048


def listen(host: str, port: int) -> socket.socket:
    """Open the service's socket.

    Args:
        host: a loopback address.
        port: 0 for a free one.

    Raises:
        InputError: the address is not loopback, or is in use.
    """
    if not _is_loopback(host):
        raise InputError(
            f"{host} is reachable from outside and the service has no authentication: "
            "listen on 127.0.0.1 and put an authenticating proxy before it"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise InputError(
            f"cannot listen on {host}:{port} ({error.strerror}): stop what uses it, or take "
            "another --port"
        ) from error
    return sock


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address(sock: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: FastAPI, sock: socket.socket) -> None:
    """Answer on a socket until SIGINT or SIGTERM; requests in flight are finished."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
    )
    uvicorn.Server(config).run(sockets=[sock])


@contextmanager
def background_service(*, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run ``funnel serve`` on a free port while the context is open.

    Args:
        env: settings for the service (``FUNNEL_URL`` and the like), on top of this process's.

    Returns:
        A context manager whose value is the service's URL. The service answers from then on,
        and loads plans as they are asked for.

    Raises:
        StageUnavailableError: it did not start; says what it printed last.
    """
    with TemporaryFile() as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "opensearch_funnel", "serve", "--port", "0", "--output", "json"],
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **(env or {})},
            # Ctrl-C reaches the parent alone, which ends the child when it is done with it.
            start_new_session=True,
        )
        try:
            yield _announced_url(child, log)
        finally:
            _stop(child)


def _announced_url(child: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    assert child.stdout is not None  # noqa: S101 - PIPE was asked for
    announced = child.stdout.readline()
    if not announced:
        child.wait(STOP_TIMEOUT_S)
        log.seek(0)
        last = log.read().decode(errors="replace").strip().splitlines()[-1:]
        raise StageUnavailableError(f"the service did not start: {' '.join(last) or 'no reason'}")
    return str(orjson.loads(announced)["url"])


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.send_signal(signal.SIGTERM)
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()


def service_at(url: str) -> dict[str, str] | None:
    """Return what answers at an address: name, version and cluster, or ``None``."""
    try:
        found = httpx2.get(f"{url.rstrip('/')}/health", timeout=2.0).json()
    except (httpx2.HTTPError, ValueError):
        return None
    return found if isinstance(found, dict) and "engine" in found else None


def wait_for_plan(
    url: str,
    plan_id: str,
    *,
    timeout_s: float = START_TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Ask a service to load a plan, and wait until it is ready.

    Raises:
        StageUnavailableError: it failed, or took too long.
    """
    end = clock() + timeout_s
    path = f"{url.rstrip('/')}/v1/plans/{plan_id}"
    asked = False
    while clock() < end:
        state = str(httpx2.get(path, timeout=10.0).json()["state"])
        if state == "ready":
            return
        if state.startswith("failed") and asked:
            raise StageUnavailableError(f"the service cannot run plan {plan_id}: {state}")
        asked = True
        time.sleep(_POLL_S)
    raise StageUnavailableError(f"the service did not load plan {plan_id} in {timeout_s:.0f} s")
