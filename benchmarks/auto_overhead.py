"""What it adds to a search that its legs are weighed for it: ``auto`` against fixed RRF.

Both through the applied pipeline and the product's service, which has stand-ins for models
(overhead_worker.py), over the documents of benchmarks/overhead.py, as many as ``msrd_movies`` has.
Nothing is reranked. One client asks each query of both plans in turns, in another order each time;
a round is all queries, and what counts is the median of the rounds' medians.

On one shard alone the engine fetches every candidate of every leg before it fuses them: RRF is
slow there and ``auto`` faster. So two shards are measured, too, and the goal holds for both.

Run it from the root: ``python -m benchmarks.auto_overhead --url http://127.0.0.1:9250``. Goal: no
errors, no answer fused with fixed weights, and at most 5 ms more than RRF at the median.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import random
import signal
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from opensearchpy import OpenSearch

from benchmarks.overhead import QUERIES, Way, service
from benchmarks.overhead_index import INDEX, filled_index, words
from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Fusion
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.settings import Settings

GOAL_MS = 5.0
ROUNDS = 5
DOCUMENTS = 9750
_SIZE = 10
_WORDS_A_QUERY = 4
_PATIENT = Deadlines(rewrite_ms=20_000, rank_ms=20_000)
_FUSIONS = {"rrf": Fusion(technique="rrf"), "auto": Fusion(technique="auto")}


def rounds_of(ways: Mapping[str, Way], *, rounds: int) -> dict[str, Any]:
    """Ask every query of each way in turns, round after round.

    Returns:
        The median of each way and round in milliseconds, and how many answers were errors or
        degraded.
    """
    medians: dict[str, list[float]] = {name: [] for name in ways}
    errors = late = 0
    order = list(ways)
    shuffling = random.Random(2)  # noqa: S311 - the same orders each time
    for _ in range(rounds):
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(QUERIES):
            shuffling.shuffle(order)
            for name in order:
                try:
                    one, content = ways[name].ask(number)
                except (FunnelError, OSError) as error:
                    errors += 1
                    logging.getLogger(__name__).warning("%s", error)
                    continue
                taken[name].append(one)
                late += degraded(json.loads(content))
        for name, times in taken.items():
            medians[name].append(statistics.median(times))
    return {"medians_ms": medians, "errors": errors, "degraded": late}


def compared(found: Mapping[str, Any]) -> dict[str, Any]:
    """Compare the rounds of both ways.

    Example:
        >>> compared({"medians_ms": {"rrf": [10.0, 12.0, 11.0], "auto": [12.0, 13.0, 13.5]}})
        {'rrf_p50_ms': 11.0, 'auto_p50_ms': 13.0, 'added_ms': 2.0, 'ratio': 1.2}
    """
    rrf, auto = found["medians_ms"]["rrf"], found["medians_ms"]["auto"]
    pairs = list(zip(rrf, auto, strict=True))
    return {
        "rrf_p50_ms": round(statistics.median(rrf), 2),
        "auto_p50_ms": round(statistics.median(auto), 2),
        "added_ms": round(statistics.median(b - a for a, b in pairs), 2),
        "ratio": round(statistics.median(b / a for a, b in pairs), 2),
    }


def on_shards(  # noqa: PLR0913 - the parts of one measurement
    client: OpenSearch,
    settings: Settings,
    *,
    service_url: str,
    shards: int,
    documents: int,
    rounds: int,
) -> dict[str, Any]:
    """Measure on an index of so many shards, which is made for it and deleted afterwards."""
    randomness = random.Random(3)  # noqa: S311 - the same queries each time
    bodies = [
        {
            "query": {"match": {"text": {"query": words(randomness, _WORDS_A_QUERY)}}},
            "size": _SIZE,
        }
        for _ in range(QUERIES)
    ]
    with ExitStack() as stack:
        stack.enter_context(filled_index(client, documents=documents, shards=shards))
        ways: dict[str, Way] = {}
        for name, fusion in _FUSIONS.items():
            plan = FunnelPlan(alias=INDEX, fusion=fusion, deadlines=_PATIENT)
            plan = bound_plan(client, plan)
            done = apply_pipeline(
                client, plan, service_url=service_url, name=f"{INDEX}-{name}", default=False
            )
            stack.callback(remove_pipeline, client, done.name)
            query = f"search_pipeline={done.name}"
            ways[name] = Way(settings.url, bodies=bodies, query=query)
        rounds_of(ways, rounds=1)  # warm
        found = rounds_of(ways, rounds=rounds)
    return {**compared(found), **found}


def run(
    settings: Settings,
    *,
    documents: int = DOCUMENTS,
    shards: Sequence[int] = (1, 2),
    rounds: int = ROUNDS,
) -> dict[str, Any]:
    """Measure.

    Args:
        settings: a cluster that wants neither TLS nor a password; its index of the benchmark's
            name is replaced.
        documents: in the index.
        shards: of the index, one number after the other.
        rounds: of all queries.

    Raises:
        FunnelError: no cluster or service answers.
    """
    client = connect(settings)
    with service(settings) as service_url:
        found = {
            str(number): on_shards(
                client,
                settings,
                service_url=service_url,
                shards=number,
                documents=documents,
                rounds=rounds,
            )
            for number in shards
        }
    return {
        "shards": found,
        "documents": documents,
        "size": _SIZE,
        "goal_added_ms": GOAL_MS,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "reached": all(
            one["added_ms"] <= GOAL_MS and not one["errors"] and not one["degraded"]
            for one in found.values()
        ),
    }


def table(found: Mapping[str, Any]) -> str:
    """Lay the figures out for a person."""
    lines = [f"{'shards':>6}{'rrf p50':>10}{'auto p50':>10}{'added ms':>10}{'ratio':>8}"]
    for number, one in found["shards"].items():
        lines.append(
            f"{number:>6}{one['rrf_p50_ms']:>10}{one['auto_p50_ms']:>10}{one['added_ms']:>10}"
            f"{one['ratio']:>8}"
        )
        if one["errors"] or one["degraded"]:
            lines.append(f"       errors {one['errors']}, degraded {one['degraded']}")
    reached = "reached" if found["reached"] else "NOT reached"
    lines.append(f"goal: at most {found['goal_added_ms']} ms added: {reached}")
    return "\n".join(lines)


def main() -> int:
    """Run from the shell; exit status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="the cluster; FUNNEL_URL or the embedded node by default")
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--output", choices=["table", "json"], default="table")
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level="WARNING", format="%(levelname)s %(message)s")
    logging.getLogger("opensearch").setLevel(logging.ERROR)
    settings = Settings(**({"url": arguments.url} if arguments.url else {}))
    # What was made in the cluster is taken back, also when a time limit ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        found = run(
            settings,
            documents=arguments.documents,
            shards=arguments.shards,
            rounds=arguments.rounds,
        )
    except FunnelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    text = json.dumps(found, indent=1) if arguments.output == "json" else table(found)
    sys.stdout.write(text + "\n")
    return 0 if found["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
