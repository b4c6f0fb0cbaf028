"""``funnel serve`` as a process: how it ends, and what is left of what it said.

The processes are real; the cluster is an address where nothing answers.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.service.process import background_service, service_at

NOBODY = "http://127.0.0.1:9"
PARENT = """
import time
from opensearch_funnel.service.process import background_service

with background_service() as url:
    print(url, flush=True)
    time.sleep(60)
"""


def within(seconds: float, url: str) -> bool:
    """Say whether a service is gone within a time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if service_at(url) is None:
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_the_background_service_ends_with_its_parent(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "FUNNEL_URL": NOBODY},
    ) as parent:
        assert parent.stdout is not None
        url = parent.stdout.readline().strip()
        assert service_at(url) is not None
        parent.send_signal(number)
        parent.wait(30)
    assert within(20, url)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_ends_serve_in_order(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "opensearch_funnel", "serve", "--port", "0", "--url", NOBODY],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as service:
        assert service.stdout is not None
        url = service.stdout.readline().split()[2]
        assert service_at(url) is not None
        service.send_signal(number)
        _, said = service.communicate(timeout=30)
    # Init systems take any other status than 0 for a failure of a service that was told to end.
    assert service.returncode == (0 if number == signal.SIGTERM else 128 + number)
    assert said.splitlines()[-1] == "stopped"
    assert "Traceback" not in said


def test_what_the_background_service_warned_of_is_not_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING), background_service(env={"FUNNEL_URL": NOBODY}) as url:
        for _ in range(500):
            if "could not be read" in httpx2.get(f"{url}/ready").text:
                break
            time.sleep(0.01)
    assert "the service warned: the applied plans could not be read" in caplog.text


def test_a_service_that_cannot_start_says_why_and_does_not_try_for_ever(tmp_path: Path) -> None:
    # As in an installation without the extra.
    missing = 'raise ModuleNotFoundError("No module named fastapi", name="fastapi")\n'
    (tmp_path / "fastapi.py").write_text(missing)
    env = {"FUNNEL_URL": NOBODY, "PYTHONPATH": str(tmp_path)}
    with (
        pytest.raises(StageUnavailableError, match="did not start: error: fastapi is not inst"),
        background_service(env=env),
    ):
        pass


def test_a_service_without_a_worker_yet_is_found_and_says_that_it_is_loading() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "opensearch_funnel", "serve", "--port", "0", "--url", NOBODY],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as service:
        assert service.stdout is not None
        url = service.stdout.readline().split()[2]
        found = service_at(url)
        assert found is not None
        assert (found["engine"], found["error"]) == (NOBODY, "the worker is loading")
        assert "is loading" in httpx2.get(f"{url}/v1/plans/films.1").json()["error"]
        service.terminate()
        service.wait(20)
