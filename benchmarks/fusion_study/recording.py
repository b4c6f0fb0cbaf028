"""Search the queries of a collection with every leg, whole and spoiled, and keep what is found."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.fusion_study.collections_of_study import Part
from benchmarks.fusion_study.found import SPOILED, Asked, Hits, load_asked, save_asked
from benchmarks.fusion_study.weighing import WordMasses
from opensearch_funnel.build.evaluation import Bench, as_measured
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.engine.applying import bound_plan
from opensearch_funnel.engine.leg_hits import EngineLegs, Shard, plain_query, shards_of
from opensearch_funnel.engine.queries import multi_match
from opensearch_funnel.engine.searching import NO_PIPELINE

_TERMS = 3
_DIMENSIONS = 40
_SEED = 4
_PAGE = 1000
_DIGITS = 7

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    """The evaluation index of a collection, ready to be searched.

    Attributes:
        bench: where it is.
        plan: the default plan, bound to it.
        shards: of the index.
        models: the encoders of its legs.
        ids: the documents that have a vector.
        vectors: of these, the first dimensions, of length 1.
    """

    bench: Bench
    plan: FunnelPlan
    shards: Sequence[Shard]
    models: PlanModels
    ids: Sequence[str]
    vectors: Vectors

    @classmethod
    def opened(cls, bench: Bench, part: Part, *, models: PlanModels) -> Searched:
        """Open the index of a collection; it is loaded and encoded first where it is not there.

        Raises:
            EngineError: the cluster does not answer.
        """
        plan = FunnelPlan(alias=part.collection)
        index = bench.encoded_index(part.dataset, plan, models=models).name
        bound = bound_plan(bench.client, as_measured(plan, index=index))
        ids, vectors = _vectors(bench, bound)
        shards = shards_of(bench.client, index)
        return cls(bench=bench, plan=bound, shards=shards, models=models, ids=ids, vectors=vectors)

    def columns(self, text: str) -> dict[str, Hits]:
        """Return what every leg finds, whole and spoiled."""
        query = Query(text=text)
        whole = self._legs(plain_query(self.plan), plan=self.plan).find(query)
        few = replace(self.plan.sparse, query_terms=_TERMS)
        sparse = self._legs(
            plain_query(self.plan), plan=replace(self.plan.with_legs("sparse"), sparse=few)
        )
        bm25 = self._legs(self._half, plan=self.plan.with_legs("bm25"))
        return {
            **{leg: _hits(hits) for leg, hits in whole.items()},
            SPOILED["sparse"]: _hits(sparse.find(query)["sparse"]),
            SPOILED["bm25"]: _hits(bm25.find(query)["bm25"]),
            SPOILED["dense"]: self._nearest(text),
        }

    def _legs(self, lexical: Callable[[Query], Any], *, plan: FunnelPlan) -> EngineLegs:
        return EngineLegs(
            client=self.bench.client,
            plan=plan,
            models=self.models,
            shards=self.shards,
            lexical=lexical,
        )

    def _half(self, query: Query) -> dict[str, Any]:
        """Return BM25's query of half of the words, always the same ones."""
        words = query.text.split()
        drawn = random.Random(f"{_SEED} {query.text}")  # noqa: S311 - not for secrets
        kept = drawn.sample(words, k=max(1, len(words) // 2))
        return multi_match(" ".join(kept), fields=self.plan.text_fields)

    def _nearest(self, text: str) -> Hits:
        assert self.models.dense is not None  # noqa: S101 - opened above
        asked = unit(np.asarray(self.models.dense.encode_query(text))[None, :_DIMENSIONS])[0]
        scores = 1.0 + self.vectors @ asked
        best = np.argsort(-scores, kind="stable")[: self.plan.depth]
        return Hits(
            ids=[self.ids[place] for place in best],
            scores=[round(float(scores[place]), _DIGITS) for place in best],
            numbers=[int(place) for place in best],
        )


def unit(rows: Vectors) -> Vectors:
    """Return vectors of length 1.

    Example:
        >>> unit(np.array([[3.0, 4.0]], dtype=np.float32)).round(1).tolist()
        [[0.6000000238418579, 0.800000011920929]]
    """
    made: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return made


def _hits(hits: Sequence[LegHit]) -> Hits:
    best = sorted(hits, key=lambda hit: (-hit.score, hit.doc_number))
    return Hits(
        ids=[hit.doc_id for hit in best],
        scores=[hit.score for hit in best],
        numbers=[hit.doc_number or 0 for hit in best],
    )


def _vectors(bench: Bench, plan: FunnelPlan) -> tuple[list[str], Vectors]:
    """Read the first dimensions of every document's vector."""
    ids: list[str] = []
    rows: list[list[float]] = []
    for hit in _documents(bench, plan):
        vector = hit["_source"].get("funnel", {}).get(plan.dense_field.partition(".")[2])
        if vector is not None:
            ids.append(hit["_id"])
            rows.append(vector[:_DIMENSIONS])
    return ids, unit(np.asarray(rows, dtype=np.float32))


def _documents(bench: Bench, plan: FunnelPlan) -> Iterator[dict[str, Any]]:
    body = {"size": _PAGE, "_source": [plan.dense_field], "sort": ["_doc"]}
    after: list[Any] = []
    while True:
        page = bench.client.search(
            index=plan.alias,
            body={**body, **({"search_after": after} if after else {})},
            params={"search_pipeline": NO_PIPELINE},
        )["hits"]["hits"]
        if not page:
            return
        yield from page
        after = page[-1]["sort"]


def recorded(part: Part, *, folder: Path, opened: Callable[[Part], Searched]) -> list[Asked]:
    """Return what was found for the queries of a part; searched once, then read from its file.

    Args:
        part: whose queries are asked.
        folder: where files are kept.
        opened: gives the index where something has to be searched.
    """
    path = folder / f"{part.collection}-{part.dataset.split}.json.gz"
    if path.is_file():
        return load_asked(path)
    searched = opened(part)
    masses = WordMasses(client=searched.bench.client, plan=searched.plan)
    texts = [query.text for query in part.dataset.queries]
    asked = []
    with searched.bench.progress.task(
        f"searching {part.name}", total=len(texts), unit="queries"
    ) as advance:
        for query, mass in zip(part.dataset.queries, masses.of(texts), strict=True):
            asked.append(
                Asked(
                    query_id=query.query_id,
                    text=query.text,
                    grades=dict(part.dataset.qrels[query.query_id]),
                    columns=searched.columns(query.text),
                    mass=mass,
                )
            )
            advance(1)
    save_asked(path, asked)
    return asked
