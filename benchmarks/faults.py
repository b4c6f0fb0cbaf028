"""Searches while the service does wrong: all of them answered, and marked where degraded.

A real node, the default form of the search pipeline, a real supervisor and its worker
(fault_worker.py), which is told before a search what to do wrong: late, wrong or no answers of
either stage, a model that fails, a worker that exits, is killed, or is frozen. Every answer is
compared with three that were taken before anything was wrong: the plain query's, the fused one
and the reranked one. The marks of an answer say which of the three it should equal.

Goal: all of 1,000 searches answered in the order of the last stage that was completed, marked
exactly when that is not the plan's last stage; and, where the service hangs, at most the deadline
of the stage and a fifth of it added to the time of such an answer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2

from benchmarks.fault_kinds import BASELINES, ENDING, NONE, SINGLE, Fault
from benchmarks.fault_report import report
from benchmarks.fault_setting import STARTED_S, Bench, Observed, opened, stage_of
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.settings import Settings

_CLIENTS, _PARALLEL_S = 4, 24.0


def run(
    url: str, *, searches: int = 1000, seed: int = 7, progress: Progress = SILENT
) -> dict[str, Any]:
    """Search while things go wrong.

    Args:
        url: a node; its index of a fresh name is deleted at the end.
        searches: how many with the full pipeline, at least two of each kind of fault.
        seed: of the order of the faults, the documents and the queries.
        progress: hears of the phases.

    Returns:
        Per fault: how many, answered, in the right order, marked as they should be, and the time
        added to the median of the same answer without a fault; over all: the same, the service's
        own counts, and whether the goals are reached.
    """
    with opened(url, seed=seed) as bench:
        shuffled = random.Random(seed)  # noqa: S311 - a schedule
        ending = max(1, searches // 350)
        around = 4
        alone = len(ENDING) * ending * around
        parallel = searches // 6
        single = searches - alone - parallel
        progress.say(f"{single} searches, each with a fault of its own")
        _one_by_one(bench, single, shuffled)
        progress.say(f"{alone} searches around the end of a worker")
        for fault in shuffled.sample(ENDING * ending, len(ENDING) * ending):
            meet_the_end(bench, fault, shuffled.choices(bench.queries, k=around))
        progress.say(f"{parallel} searches of {_CLIENTS} clients while workers end")
        texts = shuffled.choices(bench.queries, k=parallel)
        search_in_parallel(bench, texts, lasting_s=_PARALLEL_S)
        counts = httpx2.get(f"{bench.url}/metrics", timeout=10).text
        return report(bench.seen, counts=counts, log=bench.log())


def _one_by_one(bench: Bench, searches: int, shuffled: random.Random) -> None:
    healthy = max(2, searches // 8)
    planned = [NONE] * healthy + [
        SINGLE[i % len(SINGLE)] for i in range(max(searches - healthy, len(SINGLE)))
    ]
    planned += [*BASELINES] * healthy
    shuffled.shuffle(planned)
    for fault in planned:
        bench.tell(fault.stage, fault.kind)
        bench.observe(fault, shuffled.choice(bench.queries), expected=fault.leaves)
    bench.tell()


def meet_the_end(bench: Bench, fault: Fault, texts: Sequence[str]) -> list[Observed]:
    """Let one search meet the end of the worker, and the others the time without one.

    Args:
        bench: where.
        fault: how the worker ends.
        texts: the queries.

    Returns:
        What became of each; the worker is there again.
    """
    later = Fault(fault.stage, f"after {fault.kind}", "plain")
    first, *others = texts
    bench.tell(fault.stage, fault.kind)
    seen = [bench.observe(fault, first, expected=fault.leaves)]
    bench.tell()
    seen += [bench.observe(later, text, expected=None) for text in others]
    wait_until_whole(bench)
    return seen


def search_in_parallel(bench: Bench, texts: Sequence[str], *, lasting_s: float) -> list[Observed]:
    """Let some clients search while workers are killed, frozen, and do not start.

    Args:
        bench: where.
        texts: the queries.
        lasting_s: how long all of it takes; slowly enough that the worker is back before the
            next thing happens to it.

    Returns:
        What became of each; the worker is there again.
    """
    fault = Fault("outside", "worker killed, frozen, not starting", "plain")
    searches = len(texts)

    def not_starting() -> None:
        bench.tell("start", "exits")
        _signal(bench, signal.SIGKILL)

    moments: dict[int, Callable[[], None]] = {
        searches // 8: lambda: _signal(bench, signal.SIGKILL),
        searches // 2: lambda: _signal(bench, signal.SIGSTOP),
        searches * 3 // 4: not_starting,
        searches * 7 // 8: bench.tell,
    }

    def one(numbered: tuple[int, str]) -> Observed:
        number, text = numbered
        moments.get(number, lambda: None)()
        seen = bench.observe(fault, text, expected=None)
        time.sleep(lasting_s * _CLIENTS / searches)
        return seen

    with ThreadPoolExecutor(_CLIENTS) as clients:
        seen = list(clients.map(one, enumerate(texts)))
    bench.tell()
    wait_until_whole(bench)
    return seen


def _signal(bench: Bench, number: signal.Signals) -> None:
    """Send the worker a signal; where it is dead just now, the next one."""
    end = time.monotonic() + STARTED_S
    while time.monotonic() < end:
        try:
            os.kill(int((bench.folder / "worker.pid").read_text(encoding="ascii")), number)
        except ProcessLookupError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("no worker came up to be killed")


def wait_until_whole(bench: Bench, *, within_s: float = STARTED_S) -> float:
    """Wait until a search gets the whole funnel again; return the seconds that it took."""
    start = time.monotonic()
    while time.monotonic() - start < within_s:
        answer, _ = bench.search(bench.queries[0], pipeline=bench.pipelines["complete"])
        if stage_of(answer) == "complete":
            return time.monotonic() - start
        time.sleep(0.05)
    raise RuntimeError(f"the service did not recover within {within_s:.0f} s")


def main() -> int:
    """Run from the shell: prints one JSON object; exit status 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=Settings().url, help="a node")
    parser.add_argument("--searches", type=int, default=1000)
    arguments = parser.parse_args()
    found = run(arguments.url, searches=arguments.searches)
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")
    reached = found["right_order_and_mark"] == found["searches"] and found["within_limit"]
    return 0 if reached else 1


if __name__ == "__main__":
    sys.exit(main())
