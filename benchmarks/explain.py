"""Whether every number of a trace adds up: 200 queries through applied pipelines, hit by hit.

Queries of ``msrd_movies`` go through the search pipeline of a plan as a client's would, and each
hit of each answer is traced. For every way of fusing: how far the sum of the legs' contributions
is from the fused score that the engine itself gives; how far the sums of the terms are from the
raw scores of their legs, as a part of these; whether a reranked hit gets its score again.

Goal: no hit further than 1e-5 from the engine's score, and no trace that does not agree.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from opensearch_funnel.build.evaluation import Bench
from opensearch_funnel.build.plans import open_models
from opensearch_funnel.build.service import (
    applied_plan,
    reachable_engine,
    reachable_service,
    service_token,
)
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Fusion, Reranking
from opensearch_funnel.engine.binding import bound_plan
from opensearch_funnel.engine.client import connect
from opensearch_funnel.evaluating.datasets import read_dataset
from opensearch_funnel.service.plans import ReadyPlan
from opensearch_funnel.service.search_api_answers import Answer, ask, read_answer
from opensearch_funnel.service.search_api_request import SearchRequest
from opensearch_funnel.service.tracing import HitTrace
from opensearch_funnel.service.tracing_answers import TOLERANCE, explain_funnel
from opensearch_funnel.settings import load_settings

DATASET, SPLIT = "msrd_movies", "dev"
PIPELINE = "funnel-explain"
SEED = 7
FUSIONS = (
    Fusion(technique="auto"),
    Fusion(technique="min_max"),
    Fusion(technique="rrf"),
    Fusion(technique="min_max", combination="geometric_mean"),
    Fusion(technique="l2", combination="harmonic_mean"),
    Fusion(technique="z_score"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traced:
    """What the traces of one plan came to.

    Attributes:
        fusion: how the plan fuses.
        reranked: whether it reranks.
        queries: how many were asked.
        hits: how many hits were traced.
        degraded: answers that lacked a stage; they count for nothing.
        disagreeing: hits whose trace says that something does not agree.
        sum_error: the largest distance of a hit's contributions from the engine's fused score.
        bm25_terms_error: the largest distance of the lexical terms from their leg's score, as a
            part of that.
        sparse_terms_error: the same of the sparse leg.
        trace_ms: what a trace took, median.
        differences: the first few, in words.
    """

    fusion: str
    reranked: bool
    queries: int
    hits: int
    degraded: int
    disagreeing: int
    sum_error: float
    bm25_terms_error: float
    sparse_terms_error: float
    trace_ms: float
    differences: tuple[str, ...]


def run(
    bench: Bench, datasets: Path, *, queries: int = 200, size: int = 10
) -> tuple[list[Traced], int]:
    """Trace the same queries through a pipeline for each way of fusing.

    Args:
        bench: the cluster; the evaluation index is made there unless it exists.
        datasets: a folder with ``msrd_movies`` in BEIR layout.
        queries: how many, drawn from the dev split.
        size: hits of each answer.

    Returns:
        The figures of each plan, and the number of documents.
    """
    dataset = read_dataset(datasets / DATASET, split=SPLIT)
    texts = [one.text for one in random.Random(SEED).sample(dataset.queries, queries)]  # noqa: S311
    encoders = bench.open_encoders(FunnelPlan(alias=DATASET))
    index = bench.encoded_index(dataset, FunnelPlan(alias=DATASET), models=encoders)
    lifted = Deadlines(rewrite_ms=60_000, rank_ms=60_000)
    plans = [
        FunnelPlan(alias=index.name, fusion=fusion, rerank=Reranking(enabled=on), deadlines=lifted)
        for fusion, on in [(FUSIONS[0], True), *((fusion, False) for fusion in FUSIONS)]
    ]
    with reachable_service(bench.settings) as url:
        return [
            _traced(bench, bound_plan(bench.client, plan), texts=texts, size=size, service_url=url)
            for plan in plans
        ], index.documents


def _traced(
    bench: Bench, plan: FunnelPlan, *, texts: Sequence[str], size: int, service_url: str
) -> Traced:
    ready = ReadyPlan(plan, open_models(plan, settings=bench.settings))
    label: str = plan.fusion.technique
    if label != "rrf":
        label = f"{label}, {plan.fusion.combination}"
    answers: list[Answer] = []
    with ExitStack() as stack:
        applied = applied_plan(
            bench.client,
            plan,
            service_url=service_url,
            name=PIPELINE,
            token=service_token(bench.settings),
        )
        pipeline = stack.enter_context(applied)
        advance = stack.enter_context(
            bench.progress.task(f"tracing {label}", total=len(texts), unit="queries")
        )
        for text in texts:
            request = SearchRequest(index=plan.alias, text=text, fields=plan.text_fields, size=size)
            response = ask(bench.client, request, pipeline=pipeline)
            answer = read_answer(response, request, system="funnel")
            answers.append(explain_funnel(bench.client, answer, request, ready=ready))
            advance(1)
    return _figures(answers, fusion=label, reranked=plan.rerank.enabled)


def _figures(answers: Sequence[Answer], *, fusion: str, reranked: bool) -> Traced:
    whole = [answer for answer in answers if not answer.degraded]
    traces = [hit.trace for answer in whole for hit in answer.hits if hit.trace is not None]
    lines = [line for trace in traces for line in trace.differences]
    return Traced(
        fusion=fusion,
        reranked=reranked,
        queries=len(answers),
        hits=len(traces),
        degraded=len(answers) - len(whole),
        disagreeing=sum(not trace.consistent for trace in traces),
        sum_error=max(_sum_errors(traces), default=0.0),
        bm25_terms_error=max(_terms_errors(traces, leg="bm25"), default=0.0),
        sparse_terms_error=max(_terms_errors(traces, leg="sparse"), default=0.0),
        trace_ms=statistics.median(a.trace.took_ms for a in whole if a.trace) if whole else 0.0,
        differences=tuple(lines[:5]),
    )


def _sum_errors(traces: Sequence[HitTrace]) -> Iterator[float]:
    """Add the contributions up once more: the trace's own sum is not taken on trust."""
    for trace in traces:
        if trace.engine_score is not None:
            total = sum(leg.contribution for leg in trace.legs.values())
            yield abs(total - trace.engine_score)


def _terms_errors(traces: Sequence[HitTrace], *, leg: Any) -> Iterator[float]:
    for trace in traces:
        found = trace.legs.get(leg)
        if found is not None and found.score:
            yield abs(sum(term.contribution for term in found.terms) / found.score - 1)


def main() -> int:
    """Print the figures; exits with 1 where something does not add up."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    here = Path(__file__).resolve().parents[1]
    default = Path(os.environ.get("FUNNEL_DATASETS", here / "../shared/datasets"))
    parser.add_argument("--datasets", type=Path, default=default)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--size", type=int, default=10, help="hits of each answer")
    parser.add_argument("--url", help="the cluster; the embedded node by default")
    parser.add_argument("--output", choices=["table", "json"], default="table")
    given = parser.parse_args()
    try:
        with terminal_progress() as progress:
            settings = reachable_engine(load_settings(url=given.url), progress=progress)
            bench = Bench(client=connect(settings), settings=settings, progress=progress)
            figures, documents = run(bench, given.datasets, queries=given.queries, size=given.size)
    except FunnelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    met = all(
        one.degraded == 0 and one.disagreeing == 0 and one.sum_error <= TOLERANCE for one in figures
    )
    if given.output == "json":
        plans = [asdict(one) for one in figures]
        result = {"dataset": DATASET, "documents": documents, "goal_met": met, "plans": plans}
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        _print(figures, documents=documents, met=met)
    return 0 if met else 1


def _print(figures: Sequence[Traced], *, documents: int, met: bool) -> None:
    grid = Table(
        "fusion", "reranked", "hits", "degraded", "disagree", "sum error", "bm25 terms",
        "sparse terms", "trace ms",
    )  # fmt: skip
    for one in figures:
        grid.add_row(
            one.fusion,
            "yes" if one.reranked else "no",
            f"{one.hits:,}",
            str(one.degraded),
            str(one.disagreeing),
            f"{one.sum_error:.1e}",
            f"{one.bm25_terms_error:.1e}",
            f"{one.sparse_terms_error:.1e}",
            f"{one.trace_ms:.0f}",
        )
    console = Console(width=110)
    console.print(grid)
    for line in (line for one in figures for line in one.differences):
        console.print(f"does not agree: {line}", markup=False)
    console.print(
        f"{figures[0].queries} queries over {documents:,} documents of {DATASET}; goal "
        f"(at most {TOLERANCE:.0e} from the engine's score, everything agrees): "
        f"{'met' if met else 'not met'}"
    )


if __name__ == "__main__":
    sys.exit(main())
