"""A service whose worker does wrong what it is told to; for benchmarks/faults.py and its test.

The application is the product's, under the product's supervisor; the models are stand-ins. What
goes wrong is read from a file before each request of the search pipeline::

    {"stage": "rank", "fault": "html"}
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import state
from opensearch_funnel.engine.client import connect
from opensearch_funnel.service.gate import Application, Receive, Scope, Send
from opensearch_funnel.service.process import address, end_with_parent, listen, listen_at, run
from opensearch_funnel.service.supervisor.supervising import supervise
from opensearch_funnel.service.supervisor.worker import Patience
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights

MISSING_MODEL = "not-pulled"
"""A plan whose reranker has this name cannot be loaded."""
FROZEN_S = 2.5
"""How long a silent worker is left alone; a test has less time than an operator."""
SLOW_S = 0.1
"""How late a slow answer is that still comes in time."""
_LATE_S = 1.5
_FOR_EVER_S = 600.0
_JSON = b"application/json"


class Control:
    """What goes wrong from now on: written by the benchmark, read by the worker."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, stage: str = "", fault: str = "") -> None:
        """Let a stage do wrong; nothing without arguments."""
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps({"stage": stage, "fault": fault}), encoding="utf-8")
        draft.replace(self._path)

    def fault_of(self, stage: str) -> str:
        """Return what a stage has to do wrong; empty for nothing."""
        told = json.loads(self._path.read_text(encoding="utf-8"))
        return str(told["fault"]) if told["stage"] == stage else ""


# What happens to the answer of a stage on its way out.

Act = Callable[[Send, dict[str, Any]], Awaitable[None]]


async def _answer(send: Send, body: bytes, *, status: int = 200, kind: bytes = _JSON) -> None:
    headers = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _half(send: Send, _: dict[str, Any]) -> None:
    headers = [(b"content-type", _JSON), (b"content-length", b"1000")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b'{"res', "more_body": True})
    raise ConnectionError("half an answer is what was asked for")


async def _results(send: Send, results: Any) -> None:
    # NaN is what Python writes for a score that is none.
    await _answer(send, json.dumps({"results": results}).encode())


def _with_scores(change: Callable[[list[Any]], list[Any]]) -> Act:
    async def act(send: Send, answer: dict[str, Any]) -> None:
        scores = change([result["relevance_score"] for result in answer["results"]])
        await _results(send, [{"index": i, "relevance_score": s} for i, s in enumerate(scores)])

    return act


ACTS: dict[str, Act] = {
    "status 500": lambda send, _: _answer(send, b'{"error": "told so"}', status=500),
    "status 400": lambda send, _: _answer(send, b'{"error": "told so"}', status=400),
    "html": lambda send, _: _answer(send, b"<html><body>502</body></html>", kind=b"text/html"),
    "broken json": lambda send, _: _answer(send, b'{"body": "{\\"query'),
    "empty object": lambda send, _: _answer(send, b"{}"),
    "empty body": lambda send, _: _answer(send, b""),
    "half an answer": _half,
    "one score short": _with_scores(lambda scores: scores[:-1]),
    "one score more": _with_scores(lambda scores: [*scores, 1.5]),
    "NaN on the wire": _with_scores(lambda scores: [float("nan"), *scores[1:]]),
    "null scores": _with_scores(lambda scores: [None] * len(scores)),
    "words for scores": _with_scores(lambda scores: ["high"] * len(scores)),
    "whole numbers": _with_scores(lambda scores: [int(score) for score in scores]),
}
"""Faults of what is sent; the stage itself has done its work."""

MODEL_FAULTS = ("model raises", "model is late", "NaN from the model", "short from the model")
"""Faults inside of a stage, which the service sees."""


class Misbehaving:
    """An ASGI application around another one: the stage that is told to does wrong."""

    def __init__(self, app: Application, control: Control) -> None:
        self._app = app
        self._control = control

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or do wrong."""
        stage = scope["path"].rpartition("/")[2] if scope["type"] == "http" else ""
        fault = self._control.fault_of(stage) if stage in {"rewrite", "rank"} else ""
        await _before(fault)
        act = ACTS.get(fault)
        if act is None:
            await self._app(scope, receive, send)
            return
        parts: list[bytes] = []

        async def keep(message: Any) -> None:
            parts.append(message.get("body", b""))

        await self._app(scope, receive, keep)
        await act(send, json.loads(b"".join(parts)))


async def _before(fault: str) -> None:
    """Do what makes no answer, or a late one."""
    if fault == "slow":
        await asyncio.sleep(SLOW_S)
    elif fault == "hangs":
        await asyncio.sleep(_FOR_EVER_S)
    elif fault == "event loop blocked":
        time.sleep(_LATE_S)  # noqa: ASYNC251 - blocking it is the point
    elif fault == "exits":
        os._exit(3)
    elif fault in {"SIGKILL", "SIGSTOP"}:
        os.kill(os.getpid(), getattr(signal, fault))


class FaultyScorer:
    """A reranker stand-in that does wrong when it is told to."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        """Return the number of shared words for each text, or something else."""
        fault = self._control.fault_of("rank")
        _inside(fault)
        scores = OverlapScorer().score(query, texts)
        if fault == "NaN from the model":
            scores[0] = float("nan")
        return scores[:-1] if fault == "short from the model" else scores


class FaultyWeights:
    """A sparse encoder stand-in that does wrong when it is told to."""

    fingerprint = WordWeights().fingerprint

    def __init__(self, control: Control) -> None:
        self._control = control

    def encode_query(self, text: str) -> dict[str, float]:
        """Count the words of a text, or do something else."""
        fault = self._control.fault_of("rewrite")
        _inside(fault)
        weights = WordWeights().encode_query(text)
        return dict.fromkeys(weights, float("nan")) if fault == "NaN from the model" else weights


def _inside(fault: str) -> None:
    if fault == "model raises":
        raise RuntimeError("the model was told to fail")
    if fault == "model is late":
        time.sleep(_LATE_S)


def application(settings: Settings, control: Control) -> Application:
    """Make the service's application, with models that do as they are told."""
    from opensearch_funnel.service.app import create_app
    from opensearch_funnel.service.plans import LoadedPlans
    from opensearch_funnel.service.texts import IndexTexts

    client = connect(settings, pool_size=16)
    sparse, reranker = FaultyWeights(control), FaultyScorer(control)

    def open_models(plan: FunnelPlan) -> PlanModels:
        if plan.rerank.model == MISSING_MODEL:
            raise ModelError(f"{MISSING_MODEL} is not here: pull it")
        return PlanModels(sparse=sparse, dense=WordVector(), reranker=reranker)

    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=open_models
    )
    app = create_app(
        plans,
        IndexTexts(client),
        engine_url=settings.url,
        preload=lambda: sorted({p.plan_id for p in state.list_pipelines(client)}),
    )
    return Misbehaving(app, control)


def main() -> None:
    """Be the supervisor, or its worker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="where control.json and worker.pid are")
    parser.add_argument("--worker", type=Path)
    arguments = parser.parse_args()
    logging.basicConfig(
        stream=sys.stderr, level="INFO", format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    settings = Settings()
    if arguments.worker is not None:
        end_with_parent()
        control = Control(arguments.folder / "control.json")
        if control.fault_of("start"):
            sys.exit(1)
        app = application(settings, control)
        pid = arguments.folder / "worker.pid"
        pid.write_text(str(os.getpid()), encoding="ascii")
        run(app, listen_at(arguments.worker), until_eof=sys.stdin.fileno())
        return
    sock = listen("127.0.0.1", 0)
    sys.stdout.write(address(sock) + "\n")
    sys.stdout.flush()
    command = [sys.executable, __file__, str(arguments.folder), "--worker"]
    supervise(
        sock,
        worker_command=lambda path: [*command, str(path)],
        identity={"service": "opensearch-funnel", "engine": settings.url},
        until_eof=sys.stdin.fileno(),
        patience=Patience(frozen=FROZEN_S),
    )


if __name__ == "__main__":
    main()
