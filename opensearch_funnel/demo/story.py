"""The demo: a real corpus goes from BM25 to a funnel, and the same plain request shows it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from opensearchpy import OpenSearch

from opensearch_funnel.build.evaluation import Bench, FunnelReport, Request
from opensearch_funnel.build.service import applied_plan, reachable_service, service_token
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import Advance, Progress
from opensearch_funnel.demo.corpus import write_beir
from opensearch_funnel.engine.applying import bound_plan, pipeline_name
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.evaluating.datasets import Dataset, read_dataset
from opensearch_funnel.evaluating.indexing import ensure_evaluation_index
from opensearch_funnel.evaluating.measures import Measure

ALIAS = "funnel-demo"
EXAMPLES = (
    "wait for several threads to finish",
    "remove duplicates from a list but keep the order",
    "where does all my memory go",
)
"""Asked before and after, as plain ``match`` requests."""

_SHOWN = 3
_NDCG = Measure("nDCG", 10)
_SEED, _SAMPLES = 11, 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One question, answered without the pipeline and with it."""

    question: str
    before: Sequence[str]
    after: Sequence[str]
    degraded: bool


@dataclass(slots=True)
class Clock:
    """How many seconds each step took."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time one step."""
        start = time.monotonic()
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - start, 2)


@dataclass(slots=True)
class Fetched:
    """A progress port that passes everything on, and counts the bytes that were fetched."""

    shown: Progress
    bytes: int = 0

    @contextmanager
    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> Iterator[Advance]:
        """Show a piece of work; one that counts bytes is a fetch."""
        with self.shown.task(label, total=total, unit=unit) as advance:

            def counted(units: int) -> None:
                self.bytes += units if unit == "bytes" else 0
                advance(units)

            yield counted

    def say(self, line: str) -> None:
        """Pass a line on."""
        self.shown.say(line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What the demo did, and what came out."""

    version: str
    documents: int
    encoded: int
    plan: FunnelPlan
    examples: Sequence[Example]
    measured: FunnelReport
    seconds: Mapping[str, float]

    @property
    def gain(self) -> dict[str, float]:
        """How much better the funnel is than BM25, relative, with its 95 % interval.

        Questions are drawn with replacement, both systems on the same ones.
        """
        systems = {s.name: s for s in self.measured.report.systems}
        pairs = [systems[name].values[_NDCG] for name in ("bm25", "funnel")]
        bm25, funnel = (np.asarray([values[q] for q in sorted(values)]) for values in pairs)
        picks = np.random.default_rng(_SEED).integers(len(bm25), size=(_SAMPLES, len(bm25)))
        gains = funnel[picks].mean(axis=1) / bm25[picks].mean(axis=1) - 1
        low, high = np.quantile(gains, [0.025, 0.975])
        relative = float(funnel.mean() / bm25.mean() - 1)
        return {"relative": relative, "low": float(low), "high": float(high)}


@contextmanager
def told(bench: Bench, *, home: Path, clock: Clock) -> Iterator[tuple[Story, str]]:
    """Run the demo; the funnel answers while the context is open.

    Args:
        bench: the cluster, its settings, and who hears of progress.
        home: where the corpus is written.
        clock: takes the time of each step.

    Yields:
        What happened, and the URL of the service.
    """
    client = bench.client
    with clock.step("corpus"):
        dataset = _corpus(home)
    with clock.step("bm25 index"):
        plain = ensure_evaluation_index(client, dataset, progress=bench.progress)
        _point_alias(client, plain.name)
    before = [_titles(_ask(client, question)) for question in EXAMPLES]
    with clock.step("models"):
        models = bench.open_encoders(FunnelPlan(alias=ALIAS))
    with clock.step("funnel index"):
        encoded = bench.encoded_index(dataset, FunnelPlan(alias=ALIAS), models=models)
        _point_alias(client, encoded.name)
    with clock.step("plan"):
        plan = bound_plan(client, FunnelPlan(alias=ALIAS))
        plan = bench.trusted(plan, index=encoded.name, models=models)
        plan = bench.remembered(plan, index=encoded.name, models=models, dataset=dataset)
    # The pipeline goes before the service does: without it every search would wait.
    with ExitStack() as stack:
        url = stack.enter_context(reachable_service(bench.settings))
        with clock.step("pipeline"):
            stack.enter_context(
                applied_plan(
                    client,
                    plan,
                    service_url=url,
                    name=pipeline_name(ALIAS),
                    default=True,
                    token=service_token(bench.settings),
                )
            )
        answers = [_ask(client, question) for question in EXAMPLES]
        with clock.step("evaluation"):
            measured = _measured(bench, dataset, plan, service_url=url)
        examples = [
            Example(question=q, before=b, after=_titles(a), degraded=degraded(a))
            for q, b, a in zip(EXAMPLES, before, answers, strict=True)
        ]
        story = Story(
            version=str(client.info()["version"]["number"]),
            documents=encoded.documents,
            encoded=encoded.documents if encoded.loaded else 0,
            plan=plan,
            examples=examples,
            measured=measured,
            seconds=clock.seconds,
        )
        yield story, url


def _measured(
    bench: Bench, dataset: Dataset, plan: FunnelPlan, *, service_url: str
) -> FunnelReport:
    """Measure the plan that was applied, through the service that runs already."""
    settings = bench.settings.model_copy(update={"service_url": service_url})
    request = Request(
        # What tells the story; the other ways to measure a plan would only take longer.
        systems=("bm25", "sparse", "dense", "hybrid", "funnel"),
        rerank="on" if plan.rerank.enabled else "off",
        leave_one_out=False,
    )
    return replace(bench, settings=settings).evaluate(dataset, plan, request)


def _corpus(home: Path) -> Dataset:
    folder = home / "demo" / "python-stdlib"
    folder.mkdir(parents=True, exist_ok=True)
    write_beir(folder)
    return read_dataset(folder)


def _point_alias(client: OpenSearch, index: str) -> None:
    """Let the alias stand for one index, in one step: a search meets the old or the new one."""
    held = client.indices.get_alias(name=ALIAS) if client.indices.exists_alias(name=ALIAS) else {}
    actions: list[dict[str, Any]] = [
        {"remove": {"index": other, "alias": ALIAS}} for other in held if other != index
    ]
    actions.append({"add": {"index": index, "alias": ALIAS}})
    client.indices.update_aliases(body={"actions": actions})


def _ask(client: OpenSearch, question: str) -> dict[str, Any]:
    """Send the body that any client would: it knows nothing of a funnel."""
    body = {"query": {"match": {"text": question}}, "size": _SHOWN, "_source": ["title"]}
    answer: dict[str, Any] = client.search(index=ALIAS, body=body)
    return answer


def _titles(answer: Mapping[str, Any]) -> list[str]:
    return [str(hit["_source"]["title"]) for hit in answer["hits"]["hits"]]
