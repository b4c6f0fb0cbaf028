"""What the two hops to the service add to a search, against the same hybrid query sent directly.

A real node and the product's service under its supervisor. So that the hops are measured, and not
models, the worker has stand-ins (this file): a vector and about 40 term weights for each query,
made once and kept, and a reranker that answers at once. Documents are made up, with what real
ones have: words of Zipf's law, 95 term weights, a vector of 384 numbers.

* ``funnel``: the client's plain ``match`` through the default pipeline: rewrite, hybrid, rank
* ``direct``: the very body that the rewrite makes of it, through a pipeline that only fuses
* ``direct, page``: the same at the size that the client asked for, which cannot be reranked
* ``plain``: the client's ``match`` and no pipeline

One client asks them in turns, query by query, in another order each time. Then 20 clients ask
together, block by block in turns, so that a busy machine slows all of them.

Goal: no errors and nothing degraded; with one client ``funnel`` takes at most twice as long as
``direct`` at the median.
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
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from threading import local
from typing import Any
from urllib.parse import urlsplit
from zlib import crc32

import httpx2
import numpy as np
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import FunnelError, StageUnavailableError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Reranking
from opensearch_funnel.core.stage import Vector
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.indices import EncodedBy, Slot, delete_index, index_body
from opensearch_funnel.engine.search_pipelines import fusion_pipeline
from opensearch_funnel.settings import Settings

logger = logging.getLogger(__name__)

INDEX = "funnel-bench-overhead"
GOAL = 2.0
CLIENTS = 20
QUERIES = 200
_DIMENSION, _VOCABULARY, _EXPANSIONS = 384, 20_000, 95
_WORDS_A_TEXT, _WORDS_A_QUERY, _TERMS_A_WORD = 120, 4, 10
_BLOCK, _BULK = 100, 250
_WARM = 200
_MILLISECONDS = 1000
_MAX_SCORE = re.compile(rb'"max_score":([0-9.Ee+-]+)')
_LIFTED = Deadlines(rewrite_ms=20_000, rank_ms=20_000)


# Stand-ins for the models.


class KeptWeights:
    """A sparse encoder stand-in: every word stands for itself and nine others."""

    fingerprint = "000000000011"

    @cache  # noqa: B019 - as many as there are queries
    def encode_query(self, text: str) -> Mapping[str, float]:
        """Return the weights of a text, made once."""
        terms: dict[str, float] = {}
        for word in text.split():
            for step in range(_TERMS_A_WORD):
                terms[f"w{crc32(f'{word}{step}'.encode()) % _VOCABULARY}"] = 1.0 / (1 + step)
            terms[word] = 2.0
        return terms


class KeptVector:
    """A dense encoder stand-in: a direction that depends on the text, made once."""

    fingerprint = "000000000012"

    @cache  # noqa: B019 - as many as there are queries
    def encode_query(self, text: str) -> Vector:
        """Return the vector of a text."""
        return direction(crc32(text.encode()))


class AtOnce:
    """A reranker stand-in: turns the order round, without a look at the texts."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return one score a text."""
        del query
        return [place / len(texts) for place in range(len(texts))]


def direction(seed: int) -> Vector:
    """Return a vector of length one."""
    vector = np.random.default_rng(seed).standard_normal(_DIMENSION).astype(np.float32)
    return vector / np.float32(np.linalg.norm(vector))


# The service, in processes of its own.


def work(settings: Settings, path: Path) -> None:
    """Be the supervisor's worker."""
    from opensearch_funnel.engine import state
    from opensearch_funnel.service.app import create_app
    from opensearch_funnel.service.plans import LoadedPlans
    from opensearch_funnel.service.process import end_with_parent, listen_at, run
    from opensearch_funnel.service.texts import IndexTexts

    end_with_parent()
    client = connect(settings, pool_size=16)
    models = PlanModels(sparse=KeptWeights(), dense=KeptVector(), reranker=AtOnce())
    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=lambda _: models
    )
    app = create_app(plans, IndexTexts(client), engine_url=settings.url, preload=list)
    run(app, listen_at(path), until_eof=sys.stdin.fileno())


def serve(settings: Settings) -> None:
    """Be the supervisor; says its address on standard output."""
    from opensearch_funnel.service.process import address, listen
    from opensearch_funnel.service.supervisor.supervising import supervise

    sock = listen("127.0.0.1", 0)
    sys.stdout.write(address(sock) + "\n")
    sys.stdout.flush()
    supervise(
        sock,
        worker_command=lambda path: [sys.executable, __file__, "--worker", str(path)],
        identity={"service": "opensearch-funnel", "engine": settings.url},
        until_eof=sys.stdin.fileno(),
    )


@contextmanager
def service(settings: Settings) -> Iterator[str]:
    """Run the service while the context is open, and give its URL."""
    child = subprocess.Popen(  # noqa: S603 - this file
        [sys.executable, __file__, "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **settings.environment()},
    )
    try:
        assert child.stdout is not None  # noqa: S101 - PIPE was asked for
        address = child.stdout.readline().strip()
        if not address:
            raise StageUnavailableError("the service did not start: see above")
        yield address
    finally:
        child.communicate()


# The index.


def words(randomness: random.Random, count: int) -> str:
    """Return a text whose words are as unequally frequent as a language's."""
    ranks = (int(_VOCABULARY ** randomness.random()) for _ in range(count))
    return " ".join(f"w{rank}" for rank in ranks)


@contextmanager
def filled_index(client: OpenSearch, *, documents: int) -> Iterator[None]:
    """Make the index, and drop it afterwards."""
    slot = Slot(
        sparse=EncodedBy(model="splade-tiny", fingerprint=KeptWeights.fingerprint),
        dense=EncodedBy(model="bge-small-en-v1.5", fingerprint=KeptVector.fingerprint),
        dimension=_DIMENSION,
    )
    delete_index(client, index=INDEX)
    client.indices.create(index=INDEX, body=index_body(slot=slot, replicas=0))
    randomness = random.Random(1)  # noqa: S311 - the same documents each time
    try:
        for first in range(0, documents, _BULK):
            lines: list[Any] = []
            for number in range(first, min(first + _BULK, documents)):
                lines += [{"index": {"_id": f"d{number}"}}, _document(number, randomness)]
            client.bulk(index=INDEX, body=lines)
        client.indices.refresh(index=INDEX)
        client.indices.forcemerge(index=INDEX, params={"max_num_segments": 1})
        yield
    finally:
        delete_index(client, index=INDEX)


def _document(number: int, randomness: random.Random) -> dict[str, Any]:
    text = words(randomness, _WORDS_A_TEXT)
    encoded = encoded_text({"text": text}, fields=["title", "text"])
    terms = words(randomness, _EXPANSIONS).split()
    return {
        "title": "",
        "text": text,
        "funnel": {
            "id": f"d{number}",
            "hash": text_hash(encoded),
            "state": "ready",
            "sparse_a": {term: round(randomness.uniform(0.1, 2.5), 4) for term in terms},
            "dense_a": direction(number).tolist(),
        },
    }


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
        stack.enter_context(filled_index(client, documents=documents))
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
        "depth": plan.depth,
        "reranked": plan.rerank.depth,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }


def passed(found: Mapping[str, Any]) -> bool:
    """Say whether the goal is reached."""
    funnels = [found["one_client"]["funnel"], found["many_clients"]["funnel"]]
    clean = all(one["errors"] == one["degraded"] == 0 for one in funnels)
    return clean and found["ratio_p50"] <= found["goal_ratio"]


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
    parser.add_argument("--searches", type=int, default=2000)
    parser.add_argument("--alone", type=int, default=600)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    parser.add_argument("--deadlines", action="store_true", help="with the plan's own deadlines")
    parser.add_argument("--output", choices=["table", "json"], default="table")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--worker", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.basicConfig(stream=sys.stderr, level="WARNING", format="%(levelname)s %(message)s")
    logging.getLogger("opensearch").setLevel(logging.ERROR)
    settings = Settings(**({"url": arguments.url} if arguments.url else {}))
    if arguments.worker is not None:
        work(settings, arguments.worker)
        return 0
    if arguments.serve:
        serve(settings)
        return 0
    # What was made in the cluster is taken back, also when a time limit ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        found = run(
            settings,
            documents=arguments.documents,
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
