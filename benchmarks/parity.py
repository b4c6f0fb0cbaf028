"""Whether the client form of a plan gives the order that the engine gives: query by query.

The same queries over ``msrd_movies``, fused by the engine (a hybrid query with the fusion in an
inline pipeline) and fused here (each leg searched alone, ``core.fusion``), for five ways to fuse;
on one shard and on three, force-merged. Equal raw scores inside a leg leave more than one order
right: such queries are counted apart, and there only documents with equal scores may be permuted.

Then whole plans, natively (a plain query through the applied pipeline, deadlines lifted) and as
stages in this process: one whose legs are weighed for each query (``auto``: the service fuses, the
engine has no part in it), first and later pages, on each number of shards; and one with its
reranker.

Goal: 500 queries, every order the same, no score further than 1e-5 from the engine's.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from opensearchpy import OpenSearch
from rich.console import Console
from rich.table import Table

from benchmarks.copied_index import SLOW, copied_index
from benchmarks.parity_applied import compare_auto, compare_reranked
from opensearch_funnel import Query, Ranking
from opensearch_funnel.build.evaluation import Bench
from opensearch_funnel.build.funnel import funnel_of
from opensearch_funnel.build.service import (
    reachable_engine,
)
from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Fusion
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.applying import bound_plan
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.leg_hits import EngineLegs, engine_version, plain_query, shards_of
from opensearch_funnel.engine.queries import leg_queries
from opensearch_funnel.engine.searching import MAX_RESULT_WINDOW, search_fused
from opensearch_funnel.evaluating.datasets import read_dataset
from opensearch_funnel.settings import load_settings
from opensearch_funnel.testing import LegsInMemory, SourcesInMemory

DATASET, SPLIT = "msrd_movies", "dev"
NEAR = 1e-5
FUSIONS: dict[str, Fusion] = {
    "rrf": Fusion(technique="rrf"),
    "min_max + arithmetic_mean": Fusion(technique="min_max"),
    "min_max + geometric_mean": Fusion(technique="min_max", combination="geometric_mean"),
    "l2 + harmonic_mean": Fusion(technique="l2", combination="harmonic_mean"),
    "z_score + arithmetic_mean": Fusion(technique="z_score"),
}
_SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One query, fused by the engine and here.

    Attributes:
        tied: whether a leg has documents with equal raw scores.
        same: whether all documents are in the same order.
        only_ties_moved: whether every document in another place has an equal beside it.
        difference: the largest one between two scores of a document.
    """

    tied: bool
    same: bool
    only_ties_moved: bool
    difference: float


def run(  # noqa: PLR0913 - each is a choice of the caller's
    url: str | None,
    datasets: Path,
    *,
    queries: int = 500,
    reranked: int = 100,
    auto: int = 500,
    shards: Sequence[int] = (1, 3),
    progress: Progress = SILENT,
) -> dict[str, Any]:
    """Compare both forms.

    Args:
        url: a cluster; the embedded node where it is ``None``. The evaluation index of
            ``msrd_movies`` is loaded and encoded there unless it is there already.
        datasets: the folder with ``msrd_movies``.
        queries: how many queries are fused in both forms.
        reranked: how many go through the applied pipeline and the client form's reranking.
        auto: how many go through the applied pipeline of a plan whose technique is ``auto``.
        shards: 1 is the evaluation index itself; for any other number it is copied for the time
            that it takes.
        progress: hears of each query.

    Returns:
        For each number of shards and each way to fuse: how many queries had the same order, with
        and without equal scores in a leg, and the largest difference between scores.
    """
    given = load_settings()
    settings = given if url is None else given.model_copy(update={"url": url})
    settings = reachable_engine(settings, progress=progress)
    bench = Bench(client=connect(settings), settings=settings, progress=progress)
    dataset = read_dataset(datasets / DATASET, split=SPLIT)
    wanted = random.Random(_SEED).sample(  # noqa: S311 - the same queries every time
        list(dataset.queries), k=min(max(queries, reranked, auto), len(dataset.queries))
    )
    plan = FunnelPlan(alias=dataset.name)
    models = bench.open_encoders(plan)
    index = bench.encoded_index(dataset, plan, models=models).name
    plan = bound_plan(bench.client, replace(plan, alias=index))
    fused: dict[str, Any] = {}
    weighed: dict[str, Any] = {}
    for number in shards:
        with _on_shards(bench.client, plan, number=number, progress=progress) as chosen:
            fused[str(number)] = compare_fusions(
                bench.client, chosen, wanted[:queries], models=models, progress=progress
            )
            if auto:
                weighed[str(number)] = compare_auto(bench, chosen, wanted[:auto], models=models)
    result: dict[str, Any] = {
        "dataset": f"{DATASET}/{SPLIT}",
        "index": index,
        "depth": plan.depth,
        "fused": fused,
        "auto": weighed,
    }
    if reranked:
        result["reranked"] = compare_reranked(bench, plan, wanted[:reranked], models=models)
    result["reached"] = _reached(result)
    return result


def compare_fusions(
    client: OpenSearch,
    plan: FunnelPlan,
    queries: Sequence[Query],
    *,
    models: PlanModels,
    progress: Progress = SILENT,
) -> dict[str, dict[str, Any]]:
    """Fuse every query in every way of ``FUSIONS``, by the engine and here."""
    shards = shards_of(client, plan.alias)
    version = engine_version(client)
    lexical = plain_query(plan)
    searcher = EngineLegs(client=client, plan=plan, models=models, shards=shards, lexical=lexical)
    size = min(len(plan.active_legs) * plan.depth * len(shards), MAX_RESULT_WINDOW)
    outcomes: dict[str, list[Comparison]] = {name: [] for name in FUSIONS}
    task = f"fusing on {len(shards)} shard(s)"
    with progress.task(task, total=len(queries), unit="queries") as advance:
        for query in queries:
            legs = leg_queries(plan, text=query.text, bm25=lexical(query), models=models)
            hits = searcher.find_on_shards(query)
            for name, fusion in FUSIONS.items():
                chosen = replace(plan, fusion=fusion)
                response = search_fused(client, chosen, legs=legs, size=size)
                ours = funnel_of(
                    chosen,
                    models=models,
                    legs=LegsInMemory(hits),
                    sources=SourcesInMemory({}),
                    version=version,
                )(Ranking(query))
                outcomes[name].append(compare(response, ours, hits=hits))
            advance(1)
    return {name: summary(compared) for name, compared in outcomes.items()}


def compare(
    response: Mapping[str, Any], ours: Ranking, *, hits: Mapping[str, Sequence[LegHit]]
) -> Comparison:
    """Compare the engine's order of one query with the client form's.

    Example:
        >>> answer = {"hits": {"hits": [{"_id": "a", "_score": 1.0}]}}
        >>> from opensearch_funnel.testing import ranking_of
        >>> compare(answer, ranking_of("x"), hits={}).same
        False
    """
    theirs = {str(hit["_id"]): float(hit["_score"]) for hit in response["hits"]["hits"]}
    scores = {c.doc_id: c.score for c in ours.candidates}
    equals = [_equal_scores(leg) for leg in hits.values()]
    moved = [a for a, b in zip(theirs, scores, strict=False) if a != b]
    beside = Counter(np.float32(score) for score in scores.values())
    permutable = {doc_id for leg in equals for doc_id in leg} | {
        doc_id for doc_id, score in scores.items() if beside[np.float32(score)] > 1
    }
    whole = theirs.keys() == scores.keys()
    return Comparison(
        tied=any(equals),
        same=list(theirs) == list(scores),
        only_ties_moved=whole and set(moved) <= permutable,
        difference=max((abs(theirs[d] - scores[d]) for d in theirs.keys() & scores), default=0.0),
    )


def _equal_scores(leg: Sequence[LegHit]) -> set[str]:
    """Return the documents of a leg that share their raw score with another."""
    count = Counter(np.float32(hit.score) for hit in leg)
    return {hit.doc_id for hit in leg if count[np.float32(hit.score)] > 1}


def summary(compared: Sequence[Comparison]) -> dict[str, Any]:
    """Count the queries of one way to fuse."""
    plain = [c for c in compared if not c.tied]
    tied = [c for c in compared if c.tied]
    return {
        "without_ties": {"queries": len(plain), "same_order": sum(c.same for c in plain)},
        "with_ties": {
            "queries": len(tied),
            "same_order": sum(c.same for c in tied),
            "only_ties_moved": sum(c.only_ties_moved and not c.same for c in tied),
        },
        "largest_score_difference": max((c.difference for c in compared), default=0.0),
    }


@contextmanager
def _on_shards(
    client: OpenSearch, plan: FunnelPlan, *, number: int, progress: Progress
) -> Iterator[FunnelPlan]:
    """Give the plan over its index on so many shards: a copy, which is deleted afterwards."""
    if number == 1:
        yield plan
        return

    def reindex(copy: str) -> None:
        client.reindex(
            body={"source": {"index": plan.alias}, "dest": {"index": copy}},
            params={"refresh": "true", **SLOW},
        )

    progress.say(f"copying {plan.alias} to {number} shards")
    with copied_index(client, plan.alias, fill=reindex, shards=number) as copy:
        yield replace(plan, alias=copy)


def _reached(result: Mapping[str, Any]) -> bool:
    """Say whether every order was the same, ties apart, and every score near enough."""
    outcomes = [outcome for fused in result["fused"].values() for outcome in fused.values()]
    orders = all(
        outcome["without_ties"]["same_order"] == outcome["without_ties"]["queries"]
        and outcome["with_ties"]["same_order"] + outcome["with_ties"]["only_ties_moved"]
        == outcome["with_ties"]["queries"]
        for outcome in outcomes
    )
    scores = all(outcome["largest_score_difference"] <= NEAR for outcome in outcomes)
    applied = [*result["auto"].values(), *filter(None, [result.get("reranked")])]
    whole = all(one["same_order"] == one["queries"] and one["degraded"] == 0 for one in applied)
    return orders and scores and whole


def _table(result: Mapping[str, Any]) -> Table:
    table = Table("shards", box=None, pad_edge=False)
    table.add_column("fusion", no_wrap=True)
    for name in ("no ties", "same", "with ties", "same", "ties moved", "largest difference"):
        table.add_column(name, justify="right")
    rows = [(n, name, o) for n, fused in result["fused"].items() for name, o in fused.items()]
    for number, group in groupby(rows, key=lambda row: row[0]):
        for _, name, outcome in group:
            plain, tied = outcome["without_ties"], outcome["with_ties"]
            table.add_row(
                number,
                name,
                *(str(plain[key]) for key in ("queries", "same_order")),
                *(str(tied[key]) for key in ("queries", "same_order", "only_ties_moved")),
                f"{outcome['largest_score_difference']:.1e}",
            )
    return table


def main() -> int:
    """Run from the command line: a table, or with ``--output json`` one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--url", default=None)
    parser.add_argument("--datasets", type=Path, default=None)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--reranked", type=int, default=100)
    parser.add_argument("--auto", type=int, default=500)
    parser.add_argument("--shards", type=int, nargs="*", default=[1, 3])
    parser.add_argument("--output", choices=["table", "json"], default="table")
    given = parser.parse_args()
    datasets = given.datasets or Path(os.environ.get("FUNNEL_DATASETS", "../shared/datasets"))
    try:
        result = run(
            given.url,
            datasets,
            queries=given.queries,
            reranked=given.reranked,
            auto=given.auto,
            shards=given.shards,
        )
    except FunnelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if given.output == "json":
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
    else:
        console = Console()
        console.print(f"{result['dataset']}, {result['index']}, legs {result['depth']} deep")
        console.print(_table(result))
        for number, auto in result["auto"].items():
            console.print(
                f"auto through the pipeline on {number} shard(s): {auto['same_order']} of "
                f"{auto['queries']} queries the same in {auto['hits']} hits, "
                f"{auto['degraded']} answers degraded"
            )
        if reranked := result.get("reranked"):
            console.print(
                f"reranked through the pipeline: {reranked['same_order']} of "
                f"{reranked['queries']} pages of {reranked['hits']} the same, "
                f"{reranked['degraded']} degraded"
            )
        console.print("reached" if result["reached"] else "NOT reached")
    return 0 if result["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())
