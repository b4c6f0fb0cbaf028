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

_FULL_ENOUGH = 0.5
"""Share of the budget from which on a larger batch takes longer by what is added to it."""
_MOST_PADDING = 1.25
"""Padded tokens of a batch that is filled up, in relation to its own tokens."""


class SharedBatches(Generic[Row, Out]):
    """Runs rows of several requests in common batches, in turn and within a token budget.

    Requests take turns. The one whose turn it is gets a batch for its longest rows, as many as
    the budget holds, and goes to the end of the line when that batch is done: a large request
    delays a small one by a batch and not by all of its own. A batch of few tokens is filled up
    with rows of those who wait, where they are of like length: a model does little more work for
    them, but none of it for padding. Rows whose requester has given up are dropped.

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
        self._jobs: list[_Job[Row, Out]] = []
        self._line: deque[_Job[Row, Out]] = deque()
        """Those with rows ahead; the one whose batch runs is not among them."""
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
            self._line.append(job)
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
            # One that failed may have rows left.
            job.ahead.clear()
            if not job.leads:
                return
            heir = next((other for other in self._jobs if not other.is_done), None)
            self._is_led = heir is not None
            if heir is not None:
                heir.leads = True
                heir.woken.set()

    def _run_next(self) -> None:
        """Run one batch, and wake those who have all they wanted."""
        with self._lock:
            first, places = self._next_batch()
        if first is None:
            return
        self._run(places)
        with self._lock:
            if first.ahead:
                self._line.append(first)
        for job in dict.fromkeys(job for job, _ in places):
            if job.is_done:
                job.woken.set()

    def _next_batch(self) -> tuple[_Job[Row, Out] | None, list[_Place[Row, Out]]]:
        """Take rows of the first in the line, and of the others what fills the batch up."""
        for job in [job for job in self._line if not job.is_wanted]:
            job.give_up()
            job.woken.set()
        waiting = [job for job in self._line if job.ahead]
        if not waiting:
            self._line.clear()
            return None, []
        first, *others = waiting
        longest = first.lengths[first.ahead[0]]
        count = min(len(first.ahead), max(1, self._budget // max(1, longest)))
        places = [(first, first.ahead.popleft()) for _ in range(count)]
        tokens = sum(first.lengths[i] for _, i in places)
        for job in others:
            while (
                row := self._filling(job, count=len(places), longest=longest, tokens=tokens)
            ) >= 0:
                job.ahead.remove(row)
                places.append((job, row))
                longest = max(longest, job.lengths[row])
                tokens += job.lengths[row]
        self._line = deque(job for job in others if job.ahead)
        return first, places

    def _filling(self, job: _Job[Row, Out], *, count: int, longest: int, tokens: int) -> int:
        """Return the position of a row that fits into a batch, or -1."""
        for row in (job.ahead[0], job.ahead[-1]) if job.ahead else ():
            padded = max(longest, job.lengths[row]) * (count + 1)
            if padded <= min(
                _FULL_ENOUGH * self._budget, _MOST_PADDING * (tokens + job.lengths[row])
            ):
                return row
        return -1

    def _run(self, places: list[_Place[Row, Out]]) -> None:
        """Run one batch. Where it fails, each request answers for its own rows alone."""
        try:
            made = self._run_batch([job.rows[i] for job, i in places])
            if self._observe is not None:
                self._observe(len(places))
            for (job, i), one in zip(places, made, strict=True):
                job.made[i] = one
        except Exception as error:  # noqa: BLE001 - whatever it was, it is the requests' answer
            jobs = list(dict.fromkeys(job for job, _ in places))
            if len(jobs) == 1:
                jobs[0].error = error
                return
            for job in jobs:
                self._run([place for place in places if place[0] is job])
