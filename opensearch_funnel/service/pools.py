"""Threads for one stage: bounded, so that a stage that hangs takes nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import TypeVar

from opensearch_funnel.core.errors import StageUnavailableError

_MILLISECONDS = 1000
Result = TypeVar("Result")


class StagePool:
    """Runs a stage's work in threads of its own, and stops waiting at a deadline.

    A thread cannot be stopped: work that was given up goes on, and keeps its place until it
    ends. When no place is left, a request is refused at once and not after its deadline.
    """

    def __init__(self, stage: str, *, workers: int, places: int) -> None:
        """Make the pool.

        Args:
            stage: names the threads, and the stage in errors.
            workers: requests that are worked on at once.
            places: requests that are worked on or wait, those that were given up included.
        """
        self._stage = stage
        self._places = places
        self._threads = ThreadPoolExecutor(workers, thread_name_prefix=stage)
        self._free = BoundedSemaphore(places)

    async def run(self, work: Callable[[], Result], *, within_ms: int) -> Result:
        """Run some work and return its result.

        Raises:
            StageUnavailableError: no place is free, or the deadline passed.
        """
        if not self._free.acquire(blocking=False):
            raise StageUnavailableError(f"{self._stage} has {self._places} requests already")
        future = self._threads.submit(work)
        future.add_done_callback(lambda _: self._free.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), within_ms / _MILLISECONDS)
        except TimeoutError as error:
            raise StageUnavailableError(f"not done within {within_ms} ms") from error

    def close(self) -> None:
        """Drop what waits; what runs ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)
