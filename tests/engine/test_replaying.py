"""What was recorded once of a node is replayed as the node answers: other weights, other depths."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel import Query, Ranking
from opensearch_funnel.build.funnel import client_funnel
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Fusion, Reranking
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.engine.indices import EncodedBy, Slot, index_body
from opensearch_funnel.engine.leg_hits import (
    EngineLegs,
    EngineSources,
    engine_version,
    plain_query,
    shards_of,
)
from opensearch_funnel.evaluating.replaying.many import Replays
from opensearch_funnel.evaluating.replaying.record import (
    Asker,
    FirstStage,
    Origin,
    Record,
    fingerprint_of,
    searched_by,
)
from opensearch_funnel.evaluating.replaying.record_file import load_record, save_record
from opensearch_funnel.evaluating.replaying.replay import replayed_order
from opensearch_funnel.evaluating.replaying.setting import Setting, column_of
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights

pytestmark = pytest.mark.engine

SPARSE, DENSE = WordWeights(), WordVector()
WORDS = ["red", "blue", "fox", "hound", "whale", "wall", "song", "thief", "city", "night", "snow"]
QUERIES = [
    Query(text=text, query_id=str(number))
    for number, text in enumerate(["red fox", "whale", "night snow city", "nothing of it"])
]


class Lengths:
    """A first reranker that likes long texts."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        del query
        return [float(len(text)) for text in texts]


MODELS = PlanModels(sparse=SPARSE, dense=DENSE, first_reranker=Lengths(), reranker=OverlapScorer())


@pytest.fixture
def plan(client: OpenSearch, index_name: str) -> FunnelPlan:
    slot = Slot(
        sparse=EncodedBy(model="splade-tiny", fingerprint=SPARSE.fingerprint),
        dense=EncodedBy(model="bge-small-en-v1.5", fingerprint=DENSE.fingerprint),
        dimension=DENSE.dimension,
    )
    body = index_body(slot=slot, replicas=0)
    body["settings"]["number_of_shards"] = 2
    client.indices.create(index=index_name, body=body)
    draw = random.Random(7)  # noqa: S311 - the same documents every time
    lines: list[Mapping[str, Any]] = []
    for number in range(200):
        text = " ".join(draw.choices(WORDS, k=draw.randint(1, 6)))
        source: dict[str, Any] = {"title": draw.choice(WORDS), "text": text}
        encoded = encoded_text(source, fields=["title", "text"])
        source["funnel"] = {
            "id": f"d{number}",
            "sparse_a": SPARSE.encode_query(encoded),
            "dense_a": DENSE.encode_query(encoded).tolist(),
        }
        lines += [{"index": {"_id": f"d{number}"}}, source]
    assert not client.bulk(index=index_name, body=lines)["errors"]
    client.indices.forcemerge(index=index_name, params={"max_num_segments": "1"})
    client.indices.refresh(index=index_name)
    return FunnelPlan(alias=index_name, depth=40, rerank=Reranking(depth=20, keep=5))


class Columns:
    """The legs by the names that a record has for them."""

    def __init__(self, legs: EngineLegs) -> None:
        self._legs = legs

    def find(self, query: Query) -> dict[str, list[LegHit]]:
        terms = self._legs.plan.sparse.query_terms
        found = self._legs.find_on_shards(query)
        return {column_of(leg, query_terms=terms): hits for leg, hits in found.items()}


def recorded(client: OpenSearch, plan: FunnelPlan) -> tuple[Record, Asker]:
    shards = shards_of(client, plan.alias)
    legs = EngineLegs(
        client=client, plan=plan, models=MODELS, shards=shards, lexical=plain_query(plan)
    )
    origin = Origin(
        index=plan.alias,
        plan=searched_by(plan),
        rerankers={},
        queries=fingerprint_of(QUERIES),
    )
    stage = FirstStage(
        legs=Columns(legs),
        names=Setting.of(plan).columns,
        depth=plan.depth,
        version=engine_version(client),
    )
    ask = Asker(
        scorers={plan.rerank.first_model: Lengths(), plan.rerank.model: OverlapScorer()},
        sources=EngineSources(client=client, shards=shards, fields=plan.text_fields),
        text_fields=plan.text_fields,
    )
    return stage.record(QUERIES, origin=origin), ask


def variants(plan: FunnelPlan) -> Iterator[FunnelPlan]:
    for fusion in (Fusion(), Fusion(technique="rrf"), Fusion(technique="z_score")):
        fused = replace(plan, fusion=fusion)
        yield fused
        yield fused.with_legs("bm25", "dense")
        yield replace(fused, dense=replace(plan.dense, weight=3.0), depth=25)
        for cascade in (True, False):
            rerank = replace(plan.rerank, enabled=True, cascade=cascade, blend=0.25)
            yield replace(fused, rerank=rerank)


def test_a_replay_answers_as_the_node_does(
    client: OpenSearch, plan: FunnelPlan, tmp_path: Path
) -> None:
    record, ask = recorded(client, plan)
    qrels = {query.query_id: {"d1": 1.0} for query in QUERIES}
    for variant in variants(plan):
        live = client_funnel(client, variant, models=MODELS)
        runs = [live.run(Ranking(query)) for query in QUERIES]
        assert not any(run.degraded for run in runs)
        orders = [tuple(c.doc_id for c in run.ranking.candidates) for run in runs]
        assert max(map(len, orders)) > 20
        setting = Setting.of(variant)
        replays = [replayed_order(record, n, setting, ask=ask) for n in range(len(QUERIES))]
        assert replays == orders
        assert Replays(record, qrels=qrels).orders(setting, most=400) == orders
    # Stored and read again, it needs neither the node nor the rerankers.
    save_record(record, tmp_path / "record.npz")
    again = load_record(tmp_path / "record.npz", origin=record.origin)
    assert [replayed_order(again, n, setting) for n in range(len(QUERIES))] == orders
