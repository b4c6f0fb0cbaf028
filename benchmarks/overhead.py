"""What the two hops to the service add to a search, against the same hybrid query sent directly.

A real node and the product's service under its supervisor. So that the hops are measured, and not
models, the worker has stand-ins (overhead_worker.py): a vector and about 40 term weights for each
query, made once and kept, and a reranker that answers at once. Documents are made up, with what
real ones have: words of Zipf's law, 95 term weights, a vector of 384 numbers.

The index has two shards. On one alone the engine fetches every candidate of every leg before it
fuses them, which makes the hybrid query many times slower, and the hops look small.

* ``funnel``: the client's plain ``match`` through the default pipeline: rewrite, hybrid, rank
* ``direct``: the very body that the rewrite makes of it, through a pipeline that only fuses
* ``direct, page``: the same at the size that the client asked for, which cannot be reranked
* ``plain``: the client's ``match`` and no pipeline

One client asks them in turns, query by query, in another order each time. Then 20 clients ask
together, block by block in turns, so that a busy machine slows all of them.

Run it from the root: ``python -m benchmarks.overhead --url http://127.0.0.1:9250``. Goal: no
errors; with one client ``funnel`` takes at most twice as long as ``direct`` at the median.
"""

from __future__ import annotations

import argparse
import http.client
import json
import logging
import os
import platform
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import cycle, islice
from pathlib import Path
from threading import local
from typing import Any
from urllib.parse import urlsplit

import httpx2
from opensearchpy import OpenSearch

from benchmarks.overhead_index import INDEX, filled_index, words
from opensearch_funnel.core.errors import FunnelError, StageUnavailableError
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Reranking
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.search_pipelines import fusion_pipeline
from opensearch_funnel.settings import Settings

logger = logging.getLogger(__name__)

GOAL = 2.0
CLIENTS = 20
QUERIES = 200
WORKER = Path(__file__).with_name("overhead_worker.py")
_WORDS_A_QUERY = 4
_BLOCK = 100
_WARM = 200
_MILLISECONDS = 1000
_MAX_SCORE = re.compile(rb'"max_score":([0-9.Ee+-]+)')
_LIFTED = Deadlines(rewrite_ms=20_000, rank_ms=20_000)


# The service, in processes of its own.


@contextmanager
def service(settings: Settings) -> Iterator[str]:
    """Run the service while the context is open, and give its URL."""
    child = subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, str(WORKER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings.environment()},
    )
    try:
        assert child.stdout is not None  # noqa: S101 - PIPE was asked for
        announced = child.stdout.readline().strip()
        if not announced:
            raise StageUnavailableError("the service did not start: see above")
        yield announced
    finally:
        child.communicate()


# What is sent, and how long it takes.


class Way:
    """One of the ways to ask: the same queries, each with a body and an address of its own."""

    def __init__(self, url: str, *, bodies: Sequence[Any], query: str = "") -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._path = f"/{INDEX}/_search?{query}"
        self.bodies = [json.dumps(body).encode() for body in bodies]
        self._connections = local()

    def ask(self, number: int) -> tuple[float, bytes]:
        """Send one of the queries; return the milliseconds until the answer was read, and it.

        Raises:
            FunnelError: the answer is an error.
        """
        connection = getattr(self._connections, "kept", None)
        if connection is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
            self._connections.kept = connection
        start = time.perf_counter()
        connection.request(
            "POST",
            self._path,
            body=self.bodies[number % len(self.bodies)],
            headers={"content-type": "application/json"},
        )
        answer = connection.getresponse()
        content = answer.read()
        taken = (time.perf_counter() - start) * _MILLISECONDS
        if answer.status != http.HTTPStatus.OK or b'"failed":0' not in content:
            raise FunnelError(f"{answer.status}: {content[:300]!r}")
        return taken, content


def reranked(content: bytes) -> bool:
    """Say whether an answer went through both stages."""
    found = _MAX_SCORE.search(content)
    return b'"_funnel"' in content and found is not None and float(found[1]) > _MILLISECONDS


class Times:
    """Milliseconds of one way, and what went wrong."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.errors = 0
        self.degraded = 0
        self.seconds = 0.0

    def summary(self) -> dict[str, float]:
        """Return median and 95th percentile in milliseconds, and the searches a second."""
        cuts = statistics.quantiles(self.taken, n=100)
        found = {
            "p50_ms": round(cuts[49], 2),
            "p95_ms": round(cuts[94], 2),
            "searches": len(self.taken),
            "errors": self.errors,
            "degraded": self.degraded,
        }
        if self.seconds:
            found["searches_a_second"] = round(len(self.taken) / self.seconds, 1)
        return found


def _add(times: Times, way: Way, number: int, *, marked: bool) -> None:
    try:
        taken, content = way.ask(number)
    except (FunnelError, OSError, http.client.HTTPException) as error:
        times.errors += 1
        logger.warning("%s", error)
        return
    times.taken.append(taken)
    times.degraded += marked and not reranked(content)


def one_client(ways: Mapping[str, Way], *, searches: int) -> dict[str, Times]:
    """Ask one query after the other, each on all ways in turns."""
    times = {name: Times() for name in ways}
    order = list(ways)
    shuffling = random.Random(2)  # noqa: S311 - the same orders each time
    for number in range(searches):
        shuffling.shuffle(order)
        for name in order:
            _add(times[name], ways[name], number, marked=name == "funnel")
    return times


def many_clients(ways: Mapping[str, Way], *, searches: int, clients: int) -> dict[str, Times]:
    """Ask with many clients at once, a block of searches on each way in turns."""
    times = {name: Times() for name in ways}
    with ThreadPoolExecutor(clients) as pool:
        for first in range(0, searches, _BLOCK):
            block = range(first, min(first + _BLOCK, searches))
            for name, way in ways.items():
                start = time.perf_counter()
                for done in [
                    pool.submit(_add, times[name], way, number, marked=name == "funnel")
                    for number in block
                ]:
                    done.result()
                times[name].seconds += time.perf_counter() - start
    return times


# The whole.


def prepared_ways(
    client: OpenSearch, plan: FunnelPlan, *, url: str, service_url: str, stack: ExitStack
) -> dict[str, Way]:
    """Return the ways to ask, with the bodies that the service makes of the same queries."""
    randomness = random.Random(3)  # noqa: S311 - the same queries each time
    plain = [
        {"query": {"match": {"text": {"query": words(randomness, _WORDS_A_QUERY)}}}}
        for _ in range(QUERIES)
    ]
    address = f"{service_url}/v1/plans/{plan.plan_id}/rewrite"
    rewritten = []
    for body in plain:
        answer = httpx2.post(address, json={"source": body}).raise_for_status().json()
        upgraded = json.loads(answer["body"])
        upgraded.pop("ext")  # what travels to rank, which is not asked
        rewritten.append(upgraded)
    fusing = f"{INDEX}-fuse"
    path = f"/_search/pipeline/{fusing}"
    client.transport.perform_request("PUT", path, body=fusion_pipeline(plan))
    stack.callback(client.transport.perform_request, "DELETE", path)
    paged = [{**body, "size": 10} for body in rewritten]
    return {
        "funnel": Way(url, bodies=plain),
        "direct": Way(url, bodies=rewritten, query=f"search_pipeline={fusing}"),
        "direct, page": Way(url, bodies=paged, query=f"search_pipeline={fusing}"),
        "plain": Way(url, bodies=plain, query="search_pipeline=_none"),
    }


def run(  # noqa: PLR0913 - independent options, all with defaults
    settings: Settings,
    *,
    documents: int = 5000,
    shards: int = 2,
    searches: int = 2000,
    alone: int = 600,
    clients: int = CLIENTS,
    deadlines: Deadlines = _LIFTED,
) -> dict[str, Any]:
    """Measure.

    Args:
        settings: a cluster that wants neither TLS nor a password; its index of the benchmark's
            name is replaced.
        documents: in the index.
        shards: of the index.
        searches: of many clients, on each way.
        alone: of one client, on each way.
        clients: how many ask at once.
        deadlines: of the plan; lifted by default, so that nothing is cut short.

    Returns:
        The figures of each way, and how often longer ``funnel`` takes than ``direct``.

    Raises:
        FunnelError: no cluster or service answers.
    """
    client = connect(settings)
    with ExitStack() as stack:
        stack.enter_context(filled_index(client, documents=documents, shards=shards))
        service_url = stack.enter_context(service(settings))
        rerank = Reranking(enabled=True)
        plan = bound_plan(client, FunnelPlan(alias=INDEX, rerank=rerank, deadlines=deadlines))
        done = apply_pipeline(client, plan, service_url=service_url, default=True)
        stack.callback(remove_pipeline, client, done.name)
        ways = prepared_ways(client, plan, url=settings.url, service_url=service_url, stack=stack)
        for number in islice(cycle(range(QUERIES)), _WARM):
            for way in ways.values():
                way.ask(number)
        one = {name: t.summary() for name, t in one_client(ways, searches=alone).items()}
        many_clients(ways, searches=_WARM, clients=clients)
        many = {
            name: t.summary()
            for name, t in many_clients(ways, searches=searches, clients=clients).items()
        }
    return {
        "one_client": one,
        "ratio_p50": round(one["funnel"]["p50_ms"] / one["direct"]["p50_ms"], 2),
        "goal_ratio": GOAL,
        "clients": clients,
        "many_clients": many,
        "documents": documents,
        "shards": shards,
        "depth": plan.depth,
        "reranked": plan.rerank.depth,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def passed(found: Mapping[str, Any]) -> bool:
    """Say whether the goal is reached."""
    errors = sum(found[who]["funnel"]["errors"] for who in ("one_client", "many_clients"))
    return bool(errors == 0 and found["ratio_p50"] <= GOAL)


def table(found: Mapping[str, Any]) -> str:
    """Lay the figures out for a person."""
    many = f"{found['clients']} clients"
    lines = [f"{'':14}{'1 client p50':>14}{'p95':>8}{many + ' p50':>18}{'p95':>8}{'/s':>8}"]
    for name, one in found["one_client"].items():
        together = found["many_clients"][name]
        lines.append(
            f"{name:14}{one['p50_ms']:>14}{one['p95_ms']:>8}{together['p50_ms']:>18}"
            f"{together['p95_ms']:>8}{together['searches_a_second']:>8}"
        )
    funnels = [found["one_client"]["funnel"], found["many_clients"]["funnel"]]
    errors = sum(one["errors"] for one in funnels)
    degraded = sum(one["degraded"] for one in funnels)
    lines.append(
        f"funnel : direct, one client, p50: {found['ratio_p50']} (goal: at most "
        f"{found['goal_ratio']}); errors {errors}, degraded {degraded}"
    )
    return "\n".join(lines)


def main() -> int:
    """Run from the shell; exit status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="the cluster; FUNNEL_URL or the embedded node by default")
    parser.add_argument("--documents", type=int, default=5000)
    parser.add_argument("--shards", type=int, default=2)
    parser.add_argument("--searches", type=int, default=2000)
    parser.add_argument("--alone", type=int, default=600)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--deadlines", action="store_true", help="with the plan's own deadlines")
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
            searches=arguments.searches,
            alone=arguments.alone,
            clients=arguments.clients,
            deadlines=Deadlines() if arguments.deadlines else _LIFTED,
        )
    except FunnelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    text = json.dumps(found, indent=1) if arguments.output == "json" else table(found)
    sys.stdout.write(text + "\n")
    return 0 if passed(found) else 1


if __name__ == "__main__":
    sys.exit(main())
