"""What is measured: anything that answers a query with ids of documents."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.engine.queries import multi_match
from opensearch_funnel.evaluating.document_traces import Tracer

_PLAIN = {"search_pipeline": "_none", "allow_partial_search_results": "false"}
LATENCY_QUERIES = 200
"""How many queries are timed, unless somebody says otherwise."""
_LATENCY_SIZE = 10
_SEED = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system returned for one query.

    Attributes:
        doc_ids: best first.
        degraded: whether a stage that the answer should have had was left out.
    """

    doc_ids: tuple[str, ...]
    degraded: bool = False


Search = Callable[[Query, int], Answer]
"""Asks for so many documents."""


@dataclass(frozen=True, slots=True)
class System:
    """Something to measure.

    Attributes:
        name: how reports call it.
        search: answers the queries that are measured.
        timed: answers the queries that are timed, where that is another way (with deadlines).
        tracer: says how documents came to their places, where there are stages to ask.
    """

    name: str
    search: Search
    timed: Search | None = None
    tracer: Tracer | None = None


@dataclass(frozen=True, slots=True)
class SystemRun:
    """What a system returned for every query."""

    rankings: dict[str, tuple[str, ...]]
    degraded: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from request to parsed answer, for one client.

    Attributes:
        p50: half of the answers took at most this.
        p95: nineteen of twenty did.
        degraded: timed answers that lacked a stage, most often for its deadline: where it is
            not 0, the figures are partly those of plainer answers.
    """

    p50: float
    p95: float
    degraded: int = 0


def bm25_system(client: OpenSearch, *, index: str) -> System:
    """Return the BM25 of every evaluation: the best of title and text, past any pipeline."""

    def search(query: Query, size: int) -> Answer:
        body = {"query": multi_match(query.text), "size": size, "_source": False}
        response = client.search(index=index, body=body, params=_PLAIN)
        return Answer(whole_page(response))

    return System("bm25", search)


def whole_page(response: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of a response's hits; refuse one that not every shard took part in.

    Raises:
        EngineError: the answer is partial.
    """
    failed = response.get("_shards", {}).get("failed", 0)
    if failed or response.get("timed_out"):
        raise EngineError(f"the answer is partial ({failed} shards failed or ran out of time)")
    return tuple(str(hit["_id"]) for hit in response["hits"]["hits"])


def run_system(
    system: System, queries: Sequence[Query], *, size: int, progress: Progress = SILENT
) -> SystemRun:
    """Ask a system every query.

    Raises:
        EngineError: a query failed (or a kind of it); says which.
    """
    rankings: dict[str, tuple[str, ...]] = {}
    degraded = 0
    with progress.task(f"asking {system.name}", total=len(queries), unit="queries") as advance:
        for query in queries:
            answer = _asked(system, system.search, query, size=size)
            rankings[query.query_id] = answer.doc_ids
            degraded += answer.degraded
            advance(1)
    return SystemRun(rankings, degraded)


def measure_latency(
    system: System,
    queries: Sequence[Query],
    *,
    size: int = _LATENCY_SIZE,
    most: int = LATENCY_QUERIES,
    progress: Progress = SILENT,
) -> Latency:
    """Time a system one query after the other; run it after ``run_system``, so that it is warm.

    Args:
        system: what to time.
        queries: where to draw from.
        size: how many documents to ask for.
        most: at most so many queries, drawn by a fixed seed; 0 times nothing.
        progress: told of every query.
    """
    if most == 0:
        return Latency(0.0, 0.0)
    some = random.Random(_SEED).sample(list(queries), k=min(most, len(queries)))  # noqa: S311
    taken: list[float] = []
    degraded = 0
    with progress.task(f"timing {system.name}", total=len(some), unit="queries") as advance:
        for query in some:
            start = time.perf_counter()
            answer = _asked(system, system.timed or system.search, query, size=size)
            degraded += answer.degraded
            taken.append((time.perf_counter() - start) * 1000.0)
            advance(1)
    p50, p95 = np.percentile(taken, [50, 95]) if taken else (0.0, 0.0)
    return Latency(float(p50), float(p95), degraded)


def _asked(system: System, search: Search, query: Query, *, size: int) -> Answer:
    try:
        return search(query, size)
    except EngineError as error:
        raise type(error)(
            f"{system.name} failed at query {query.query_id!r}: {error}",
            status=error.status,
            kind=error.kind,
        ) from error
