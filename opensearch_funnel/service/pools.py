"""Threads for one stage: bounded, so that a stage that hangs takes nobody else's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import Lock
from typing import TypeVar

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.service.waiting import Asker, set_asker

_MILLISECONDS = 1000
Result = TypeVar("Result")
Observe = Callable[[float], None]
"""Hears how long something took, in seconds."""


class StageBusyError(StageUnavailableError):
    """A stage has as many requests as it takes."""


class DeadlineError(StageUnavailableError):
    """A stage was not done in time."""


class StagePool:
    """Runs a stage's work in threads of its own, and stops waiting at a deadline.

    A thread cannot be stopped: work that was given up goes on, and keeps its place until it
    ends. When no place is left, a request is refused at once and not after its deadline. Work
    that asks (``waiting.current_asker``) hears that nobody waits for it any more.
    """

    def __init__(
        self, stage: str, *, workers: int, places: int, observe: Observe | None = None
    ) -> None:
        """Make the pool.

        Args:
            stage: names the threads, and the stage in errors.
            workers: requests that are worked on at once.
            places: requests that are worked on or wait, those that were given up included.
            observe: hears how long each request took that was answered, its waiting included.
        """
        self.stage = stage
        self.places = places
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=stage)
        self._observe = observe
        self._lock = Lock()
        self._taken = 0

    @property
    def taken(self) -> int:
        """How many requests are worked on or wait, those that were given up included."""
        return self._taken

    async def run(self, work: Callable[[], Result], *, within_ms: int) -> Result:
        """Run some work and return its result; the caller's context variables hold in it.

        Raises:
            StageBusyError: no place is free.
            DeadlineError: the deadline passed.
        """
        start = time.monotonic()
        asker = Asker(start + within_ms / _MILLISECONDS)
        context = copy_context()
        context.run(set_asker, asker)
        self._take_place()
        future = self._threads.submit(context.run, work)
        future.add_done_callback(lambda _: self._free_place())
        try:
            async with asyncio.timeout(within_ms / _MILLISECONDS) as limit:
                result = await asyncio.wrap_future(future)
        except TimeoutError as error:
            if not limit.expired():  # the work's own: a socket, say
                raise
            raise DeadlineError(f"not done within {within_ms} ms") from error
        finally:
            asker.has_left = True
        if self._observe is not None:
            self._observe(time.monotonic() - start)
        return result

    def _take_place(self) -> None:
        with self._lock:
            if self._taken >= self.places:
                raise StageBusyError(f"{self.stage} has {self.places} requests already")
            self._taken += 1

    def _free_place(self) -> None:
        with self._lock:
            self._taken -= 1

    def close(self) -> None:
        """Drop what waits; what runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
