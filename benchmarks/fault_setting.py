"""An index, a service that does wrong when told to, and its pipelines, for benchmarks/faults.py."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
from opensearchpy import OpenSearch
from opensearchpy.exceptions import OpenSearchException

from benchmarks.fault_kinds import DEADLINES, Fault, Stage
from benchmarks.fault_worker import MISSING_MODEL, Control
from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.core.plan import FunnelPlan, Reranking
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.engine.allow_list import MARK
from opensearch_funnel.engine.applying import apply_pipeline, remove_pipeline
from opensearch_funnel.engine.binding import bound_plan
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.engine.indices import EncodedBy, Slot, index_body
from opensearch_funnel.service.process import wait_for_plan
from opensearch_funnel.service.supervisor.late import LISTENED_S
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import WordVector, WordWeights

WORKER = Path(__file__).with_name("fault_worker.py")
STARTED_S = 60.0
_WORDS = (
    "red fox hound barn river stone cloud winter violin harbour lantern copper maple engine "
    "garden velvet thunder pepper saddle mirror"
)
_DOCUMENTS, _QUERIES = 80, 40
_MILLISECONDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One search and what came of it."""

    fault: str
    kind: str
    expected: Stage | None
    """``None`` where it depends on the moment."""
    got: Stage | None
    """What the marks say; ``None`` without an answer."""
    right: bool
    """Whether the hits are the ones of that stage."""
    took_ms: float
    request_id: str = ""
    error: str = ""


@dataclass(slots=True, kw_only=True)
class Bench:
    """The parts of a run."""

    client: OpenSearch
    index: str
    url: str
    folder: Path
    control: Control
    pipelines: dict[str, str]
    queries: list[str]
    truth: dict[tuple[str, Stage], list[str]] = field(default_factory=dict)
    seen: list[Observed] = field(default_factory=list)

    def tell(self, stage: str = "", fault: str = "") -> None:
        """Let the worker do wrong from now on; nothing without arguments."""
        self.control.write(stage, fault)

    def log(self) -> str:
        """Return what the service has logged, once it has written it."""
        time.sleep(2 * LISTENED_S)
        return (self.folder / "service.log").read_text(encoding="utf-8")

    def search(self, text: str, *, pipeline: str) -> tuple[dict[str, Any], float]:
        """Search; return the answer and the milliseconds that it took."""
        start = time.perf_counter()
        answer = self.client.search(
            index=self.index,
            body={"query": {"match": {"text": text}}},
            params={"search_pipeline": pipeline, "request_timeout": 30},
        )
        return answer, (time.perf_counter() - start) * _MILLISECONDS

    def observe(self, fault: Fault, text: str, *, expected: Stage | None) -> Observed:
        """Search with a fault, and judge the answer."""
        pipeline = self.pipelines.get(fault.kind, self.pipelines["complete"])
        got: Stage | None = None
        right, request_id, problem = False, "", ""
        start = time.perf_counter()
        try:
            answer, took = self.search(text, pipeline=pipeline)
        except (FunnelError, OpenSearchException) as error:
            took = (time.perf_counter() - start) * _MILLISECONDS
            problem = str(error)[:200]
        else:
            got = stage_of(answer)
            if fault.stage == "baseline" and got == "complete":
                got = fault.leaves  # all that this pipeline has
            meta = ((answer.get("aggregations") or {}).get(MARK) or {}).get("meta") or {}
            right = order_of(answer) == self.truth[text, got]
            request_id = str(meta.get("request", ""))
        seen = Observed(
            fault=fault.name,
            kind=fault.kind,
            expected=expected,
            got=got,
            right=right,
            took_ms=took,
            request_id=request_id,
            error=problem,
        )
        self.seen.append(seen)
        return seen


def stage_of(answer: dict[str, Any]) -> Stage:
    """Return the last stage that an answer went through, as its marks say."""
    if not degraded(answer):
        return "complete"
    return "fused" if MARK in (answer.get("aggregations") or {}) else "plain"


def order_of(answer: dict[str, Any]) -> list[str]:
    """Return the ids of an answer's hits.

    Not their scores: a page that was to be reranked has the fused order on another scale.
    """
    return [str(hit["_id"]) for hit in answer["hits"]["hits"]]


@contextmanager
def opened(url: str, *, seed: int) -> Iterator[Bench]:
    """Give an index, a service and its pipelines; take the right answers before any fault."""
    client = connect(Settings(url=url), pool_size=16)
    index = f"faults-{uuid.uuid4().hex[:12]}"
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="faults-")))
        control = Control(folder / "control.json")
        control.write()
        stack.callback(client.indices.delete, index=index, params={"ignore_unavailable": "true"})
        queries = _filled(client, index, seed=seed)
        service = stack.enter_context(_service(url, folder))
        bench = Bench(
            client=client,
            index=index,
            url=service,
            folder=folder,
            control=control,
            pipelines={},
            queries=queries,
        )
        for name, plan in _plans(client, index).items():
            loads = name in {"complete", "fused"}
            done = apply_pipeline(
                client,
                plan,
                service_url=service,
                name=f"{index}-{len(bench.pipelines)}",
                check=loads,
            )
            stack.callback(remove_pipeline, client, done.name)
            bench.pipelines[name] = done.name
            if loads:
                wait_for_plan(service, plan.plan_id)
        bench.pipelines["plain"] = "_none"
        _take_the_truth(bench)
        yield bench


def _plans(client: OpenSearch, index: str) -> dict[str, FunnelPlan]:
    reranked = Reranking(enabled=True, depth=20)
    whole = bound_plan(client, FunnelPlan(alias=index, rerank=reranked, deadlines=DEADLINES))
    plain = whole.to_dict()
    missing = {**plain, "rerank": {**plain["rerank"], "model": MISSING_MODEL}}
    other = {**plain, "sparse": {**plain["sparse"], "fingerprint": "f" * 12}}
    return {
        "complete": whole,
        "fused": FunnelPlan.from_dict({**plain, "rerank": {}}),
        "model missing": FunnelPlan.from_dict(missing),
        "fingerprints differ": FunnelPlan.from_dict(other),
    }


def _filled(client: OpenSearch, index: str, *, seed: int) -> list[str]:
    """Fill an index with texts of random words; return queries."""
    chance = random.Random(seed)  # noqa: S311 - documents
    words = _WORDS.split()
    sparse, dense = WordWeights(), WordVector()
    slot = Slot(
        sparse=EncodedBy(model="splade-tiny", fingerprint=sparse.fingerprint),
        dense=EncodedBy(model="bge-small-en-v1.5", fingerprint=dense.fingerprint),
        dimension=dense.dimension,
    )
    client.indices.create(index=index, body=index_body(slot=slot))
    lines: list[dict[str, Any]] = []
    for number in range(_DOCUMENTS):
        text = " ".join(chance.choices(words, k=chance.randint(3, 12)))
        source: dict[str, Any] = {"title": "", "text": text}
        encoded = encoded_text(source, fields=["title", "text"])
        source["funnel"] = {
            "id": f"d{number}",
            "hash": text_hash(encoded),
            "state": "ready",
            "sparse_a": sparse.encode_query(encoded),
            "dense_a": dense.encode_query(encoded).tolist(),
        }
        lines += [{"index": {"_index": index, "_id": f"d{number}"}}, source]
    done = client.bulk(body=lines, params={"refresh": "true"})
    if done["errors"]:
        raise RuntimeError(f"the documents could not be indexed: {done['items'][0]}")
    return [" ".join(chance.sample(words, 3)) for _ in range(_QUERIES)]


def _take_the_truth(bench: Bench) -> None:
    """Take the three right answers of each query, and leave out queries that cannot tell them."""
    stages: tuple[Stage, ...] = ("plain", "fused", "complete")
    for text in list(bench.queries):
        for stage in stages:
            for _ in range(50):
                answer, _took = bench.search(text, pipeline=bench.pipelines[stage])
                # A busy machine may have missed a deadline: then this is not the answer.
                if stage == "plain" or not degraded(answer):
                    break
            else:
                raise RuntimeError(f"no {stage} answer of a healthy service")
            bench.truth[text, stage] = order_of(answer)
        orders = [bench.truth[text, stage] for stage in stages]
        if any(orders.count(order) > 1 for order in orders):
            bench.queries.remove(text)
    if len(bench.queries) < _QUERIES // 2:
        raise RuntimeError("most queries have the same order in two stages: they prove nothing")


@contextmanager
def _service(url: str, folder: Path) -> Iterator[str]:
    with (folder / "service.log").open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, str(WORKER), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "FUNNEL_URL": url},
        )
        try:
            assert child.stdout is not None  # noqa: S101 - PIPE was asked for
            service = child.stdout.readline().decode().strip()
            _wait_for_health(service)
            yield service
        finally:
            child.terminate()
            child.wait(30)
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()


def _wait_for_health(service: str) -> None:
    end = time.monotonic() + STARTED_S
    while time.monotonic() < end:
        if httpx2.get(f"{service}/health", timeout=5).is_success:
            return
        time.sleep(0.05)
    raise RuntimeError("the fault worker did not start")
