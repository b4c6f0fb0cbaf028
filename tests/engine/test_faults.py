"""Searches while the service does wrong, on the real node: the short form of benchmarks/faults.py.

A supervisor and its worker as real processes; stand-ins for the models.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.fault_kinds import ENDING, NONE, SINGLE, Fault
from benchmarks.fault_report import report
from benchmarks.fault_setting import Bench, Observed, opened
from benchmarks.faults import meet_the_end, search_in_parallel

pytestmark = pytest.mark.engine

# One of each kind that ends the worker, and both stages in turn: each costs a start of a worker.
SOME_ENDING = ENDING[:4:2] + ENDING[5::2]


@pytest.fixture(scope="module")
def bench(node_url: str) -> Iterator[Bench]:
    with opened(node_url, seed=3) as made:
        yield made


@pytest.fixture(autouse=True)
def healthy_afterwards(bench: Bench) -> Iterator[None]:
    yield
    bench.tell()


def judge(seen: Observed) -> None:
    assert seen.error == ""
    assert seen.right, f"{seen.fault}: not the hits of {seen.got}"


@pytest.mark.parametrize("fault", [NONE, *SINGLE], ids=lambda fault: fault.name)
def test_an_answer_has_the_order_of_its_last_stage_and_says_so(bench: Bench, fault: Fault) -> None:
    for attempt in range(3):
        bench.tell(fault.stage, fault.kind)
        seen = bench.observe(fault, bench.queries[attempt], expected=fault.leaves)
        judge(seen)
        # A busy machine may miss a deadline that nothing was wrong with.
        if seen.got == fault.leaves:
            break
    assert seen.got == fault.leaves


@pytest.mark.parametrize("fault", SOME_ENDING, ids=lambda fault: fault.name)
def test_a_search_that_meets_the_end_of_the_worker_is_answered(bench: Bench, fault: Fault) -> None:
    first, *others = meet_the_end(bench, fault, bench.queries[:4])
    judge(first)
    assert first.got in {"plain", fault.leaves}
    for seen in others:
        judge(seen)


def test_searches_of_many_clients_survive_killed_and_frozen_workers(bench: Bench) -> None:
    seen = search_in_parallel(bench, [bench.queries[n % 10] for n in range(60)], lasting_s=9.0)
    for one in seen:
        judge(one)
    assert {one.got for one in seen} >= {"plain"}
    found = report(bench.seen, counts="", log=bench.log())
    assert found["searches"] == found["answered"] == found["right_order_and_mark"]
    assert found["logged"]["ids"] == found["logged"]["ids_once"]
    assert found["logged"]["degraded_after_rewrite"] == found["logged"]["of_these_once"]
