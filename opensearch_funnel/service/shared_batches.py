"""One model, many requests: what they bring goes through the model together.

There is no thread and no timer of its own. The first request that finds the model free leads: it
runs batches until its own rows are done, and hands over to one that still waits. So a single
request runs as if it were alone, at once and in its own thread, and batches fill up by themselves
when requests come faster than the model answers.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Generic, TypeVar

import numpy as np

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.service.waiting import Asker, current_asker

Row = TypeVar("Row")
Out = TypeVar("Out")


@dataclass(slots=True, eq=False)
class _Job(Generic[Row, Out]):
    """What one request brought."""

    rows: Sequence[Row]
    lengths: Sequence[int]
    asker: Asker | None
    ahead: deque[int]
    """Positions of the rows that no batch has taken yet, longest first."""
    made: dict[int, Out] = field(default_factory=dict)
    error: Exception | None = None
    leads: bool = False
    woken: Event = field(default_factory=Event)

    @property
    def is_done(self) -> bool:
        return self.error is not None or len(self.made) == len(self.rows)

    @property
    def is_wanted(self) -> bool:
        return self.error is None and (self.asker is None or self.asker.waits)

    def give_up(self) -> None:
        self.ahead.clear()
        if not self.is_done:
            self.error = StageUnavailableError("nobody waits for this any more")


_Place = tuple["_Job[Row, Out]", int]


class SharedBatches(Generic[Row, Out]):
    """Runs rows of several requests in common batches, in turn and within a token budget.

    Requests take turns. The one whose turn it is gets a batch for its longest rows, as many as
    the budget holds; what is left of the budget is filled with rows of those behind it. So a
    large request delays a small one by a batch and not by all of its own, and requests that came
    first are done first. Rows whose requester has given up are dropped.

    Example:
        >>> doubled = SharedBatches(lambda rows: [2 * row for row in rows], token_budget=8)
        >>> doubled.run([1, 2, 3], lengths=[4, 4, 4])
        [2, 4, 6]
    """

    def __init__(
        self,
        run_batch: Callable[[Sequence[Row]], Sequence[Out]],
        *,
        token_budget: int,
        observe: Callable[[int], None] | None = None,
    ) -> None:
        """Make the batches of one model.

        Args:
            run_batch: runs the model once; what it makes of a row must not depend on the others.
            token_budget: the most padded tokens of one batch; a longer row goes alone.
            observe: hears how many rows each batch had.
        """
        self._run_batch = run_batch
        self._budget = token_budget
        self._observe = observe
        self._lock = Lock()
        self._jobs: deque[_Job[Row, Out]] = deque()
        self._is_led = False

    def run(self, rows: Sequence[Row], *, lengths: Sequence[int]) -> list[Out]:
        """Run rows and return what the model makes of each, in the order given.

        Args:
            rows: tokens of one text, or of a pair.
            lengths: how many tokens each row has.

        Raises:
            StageUnavailableError: whoever asked for this has given up.
        """
        if not rows:
            return []
        order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
        job = _Job[Row, Out](rows, lengths, current_asker(), deque(order.tolist()))
        with self._lock:
            self._jobs.append(job)
            job.leads = not self._is_led
            self._is_led = True
        try:
            while not job.is_done:
                if job.leads:
                    self._run_next()
                else:
                    self._wait(job)
        finally:
            self._leave(job)
        if job.error is not None:
            raise job.error
        return [job.made[i] for i in range(len(rows))]

    def _wait(self, job: _Job[Row, Out]) -> None:
        """Wait until the job is done, has to lead, or is given up."""
        left = None if job.asker is None else max(0.0, job.asker.deadline - time.monotonic())
        if not job.woken.wait(left) and not job.is_wanted:
            with self._lock:
                job.give_up()
        # What it was woken for is written down in the job, so that nothing is lost here.
        job.woken.clear()

    def _leave(self, job: _Job[Row, Out]) -> None:
        """Take a job out, and let another one lead if it did."""
        with self._lock:
            self._jobs.remove(job)
            if not job.leads:
                return
            heir = next((other for other in self._jobs if not other.is_done), None)
            self._is_led = heir is not None
            if heir is not None:
                heir.leads = True
                heir.woken.set()

    def _run_next(self) -> None:
        """Run one batch, and wake those who have all they wanted."""
        places = self._next_batch()
        if places:
            self._run(places)
        for job in {job for job, _ in places}:
            if job.is_done:
                job.woken.set()

    def _next_batch(self) -> list[_Place[Row, Out]]:
        """Take rows of the first jobs in turn, until the batch is full."""
        places: list[_Place[Row, Out]] = []
        longest = 0
        with self._lock:
            for _ in range(len(self._jobs)):
                job = self._jobs[0]
                if not job.is_wanted:
                    job.give_up()
                    job.woken.set()
                while job.ahead:
                    longer = max(longest, job.lengths[job.ahead[0]])
                    if places and longer * (len(places) + 1) > self._budget:
                        break
                    longest = longer
                    places.append((job, job.ahead.popleft()))
                if places and places[-1][0] is not job:
                    break
                # Who had a turn is the last to have the next one.
                self._jobs.rotate(-1)
        return places

    def _run(self, places: list[_Place[Row, Out]]) -> None:
        """Run one batch. Where it fails, each request answers for its own rows alone."""
        try:
            made = self._run_batch([job.rows[i] for job, i in places])
            if self._observe is not None:
                self._observe(len(places))
            for (job, i), one in zip(places, made, strict=True):
                job.made[i] = one
        except Exception as error:  # noqa: BLE001 - whatever it was, it is the requests' answer
            jobs = {job for job, _ in places}
            if len(jobs) == 1:
                jobs.pop().error = error
                return
            for job in jobs:
                self._run([place for place in places if place[0] is job])
