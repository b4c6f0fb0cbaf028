"""What ``auto`` makes of an index on which one leg is worth nothing.

The evaluation index of ``scifact`` is copied: once as it is, and once for each leg, with that
leg's part of every document exchanged for another document's (seed 1): the fields that BM25
searches, the vectors, or the term weights. All else stays as it is: ids, the other parts, the
stored text that probes are made of. So nothing on the index tells what is wrong but what the legs
find.

The legs are measured, and every query of the test split is searched, as ``funnel evaluate
--execution client`` does it. Goal: nDCG@10 not more than 0.02 below the best leg that is whole.

Run it from the root: ``python -m benchmarks.broken_legs --url http://127.0.0.1:9250``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean

from opensearchpy import OpenSearch, helpers

from benchmarks.copied_index import SLOW, copied_index
from opensearch_funnel.build.evaluation import Bench
from opensearch_funnel.build.service import reachable_engine
from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.core.fusion import fused_ids
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import LEGS, FunnelPlan, Fusion
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.engine.applying import bound_plan
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.leg_hits import EngineLegs, shards_of
from opensearch_funnel.engine.queries import Body, multi_match
from opensearch_funnel.evaluating.datasets import Dataset, read_dataset
from opensearch_funnel.evaluating.switch import ndcg
from opensearch_funnel.evaluating.trust.measuring import measured_plan
from opensearch_funnel.settings import load_settings

BOUND = 0.02
_SEED = 1
_CUTOFF = 10
_SEARCHED = ("searched_title", "searched_text")
_RRF = "rrf"

Sources = Mapping[str, Body]
"""The documents of an index by their ids."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """One copy.

    Attributes:
        leg: the one that is broken; empty for none.
        alone: nDCG@10 of each leg, and of reciprocal ranks.
        auto: that of the default plan.
        trust: what was measured, in words.
    """

    leg: str
    alone: Mapping[str, float]
    auto: float
    trust: str

    @property
    def best_whole(self) -> float:
        """What the best leg that is whole reaches."""
        return max(value for leg, value in self.alone.items() if leg not in {self.leg, _RRF})

    @property
    def reached(self) -> bool:
        """Whether the goal holds."""
        return self.auto >= self.best_whole - BOUND


def run(url: str | None, dataset: Dataset, *, progress: Progress = SILENT) -> list[Broken]:
    """Measure the index as it is, and with each leg broken.

    Raises:
        FunnelError: no cluster answers.
    """
    given = load_settings()
    settings = given if url is None else given.model_copy(update={"url": url})
    settings = reachable_engine(settings, progress=progress)
    bench = Bench(client=connect(settings), settings=settings, progress=progress)
    plan = FunnelPlan(alias=dataset.name)
    models = bench.open_encoders(plan)
    index = bench.encoded_index(dataset, plan, models=models).name
    client = bench.client
    sources: Sources = {hit["_id"]: hit["_source"] for hit in helpers.scan(client, index=index)}
    ((_, about),) = client.indices.get_mapping(index=index).items()
    text = about["mappings"]["properties"][plan.text_fields[-1]]
    added = dict.fromkeys(_SEARCHED, text)
    found = []
    for leg in ("", *LEGS):
        fill = partial(_filled, client, sources=sources, plan=plan, leg=leg)
        with copied_index(client, index, fill=fill, added=added) as copy:
            bound = bound_plan(client, replace(plan, alias=copy))
            found.append(_measured(client, bound, dataset, models=models, leg=leg))
    return found


def _measured(
    client: OpenSearch, plan: FunnelPlan, dataset: Dataset, *, models: PlanModels, leg: str
) -> Broken:
    plan = measured_plan(client, plan, models=models)
    legs = EngineLegs(
        client=client,
        plan=plan,
        models=models,
        shards=shards_of(client, plan.alias),
        lexical=lambda query: multi_match(query.text, fields=_SEARCHED),
    )
    values: dict[str, list[float]] = {name: [] for name in (*LEGS, _RRF, "auto")}
    for query in dataset.queries:
        grades = dataset.qrels[query.query_id]
        hits = legs.find(Query(text=query.text))
        orders: dict[str, Sequence[str]] = {
            name: [hit.doc_id for hit in hits[name]] for name in LEGS
        }
        orders[_RRF] = fused_ids(hits, weights=(1, 1, 1), fusion=Fusion(technique="rrf"))
        orders["auto"] = fused_ids(hits, weights=plan.weights, fusion=plan.fusion)
        for name, order in orders.items():
            values[name].append(ndcg(order, grades, k=_CUTOFF))
    means = {name: fmean(each) for name, each in values.items()}
    return Broken(leg=leg, auto=means.pop("auto"), alone=means, trust=plan.trust.reason)


def _filled(client: OpenSearch, copy: str, *, sources: Sources, plan: FunnelPlan, leg: str) -> None:
    """Write the documents, with one leg's part of each exchanged."""
    ids = sorted(sources)
    shuffled = list(ids)
    random.Random(_SEED).shuffle(shuffled)  # noqa: S311 - the same exchange every time
    exchange = _EXCHANGES[leg]
    lines = (
        {"_index": copy, "_id": own, **exchange(sources[own], sources[other], plan)}
        for own, other in zip(ids, shuffled, strict=True)
    )
    helpers.bulk(client, lines, chunk_size=250, **SLOW)


def _with_words(own: Body, words: Body) -> Body:
    title, text = (words.get(field, "") for field in ("title", "text"))
    return {**own, _SEARCHED[0]: title, _SEARCHED[1]: text}


def _nothing(own: Body, other: Body, plan: FunnelPlan) -> Body:
    del other, plan
    return _with_words(own, own)


def _words(own: Body, other: Body, plan: FunnelPlan) -> Body:
    del plan
    return _with_words(own, other)


def _weights(own: Body, other: Body, plan: FunnelPlan) -> Body:
    return _with_words(_exchanged(own, other, field=plan.sparse_field), own)


def _vectors(own: Body, other: Body, plan: FunnelPlan) -> Body:
    return _with_words(_exchanged(own, other, field=plan.dense_field), own)


def _exchanged(own: Body, other: Body, *, field: str) -> Body:
    outer, _, inner = field.partition(".")
    return {**own, outer: {**own[outer], inner: other[outer][inner]}}


_EXCHANGES: Mapping[str, Callable[[Body, Body, FunnelPlan], Body]] = {
    "": _nothing,
    "bm25": _words,
    "sparse": _weights,
    "dense": _vectors,
}


def table(found: Sequence[Broken]) -> str:
    """Lay the figures out for a person."""
    names = (*LEGS, _RRF)
    head = "".join(f"{name:>9}" for name in (*names, "auto"))
    lines = [f"{'broken':<8}{head}{'best whole':>12}"]
    for one in found:
        figures = "".join(f"{one.alone[name]:>9.4f}" for name in names)
        lines.append(f"{one.leg or '-':<8}{figures}{one.auto:>9.4f}{one.best_whole:>12.4f}")
    lines += [f"{one.leg or '-':<8}{one.trust}" for one in found]
    reached = "reached" if all(one.reached for one in found) else "NOT reached"
    lines.append(f"goal: at most {BOUND} below the best leg that is whole: {reached}")
    return "\n".join(lines)


def main() -> int:
    """Run from the shell; exit status 1 where the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--url", help="the cluster; FUNNEL_URL or the embedded node by default")
    parser.add_argument("--dataset", type=Path, help="a folder; scifact by default")
    parser.add_argument("--split", default="test")
    parser.add_argument("--output", choices=["table", "json"], default="table")
    given = parser.parse_args()
    folder = Path(os.environ.get("FUNNEL_DATASETS", "../shared/datasets"))
    try:
        dataset = read_dataset(given.dataset or folder / "scifact", split=given.split)
        found = run(given.url, dataset)
    except FunnelError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if given.output == "json":
        rows = [
            {"broken": one.leg, **one.alone, "auto": one.auto, "reached": one.reached}
            for one in found
        ]
        sys.stdout.write(json.dumps(rows, indent=1) + "\n")
    else:
        sys.stdout.write(table(found) + "\n")
    return 0 if all(one.reached for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
