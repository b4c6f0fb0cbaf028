"""What a migration does to everybody's searches: their latency beside it, against without it.

A node and a migration on one machine, which is the worst case: the encoder wants the cores that
the searches need. Searches come at a fixed rate, each at its own time whether the one before it
was answered or not, and are timed from when they should have been sent. Three states take turns in
every round, in another order each time: no migration, a migration that watches searches
(``--throttle auto``), and one that does not (``--throttle off``).

Goal: with the throttle, the 99th percentile at most 1.3 times that without a migration.

``python -m benchmarks.migrate_foreground --url http://127.0.0.1:9250``
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from benchmarks.migrate_setting import FIELDS, Setting, planned
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.engine.client import connect
from opensearch_funnel.migrating.canary import common_words
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import load_migration
from opensearch_funnel.settings import Settings, load_settings

GOAL = 1.3
_ROOT = Path(__file__).resolve().parents[1]
_STATES = ("none", "auto", "off")
_CLIENTS = 32
_STARTS_S = 300.0


@dataclass(frozen=True, slots=True)
class Timed:
    """A search: how long its client waited, and what the node says that it took."""

    waited_ms: float
    took_ms: float


def run(  # noqa: PLR0913 - the size of the run
    url: str,
    *,
    documents: int = 60_000,
    rounds: int = 4,
    seconds: float = 30.0,
    per_second: float = 20.0,
    datasets: Path | None = None,
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Time searches with and without a migration beside them.

    Args:
        url: a node; what is made on it is deleted at the end.
        documents: how many there are to migrate: more than there is time for.
        rounds: how often the states take turns.
        seconds: how long each is timed.
        per_second: searches.
        datasets: the folder with ``msrd_movies``; without it, documents are made up.
        progress: hears of every state.

    Returns:
        Of each state documents a second, what clients waited in milliseconds, what the node says
        that searches took (``node_``), and the ratios of both to no migration.
    """
    client = connect(Settings(url=url), pool_size=_CLIENTS)
    timed: dict[str, list[Timed]] = {state: [] for state in _STATES}
    copied: dict[str, list[float]] = {state: [] for state in _STATES}
    with planned(
        client,
        documents=documents,
        datasets=datasets,
        encoders="splade-tiny",
        seed=1,
        progress=progress,
    ) as setting:
        queries = _queries(client, setting.source)
        _searches(client, setting.alias, queries, seconds=5.0, per_second=per_second)
        with progress.task("timing", total=rounds * len(_STATES), unit="states") as advance:
            for number in range(rounds):
                order = _STATES[number % 3 :] + _STATES[: number % 3]
                for state in order:
                    with _migrating(setting, url=url, throttle=state):
                        before, begun = _written(setting), time.monotonic()
                        timed[state] += _searches(
                            client,
                            setting.alias,
                            queries,
                            seconds=seconds,
                            per_second=per_second,
                        )
                        elapsed = time.monotonic() - begun
                        copied[state].append((_written(setting) - before) / elapsed)
                    advance(1)
    found = {
        state: {
            **_spread([one.waited_ms for one in timed[state]]),
            **_spread([one.took_ms for one in timed[state]], prefix="node_"),
            "documents_per_second": round(_mean(copied[state]), 1),
        }
        for state in _STATES
    }
    cuts = ("p50_ms", "p99_ms", "node_p50_ms", "node_p99_ms")
    ratios = {
        state: {cut: round(found[state][cut] / max(1.0, found["none"][cut]), 2) for cut in cuts}
        for state in ("auto", "off")
    }
    return {
        "states": found,
        "times_none": ratios,
        "goal": GOAL,
        "reached": ratios["auto"]["p99_ms"] <= GOAL,
        "searches_per_second": per_second,
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }


def _queries(client: OpenSearch, index: str) -> list[str]:
    """Return searches as people make them: two words that some documents have."""
    answer = client.search(
        index=index,
        body={"size": 300, "query": {"function_score": {"random_score": {"seed": 1}}}},
        params={"search_pipeline": "_none"},
    )
    rng = random.Random(1)  # noqa: S311 - words
    found: list[str] = []
    for hit in answer["hits"]["hits"]:
        words = common_words([encoded_text(hit["_source"], fields=FIELDS)])
        found.append(" ".join(rng.sample(words, k=min(2, len(words)))))
    return found


def _searches(
    client: OpenSearch, alias: str, queries: list[str], *, seconds: float, per_second: float
) -> list[Timed]:
    """Search at a fixed rate, and time each."""
    begun = time.monotonic()

    def one(number: int) -> Timed:
        due = begun + number / per_second
        time.sleep(max(0.0, due - time.monotonic()))
        query = {"multi_match": {"query": queries[number % len(queries)], "fields": list(FIELDS)}}
        answer = client.search(
            index=alias, body={"query": query, "size": 10}, params={"search_pipeline": "_none"}
        )
        return Timed((time.monotonic() - due) * 1000, answer["took"])

    with ThreadPoolExecutor(_CLIENTS) as clients:
        return list(clients.map(one, range(int(seconds * per_second))))


@contextmanager
def _migrating(setting: Setting, *, url: str, throttle: str) -> Iterator[None]:
    """Run a migration in a process of its own while the context is open."""
    if throttle == "none":
        yield
        return
    before = _written(setting)
    command = [sys.executable, "-m", "opensearch_funnel", "migrate", "run", setting.alias]
    command += ["--throttle", throttle, "--url", url]
    running = subprocess.Popen(  # noqa: S603 - this package
        command, cwd=_ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        end = time.monotonic() + _STARTS_S
        while _written(setting) == before:
            _see_at_work(running)
            if time.monotonic() > end:
                raise RuntimeError(f"nothing was written in {_STARTS_S:.0f} s")
            time.sleep(0.2)
        yield
        _see_at_work(running)
    finally:
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=_STARTS_S)


def _see_at_work(running: subprocess.Popen[str]) -> None:
    if running.poll() is not None:
        said = running.stderr.read()[-500:] if running.stderr else ""
        raise RuntimeError(f"the migration ended before the timing did (more documents?): {said}")


def _written(setting: Setting) -> int:
    migration = load_migration(setting.client, setting.alias)
    slices = Journal(setting.client, target=migration.target).slices()
    return sum(one.written for one in slices)


def _spread(taken: list[float], *, prefix: str = "") -> dict[str, float]:
    cuts = statistics.quantiles(taken, n=100)
    named = (("p50_ms", 49), ("p95_ms", 94), ("p99_ms", 98))
    return {prefix + name: round(cuts[place], 2) for name, place in named}


def _mean(values: list[float]) -> float:
    return statistics.fmean(values) if values else 0.0


def main() -> int:
    """Run from the shell: prints one JSON object; exit status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default=Settings().url, help="a node")
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--per-second", type=float, default=20.0)
    told = parser.parse_args()
    found = run(
        told.url,
        documents=told.documents,
        rounds=told.rounds,
        seconds=told.seconds,
        per_second=told.per_second,
        datasets=load_settings().datasets,
    )
    json.dump(found, sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0 if found["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
