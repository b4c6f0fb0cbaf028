"""The supervisor and its worker as real processes: killed, frozen, never up, told to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from opensearch_funnel.service.process import listen

# A worker without a model: says who it is, waits, and ends as it is told to.
PROGRAM = """
import asyncio, os, sys
from pathlib import Path

folder = sys.argv[1]
status = Path(folder, "exit-status")
if len(sys.argv) == 3 and status.exists():
    sys.exit(int(status.read_text()))

from opensearch_funnel.service.process import address, end_with_parent, listen, listen_at, run
from opensearch_funnel.service.supervisor.supervising import supervise
from opensearch_funnel.service.supervisor.worker import Patience

async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    path = scope["path"]
    if path == "/exit":
        os._exit(7)
    if path == "/slow":
        await asyncio.sleep(0.5)
    body = str(os.getpid()).encode()
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})

if len(sys.argv) == 3:
    end_with_parent()
    run(app, listen_at(Path(sys.argv[2])), until_eof=0)
else:
    sock = listen("127.0.0.1", 0)
    print(address(sock), flush=True)
    end = supervise(
        sock,
        worker_command=lambda path: [sys.executable, "-c", PROGRAM, folder, str(path)],
        identity={"service": "s"},
        until_eof=0,
        patience=Patience(beat=0.25, frozen=1.0, first_pause=0.1, longest_pause=0.4),
    )
    print(end.signal, end.worker_status, flush=True)
"""
WHOLE = f"PROGRAM = {PROGRAM!r}\n"


@dataclass
class Supervised:
    url: str
    child: subprocess.Popen[str]
    log: Path
    folder: Path

    def worker(self, *, other_than: int = 0) -> int:
        """Wait for a worker to answer; return its process id."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            answer = httpx2.get(f"{self.url}/", timeout=5)
            if answer.status_code == 200 and int(answer.text) != other_than:
                return int(answer.text)
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def metrics(self) -> str:
        return httpx2.get(f"{self.url}/metrics", timeout=5).text


@contextmanager
def running(folder: Path, *, token: str | None = None) -> Iterator[Supervised]:
    program = WHOLE + PROGRAM
    log = folder / "log"
    with (
        log.open("w") as said,
        subprocess.Popen(
            [sys.executable, "-c", program, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            env={**os.environ, **({"FUNNEL_SERVICE_TOKEN": token} if token else {})},
        ) as child,
    ):
        assert child.stdout is not None
        try:
            yield Supervised(child.stdout.readline().strip(), child, log, folder)
        finally:
            # In order: its folder goes with it.
            child.terminate()
            child.wait(20)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A dead process that nobody has waited for yet is dead.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rpartition(") ")[2][0] != "Z"


def dies_within(seconds: float, pid: int) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def test_a_killed_worker_is_answered_for_and_followed_by_another(tmp_path: Path) -> None:
    with running(tmp_path) as it:
        first = it.worker()
        answers: list[int] = []
        asking = threading.Thread(
            target=lambda: answers.append(httpx2.get(f"{it.url}/slow", timeout=5).status_code)
        )
        asking.start()
        time.sleep(0.2)
        os.kill(first, signal.SIGKILL)
        asking.join(2)
        assert answers == [503], "what was in flight is answered, not dropped"
        second = it.worker(other_than=first)
        assert second != first
        metrics = it.metrics()
        assert "funnel_worker_restarts_total 1" in metrics
        assert 'funnel_supervisor_unavailable_total{reason="lost"} 1' in metrics
        assert "the worker was killed by SIGKILL after" in it.log.read_text()


def test_a_frozen_worker_is_answered_for_at_once_and_then_replaced(tmp_path: Path) -> None:
    with running(tmp_path) as it:
        first = it.worker()
        os.kill(first, signal.SIGSTOP)
        time.sleep(0.75)
        start = time.monotonic()
        answer = httpx2.get(f"{it.url}/", timeout=5)
        assert time.monotonic() - start < 0.5
        assert (answer.status_code, answer.json()["reason"]) == (503, "silent")
        assert it.worker(other_than=first) != first
        assert not alive(first)
        assert "the worker has been silent for 1 s: it is killed" in it.log.read_text()


def test_the_token_is_asked_for_also_by_a_supervisor_whose_worker_cannot_ask(
    tmp_path: Path,
) -> None:
    token = "of-sixteen-letters"  # noqa: S105 - guards nothing
    with running(tmp_path, token=token) as it:
        os.kill(it.worker(), signal.SIGSTOP)
        time.sleep(0.75)
        refused = httpx2.get(f"{it.url}/metrics", timeout=5)
        assert (refused.status_code, refused.json()["reason"]) == (401, "unauthorized")
        shown = {"authorization": f"Bearer {token}"}
        answer = httpx2.get(f"{it.url}/metrics", headers=shown, timeout=5)
        assert answer.status_code == 200
        assert "funnel_worker_up" in answer.text


def test_a_worker_that_freezes_for_a_moment_is_left_alone(tmp_path: Path) -> None:
    with running(tmp_path) as it:
        first = it.worker()
        os.kill(first, signal.SIGSTOP)
        time.sleep(0.6)
        os.kill(first, signal.SIGCONT)
        assert it.worker() == first
        assert "funnel_worker_restarts_total 0" in it.metrics()


def test_a_worker_that_cannot_start_again_is_tried_less_and_less_often(tmp_path: Path) -> None:
    with running(tmp_path) as it:
        it.worker()
        (tmp_path / "exit-status").write_text("1")
        assert httpx2.get(f"{it.url}/exit", timeout=5).status_code == 503
        end = time.monotonic() + 3.0
        statuses = set()
        while time.monotonic() < end:
            statuses.add(httpx2.get(f"{it.url}/", timeout=5).status_code)
            time.sleep(0.01)
        assert statuses == {503}, "and never a refused connection"
        said = it.log.read_text()
        assert "the worker ended with exit status 7" in said
        assert "starts in 0.1 s" in said
        assert "starts in 0.4 s" in said
        assert "starts in 0.8 s" not in said
        (tmp_path / "exit-status").unlink()
        it.worker()


def test_a_first_worker_that_fails_ends_the_supervisor_with_its_status(tmp_path: Path) -> None:
    (tmp_path / "exit-status").write_text("3")
    with running(tmp_path) as it:
        assert it.child.wait(20) == 0
        assert it.child.stdout is not None
        assert it.child.stdout.read().strip() == "None 3"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a stopped child")
@pytest.mark.parametrize("frozen", [True, False])
def test_the_worker_ends_with_a_supervisor_that_is_killed(tmp_path: Path, *, frozen: bool) -> None:
    with running(tmp_path) as it:
        worker = it.worker()
        if frozen:
            os.kill(worker, signal.SIGSTOP)
        it.child.kill()
        assert dies_within(10, worker)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_lets_requests_be_finished_and_takes_the_worker_along(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(tmp_path) as it:
        worker = it.worker()
        answers: list[tuple[int, str]] = []

        def ask() -> None:
            answer = httpx2.get(f"{it.url}/slow", timeout=5)
            answers.append((answer.status_code, answer.headers["connection"]))

        asking = threading.Thread(target=ask)
        asking.start()
        time.sleep(0.2)
        it.child.send_signal(number)
        it.child.send_signal(number)
        asking.join(5)
        assert answers == [(200, "close")]
        it.child.wait(10)
        assert it.child.stdout is not None
        assert it.child.stdout.read().strip() == f"{int(number)} 0"
        assert not alive(worker)
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"{it.url}/", timeout=5)


def test_the_end_of_the_input_is_the_end(tmp_path: Path) -> None:
    with running(tmp_path) as it:
        worker = it.worker()
        assert it.child.stdin is not None
        it.child.stdin.close()
        assert it.child.wait(10) == 0
        assert not alive(worker)


def test_any_address_can_be_listened_on_by_a_service_that_asks_for_a_token() -> None:
    sock = listen("0.0.0.0", 0, guarded=True)  # noqa: S104 - what is tested
    sock.close()
