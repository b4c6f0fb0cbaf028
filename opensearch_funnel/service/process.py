"""Run the service: in this process, or as a child that ends with whoever started it."""

from __future__ import annotations

import ctypes
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import httpx2
import orjson

from opensearch_funnel.core.errors import InputError, StageUnavailableError
from opensearch_funnel.service.host_names import is_loopback

if TYPE_CHECKING:
    from uvicorn import Server

    from opensearch_funnel.service.gate import Application

logger = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.05
_BACKLOG = 2048
_PR_SET_PDEATHSIG = 1
_UNAVAILABLE = 503
_NOT_FOR_US = frozenset({401, 421})
# A line of the log that ``funnel serve`` writes: day, time, level, logger, message.
# The id of the request would make every warning another one.
_WARNING = re.compile(r"\S+ \S+ (?:WARNING|ERROR|CRITICAL) \S+ (?:request=\S* )?(?P<message>.*)")


def listen(host: str, port: int, *, guarded: bool = False) -> socket.socket:
    """Open the service's socket.

    Args:
        host: a loopback address; any other one only where the service is guarded.
        port: 0 for a free one.
        guarded: whether the service asks its callers for a token.

    Raises:
        InputError: the address is not loopback, or is in use.
    """
    if not guarded and not is_loopback(host):
        raise InputError(
            f"{host} is reachable from outside and the service has no authentication without a "
            "token: set FUNNEL_SERVICE_TOKEN, which every caller then has to show, or listen on "
            "127.0.0.1"
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


def listen_at(path: Path) -> socket.socket:
    """Open a worker's socket, which only its supervisor knows."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.listen(_BACKLOG)
    return sock


def address(sock: socket.socket) -> str:
    """Return the URL of a listening socket."""
    host, port = sock.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def run(app: Application, sock: socket.socket, *, until_eof: int | None = None) -> None:
    """Answer on a socket until SIGINT or SIGTERM; requests in flight are finished.

    Args:
        app: the ASGI application.
        sock: a listening socket.
        until_eof: a file descriptor; the service also ends when nothing more comes from it.
    """
    import uvicorn

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        timeout_keep_alive=75,
    )
    server = uvicorn.Server(config)
    if until_eof is not None:
        threading.Thread(target=_stop_at_eof, args=(server, until_eof), daemon=True).start()
    server.run(sockets=[sock])


def end_with_parent() -> None:
    """Let the kernel kill this process when its parent dies, even while it is stopped.

    Only Linux can; elsewhere a worker ends when it reads the end of its standard input.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _stop_at_eof(server: Server, descriptor: int) -> None:
    while os.read(descriptor, 1024):
        pass
    server.should_exit = True


@contextmanager
def background_service(*, env: Mapping[str, str] | None = None) -> Iterator[str]:
    """Run ``funnel serve`` on a free port while the context is open.

    It ends with this process, too, however that ends. What it warned of is logged here at the
    end: its own log is gone with it.

    Args:
        env: settings for the service (``FUNNEL_URL`` and the like), on top of this process's.

    Returns:
        A context manager whose value is the service's URL. The service's worker answers from
        then on, and loads plans as they are asked for.

    Raises:
        StageUnavailableError: it did not start; says what it printed last.
    """
    with TemporaryFile() as log:
        child = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "opensearch_funnel",
                "serve",
                "--until-eof",
                "--port=0",
                "--output=json",
                "--log-level=warning",
            ],
            # The kernel closes our end when we die, and the child ends when it sees that.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **(env or {})},
            # Ctrl-C reaches the parent alone, which ends the child when it is done with it.
            start_new_session=True,
        )
        try:
            url = _announced_url(child, log)
            _wait_for_the_worker(url, child, log)
            yield url
        finally:
            _stop(child)
            for warning in last_warnings(_lines(log)):
                logger.warning("the service warned: %s", warning)


def _announced_url(child: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    assert child.stdout is not None  # noqa: S101 - PIPE was asked for
    announced = child.stdout.readline()
    if not announced:
        raise _not_started(child, log)
    return str(orjson.loads(announced)["url"])


def _wait_for_the_worker(url: str, child: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and child.poll() is None:
        with suppress(httpx2.HTTPError):
            if httpx2.get(f"{url}/health", timeout=2.0).is_success:
                return
        time.sleep(_POLL_S)
    raise _not_started(child, log)


def _not_started(child: subprocess.Popen[bytes], log: IO[bytes]) -> StageUnavailableError:
    with suppress(subprocess.TimeoutExpired):
        child.wait(STOP_TIMEOUT_S)
    last = _lines(log)[-1:]
    return StageUnavailableError(f"the service did not start: {' '.join(last) or 'no reason'}")


def _stop(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _lines(log: IO[bytes]) -> list[str]:
    log.seek(0)
    return log.read().decode(errors="replace").strip().splitlines()


def last_warnings(log: Sequence[str], *, most: int = 5) -> list[str]:
    """Return what a service's log warned of: each warning once, the last ones.

    A plan that was still loading is not told: who starts a service for itself waits for its plans.

    Example:
        >>> last_warnings(["2026-01-31 12:00:00,000 WARNING app /rank refused: too slow",
        ...                "2026-01-31 12:00:01,000 WARNING app /rank refused: too slow"])
        ['/rank refused: too slow']
        >>> last_warnings(["2026-01-31 12:00:00,000 WARNING app reason=not_ready p is loading"])
        []
    """
    found = (_WARNING.fullmatch(line) for line in log)
    # A warning that comes again counts from where it came last.
    said = [match["message"] for match in found if match]
    last = dict.fromkeys(reversed([line for line in said if not _is_loading(line)]))
    return list(reversed(list(last)[:most]))


def _is_loading(warning: str) -> bool:
    return "reason=not_ready" in warning and warning.endswith("is loading")


def service_at(url: str) -> dict[str, str] | None:
    """Return what answers at an address: name, version and cluster, or ``None``.

    A service whose worker does not answer, or not yet, is one all the same; ``error`` says why.

    Raises:
        StageUnavailableError: it is no address.
    """
    try:
        found = httpx2.get(f"{url.rstrip('/')}/health", timeout=2.0).json()
    except httpx2.InvalidURL as error:
        raise StageUnavailableError(f"{url} is no address of a service: {error}") from error
    except (httpx2.HTTPError, ValueError):
        return None
    return found if isinstance(found, dict) and "engine" in found else None


def wait_for_plan(
    url: str,
    plan_id: str,
    *,
    token: str | None = None,
    timeout_s: float = START_TIMEOUT_S,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Ask a service to load a plan, and wait until it is ready.

    Args:
        url: of the service.
        plan_id: which plan.
        token: what the service wants to be shown.
        timeout_s: how long to wait, in seconds.
        clock: tells the time, in seconds.

    Raises:
        StageUnavailableError: no service answers there, it wants another token, the plan failed,
            or it took too long.
    """
    end = clock() + timeout_s
    tried = False
    state = ""
    while clock() < end:
        state = _plan_state(url, plan_id, token=token)
        if state == "ready":
            return
        if state.startswith("failed") and tried:
            raise StageUnavailableError(f"the service cannot run plan {plan_id}: {state}")
        # What failed before we asked says nothing: the plan may have been stored since then, and
        # the service tries it again after a pause.
        tried = tried or not state.startswith("failed")
        time.sleep(_POLL_S)
    raise StageUnavailableError(
        f"the service did not load plan {plan_id} in {timeout_s:.0f} s: {state}"
    )


def _plan_state(url: str, plan_id: str, *, token: str | None) -> str:
    shown = {} if token is None else {"authorization": f"Bearer {token}"}
    try:
        answer = httpx2.get(f"{url.rstrip('/')}/v1/plans/{plan_id}", headers=shown, timeout=10.0)
        if answer.status_code in _NOT_FOR_US:
            raise StageUnavailableError(f"{url} refused: {answer.json()['error']}")
        if answer.status_code == _UNAVAILABLE:
            # The supervisor: its worker starts, or will start again.
            return str(answer.json()["error"])
        return str(answer.json()["state"])
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise StageUnavailableError(
            f"no service answers at {url} ({error}): start it (funnel serve)"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise StageUnavailableError(
            f"what answers at {url} is not funnel serve: name the service with FUNNEL_SERVICE_URL"
        ) from error
