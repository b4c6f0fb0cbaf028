"""Start a cutover or a rollback, and end its process at a chosen request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opensearch_funnel.core.errors import EngineError
from tests.engine.ending_proxy import Ending, Point, ending_proxy, guards_of
from tests.engine.switching import Migrated

# Runs of other jobs share the machine: what takes a second may take many.
_ENDS_S, _WRITES_S = 180.0, 60.0


@dataclass
class Switches:
    """Starts steps of a migration that pass a proxy."""

    made: Migrated
    url: str
    ending: Ending

    def run(self, step: str) -> list[str]:
        """Run a step to its end, and return the requests that it made."""
        self._wait_for_guards()
        self.ending.arm(None, lambda: None)
        code, output = self._wait(self._start(step))
        assert code == 0, output
        return list(self.ending.seen)

    def end(self, step: str, point: Point, *, number: int = signal.SIGKILL) -> tuple[bool, int]:
        """Run a step and send it a signal at a point.

        Returns:
            Whether the point was reached, and the exit code.
        """
        running: list[subprocess.Popen[str]] = []
        self._wait_for_guards()
        self.ending.arm(point, lambda: os.kill(running[0].pid, number))
        running.append(self._start(step))
        code, _ = self._wait(running[0])
        return self.ending.happened, code

    def meanwhile(self, step: str, point: Point, happen: Callable[[], None]) -> tuple[int, str]:
        """Run a step, and do something else at a point, before it has the answer.

        Returns:
            The exit code, and what it printed.
        """
        self._wait_for_guards()
        self.ending.arm(point, happen)
        code, output = self._wait(self._start(step))
        assert self.ending.happened, point
        return code, output

    def _wait_for_guards(self) -> None:
        """Let the guards of what was killed before end: their requests are not to be counted."""
        until = time.monotonic() + _ENDS_S
        while guards_of(self.url):
            assert time.monotonic() < until, "a guard does not end"
            time.sleep(0.05)

    def _start(self, step: str) -> subprocess.Popen[str]:
        module = "tests.engine.switch_worker"
        arguments = [step, self.made.alias, self.url, str(self.made.letters)]
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True
        )

    def _wait(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        try:
            output, _ = process.communicate(timeout=_ENDS_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return process.returncode, output


@contextmanager
def switches(made: Migrated) -> Iterator[Switches]:
    """Stand between the processes of a migration and its node."""
    with ending_proxy(made.settings.url) as (url, ending):
        yield Switches(made, url, ending)


def seconds_until_writable(made: Migrated, doc_id: str) -> float:
    """Write through the alias until the write is taken; return how long that took."""
    begun = time.monotonic()
    while time.monotonic() - begun < _WRITES_S:
        try:
            made.client.index(index=made.alias, id=doc_id, body={"title": "written", "text": "w"})
        except EngineError as error:
            if error.kind != "cluster_block_exception":
                raise
            time.sleep(0.02)
        else:
            return time.monotonic() - begun
    raise AssertionError(f"{made.alias} takes no writes after {_WRITES_S:.0f} s")
