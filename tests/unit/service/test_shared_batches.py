"""Requests that come together share batches, take turns, and leave when nobody waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.service.shared_batches import SharedBatches
from opensearch_funnel.service.waiting import Asker, set_asker

BUDGET = 40
LENGTH = 10
"""Of a row: four of them make a batch."""


class Model:
    """Doubles numbers; runs when it is let, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()
        self.entered = threading.Event()

    def __call__(self, rows: Sequence[int]) -> list[int]:
        self.entered.set()
        self.go.wait()
        self.batches.append(list(rows))
        if any(row < 0 for row in rows):
            raise ArithmeticError("below zero")
        return [2 * row for row in rows]


class Line:
    """Requests in the order that they came, behind one that holds the model."""

    def __init__(
        self, model: Model, batches: SharedBatches[int, int], *, first: Sequence[int] = (0,)
    ) -> None:
        self.model = model
        self.batches = batches
        self.threads = ThreadPoolExecutor(16)
        model.go.clear()
        lengths = [LENGTH] * len(first)
        self.first = self.threads.submit(batches.run, first, lengths=lengths)
        model.entered.wait()

    def add(
        self, rows: list[int], *, asker: Asker | None = None, lengths: Sequence[int] = ()
    ) -> Future[list[int]]:
        waiting = len(self.batches._jobs)  # noqa: SLF001 - when a thread has got in line

        def run() -> list[int]:
            if asker is not None:
                set_asker(asker)
            return self.batches.run(rows, lengths=lengths or [LENGTH] * len(rows))

        future = self.threads.submit(copy_context().run, run)
        while len(self.batches._jobs) == waiting:  # noqa: SLF001 - as above
            time.sleep(0.001)
        return future

    def go(self) -> None:
        self.model.go.set()
        self.threads.shutdown()
        self.first.result()


@given(st.lists(st.lists(st.tuples(st.integers(0, 99), st.integers(1, 60))), max_size=6))
@settings(deadline=None, max_examples=30)
def test_every_request_gets_its_own_rows_in_order(asked: list[list[tuple[int, int]]]) -> None:
    model = Model()
    batches = SharedBatches(model, token_budget=BUDGET)

    def run(rows: list[tuple[int, int]]) -> list[int]:
        return batches.run([row for row, _ in rows], lengths=[length for _, length in rows])

    with ThreadPoolExecutor(6) as threads:
        made = list(threads.map(run, asked))
    assert made == [[2 * row for row, _ in rows] for rows in asked]
    assert sum(map(len, model.batches)) == sum(map(len, asked))


def test_a_single_request_runs_in_its_own_thread_within_the_budget() -> None:
    threads: list[int] = []
    sizes: list[int] = []

    def run_batch(rows: Sequence[int]) -> Sequence[int]:
        threads.append(threading.get_ident())
        return rows

    batches = SharedBatches(run_batch, token_budget=BUDGET, observe=sizes.append)
    assert batches.run(list(range(9)), lengths=[10, 50, 10, 10, 20, 10, 10, 10, 10])
    assert set(threads) == {threading.get_ident()}
    # The long one alone; then two of at most 20 tokens; then four of 10 at a time.
    assert sizes == [1, 2, 4, 2]


def test_small_requests_that_wait_go_together_and_take_turns() -> None:
    model = Model()
    line = Line(model, SharedBatches(model, token_budget=2 * BUDGET))
    line.add([1])
    line.add([2, 3])
    line.add([4, 5])
    line.go()
    # Filled up to half of the budget, four rows.
    assert model.batches == [[0], [1, 2, 3, 4], [5]]


def test_a_batch_is_filled_up_with_rows_of_like_length_only() -> None:
    model = Model()
    batches = SharedBatches(model, token_budget=100)
    line = Line(model, batches)
    line.add([1], lengths=[10])
    line.add([2, 3, 4], lengths=[40, 20, 11])
    line.go()
    assert model.batches == [[0], [1, 4], [2, 3]]


def test_a_large_request_delays_a_small_one_by_the_batch_that_runs() -> None:
    model = Model()
    large = list(range(100, 120))
    line = Line(model, SharedBatches(model, token_budget=BUDGET), first=large)
    line.add([1, 2])
    line.add([3, 4])
    line.go()
    assert model.batches[:4] == [large[:4], [1, 2], [3, 4], large[4:8]]


def test_rows_of_a_requester_who_left_are_dropped() -> None:
    model = Model()
    line = Line(model, SharedBatches(model, token_budget=BUDGET))
    left = Asker(time.monotonic() + 60)
    gone = line.add([1, 2], asker=left)
    late = line.add([3, 4], asker=Asker(time.monotonic() + 0.05))
    stays = line.add([5, 6])
    left.has_left = True
    with pytest.raises(StageUnavailableError, match="nobody waits"):
        late.result()
    line.go()
    assert stays.result() == [10, 12]
    with pytest.raises(StageUnavailableError, match="nobody waits"):
        gone.result()
    assert model.batches == [[0], [5, 6]]


def test_what_one_request_breaks_another_does_not_feel() -> None:
    model = Model()
    line = Line(model, SharedBatches(model, token_budget=BUDGET))
    bad, good = line.add([-1]), line.add([1])
    line.go()
    assert good.result() == [2]
    with pytest.raises(ArithmeticError):
        bad.result()
    assert model.batches == [[0], [-1, 1], [-1], [1]]


def test_a_model_that_answers_for_too_few_rows_fails_the_request() -> None:
    batches = SharedBatches[int, int](lambda rows: rows[1:], token_budget=BUDGET)
    with pytest.raises(ValueError, match="shorter"):
        batches.run([1, 2], lengths=[1, 1])
    assert batches.run([], lengths=[]) == []
