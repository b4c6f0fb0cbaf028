"""Wait for a cluster that does not answer, or that is too busy, and go on when it does again."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event
from typing import TypeVar

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.progress import SILENT, Progress

PATIENCE_S = 600.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 15.0
_PASSES = frozenset({429, 500, 502, 503, 504})
Answer = TypeVar("Answer")


def may_pass(error: EngineError) -> bool:
    """Say whether the same request may be answered a while later.

    No status means that no usable answer came: a node that restarts, a connection that broke.

    Example:
        >>> may_pass(EngineError("breaker", status=429)), may_pass(EngineError("no", status=404))
        (True, False)
    """
    return error.status is None or error.status in _PASSES


class Patience:
    """Asks again while a cluster is away; for calls that may be made twice. Safe from threads.

    The pauses are 0.5 s, 1 s, 2 s … up to 15 s. The first failure is told once, not each try.

    Args:
        seconds: how long to keep asking from the first failure on; an answer ends the count.
        progress: hears that the cluster is away, and that it is back.
        stopped: ends the waiting; the error that is waited for is raised then.
        look: sees, while it is waited for, whether there is anything left to wait for: what it
            raises ends the waiting, unless that may pass itself.
        clock: seconds that only grow.
        wait: waits so many seconds, and says whether to stop.
    """

    def __init__(  # noqa: PLR0913 - the last two are for tests
        self,
        *,
        seconds: float = PATIENCE_S,
        progress: Progress = SILENT,
        stopped: Event | None = None,
        look: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], bool] | None = None,
    ) -> None:
        self.seconds = seconds
        self._progress = progress
        self._look = look
        self._clock = clock
        self._wait = wait or (stopped or Event()).wait
        self.cause = ""
        """Why the cluster is waited for right now; empty for no reason."""

    def call(self, ask: Callable[[], Answer], *, stopped: Event | None = None) -> Answer:
        """Ask until there is an answer.

        Args:
            ask: may be called any number of times.
            stopped: ends the waiting for this answer alone.

        Raises:
            EngineError: the answer will not get any better, or there was none for too long.
        """
        wait = self._wait if stopped is None else stopped.wait
        since, pause = None, _FIRST_PAUSE_S
        while True:
            try:
                answer = ask()
            except EngineError as error:
                if not may_pass(error):
                    raise
                now = self._clock()
                since = now if since is None else since
                left = since + self.seconds - now
                if left <= 0:
                    raise _given_up(error, seconds=self.seconds) from error
                self._tell(error)
                self._look_around()
                if wait(min(pause, left)):
                    raise
                pause = min(_LONGEST_PAUSE_S, pause * 2)
            else:
                if since is not None:
                    self._tell_back()
                return answer

    def _look_around(self) -> None:
        try:
            self._look()
        except EngineError as error:
            if not may_pass(error):
                raise

    def _tell(self, error: EngineError) -> None:
        if not self.cause:
            self._progress.say(f"{error}; trying again for {self.seconds:.0f} s")
        self.cause = str(error)

    def _tell_back(self) -> None:
        if self.cause:
            self._progress.say("OpenSearch answers again")
        self.cause = ""


def _given_up(error: EngineError, *, seconds: float) -> EngineError:
    return type(error)(
        f"{error}; gave up after {seconds:.0f} s: the same command goes on where this one stopped",
        status=error.status,
        kind=error.kind,
    )
