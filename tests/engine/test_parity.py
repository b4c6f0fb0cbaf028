"""The client form of a plan gives the engine's order: every fusion, ties included."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import fsum
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel import Query, Ranking
from opensearch_funnel.build.funnel import client_funnel
from opensearch_funnel.build.service import applied_plan
from opensearch_funnel.core.errors import EngineError, IndexMissingError
from opensearch_funnel.core.fusion import CONTRIBUTION
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Fusion, PerQuery, Reranking
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import bound_plan
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.engine.indices import EncodedBy, Slot, index_body
from opensearch_funnel.engine.leg_hits import (
    EngineLegs,
    EngineSources,
    engine_version,
    plain_query,
    shards_of,
)
from opensearch_funnel.engine.queries import hybrid, leg_queries
from opensearch_funnel.engine.search_pipelines import fusion_pipeline
from opensearch_funnel.engine.searching import hit_ids, search
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights, served

pytestmark = pytest.mark.engine

SPARSE, DENSE = WordWeights(), WordVector()
MODELS = PlanModels(sparse=SPARSE, dense=DENSE, reranker=OverlapScorer())
WORDS = ["red", "blue", "fox", "hound", "whale", "wall", "song", "thief", "city", "night", "snow"]
DOCUMENTS = 300
FUSIONS = [
    Fusion(technique="rrf"),
    Fusion(technique="rrf", rank_constant=1),
    Fusion(technique="min_max", combination="arithmetic_mean"),
    Fusion(technique="min_max", combination="geometric_mean"),
    Fusion(technique="min_max", combination="harmonic_mean"),
    Fusion(technique="l2", combination="arithmetic_mean"),
    Fusion(technique="l2", combination="geometric_mean"),
    Fusion(technique="l2", combination="harmonic_mean"),
    Fusion(technique="z_score", combination="arithmetic_mean"),
]
LONG = PerQuery(feature="words", at_least=3, bm25=0.5, sparse=3.0, dense=1.0)
QUERIES = ["red fox", "whale", "the king of the night train", "snow snow city", "nothing of it"]


def _fill(client: OpenSearch, index: str, *, shards: int, seed: int) -> None:
    """Make an index of short documents, many of which are alike: fused scores tie."""
    slot = Slot(
        sparse=EncodedBy(model="splade-tiny", fingerprint=SPARSE.fingerprint),
        dense=EncodedBy(model="bge-small-en-v1.5", fingerprint=DENSE.fingerprint),
        dimension=DENSE.dimension,
    )
    body = index_body(slot=slot, replicas=0)
    body["settings"]["number_of_shards"] = shards
    client.indices.create(index=index, body=body)
    draw = random.Random(seed)  # noqa: S311 - the same documents every time
    lines: list[Mapping[str, Any]] = []
    for number in range(DOCUMENTS):
        text = " ".join(draw.choices(WORDS, k=draw.randint(1, 6)))
        source: dict[str, Any] = {"title": draw.choice(WORDS), "text": text}
        encoded = encoded_text(source, fields=["title", "text"])
        source["funnel"] = {
            "id": f"d{number}",
            "hash": text_hash(encoded),
            "state": "ready",
            "sparse_a": SPARSE.encode_query(encoded),
            "dense_a": DENSE.encode_query(encoded).tolist(),
        }
        lines += [{"index": {"_id": f"d{number}"}}, source]
    assert not client.bulk(index=index, body=lines)["errors"]
    client.indices.forcemerge(index=index, params={"max_num_segments": "1"})
    client.indices.refresh(index=index)


@pytest.fixture(scope="module", params=[1, 3], ids=["1-shard", "3-shards"])
def index(request: pytest.FixtureRequest, client: OpenSearch) -> Iterator[str]:
    name = f"test-parity-{request.param}"
    client.indices.delete(index=name, params={"ignore_unavailable": "true"})
    _fill(client, name, shards=request.param, seed=1)
    yield name
    client.indices.delete(index=name)


def _plan(index: str, **parts: Any) -> FunnelPlan:
    # Shallow, so that what a leg does not reach matters; more documents than depth match.
    # By the engine, but for what a test asks for: auto has tests of its own (test_auto_fusion).
    parts.setdefault("fusion", Fusion(technique="min_max"))
    return FunnelPlan(alias=index, depth=40, rerank=Reranking(depth=10), **parts)


def _native(client: OpenSearch, plan: FunnelPlan, text: str) -> list[dict[str, Any]]:
    """Let the engine fuse the legs of a plan."""
    bm25 = plain_query(plan)(Query(text=text))
    legs = leg_queries(plan, text=text, bm25=bm25, models=MODELS)
    holds = bm25 if plan.matching == "same_set" else None
    body = {
        "query": hybrid(legs, depth=plan.depth, holds=holds),
        "size": 400,
        "search_pipeline": fusion_pipeline(plan),
    }
    response = client.search(index=plan.alias, body=body)
    hits: list[dict[str, Any]] = response["hits"]["hits"]
    return hits


def _client(client: OpenSearch, plan: FunnelPlan, text: str) -> Ranking:
    return client_funnel(client, plan, models=MODELS)(Ranking(Query(text=text)))


@pytest.mark.parametrize("fusion", FUSIONS, ids=lambda f: f"{f.technique}-{f.combination}")
def test_the_same_documents_in_the_same_order_with_the_same_scores(
    client: OpenSearch, index: str, fusion: Fusion
) -> None:
    plan = _plan(index, fusion=fusion)
    tied = 0
    for text in QUERIES:
        hits = _native(client, plan, text)
        ours = _client(client, plan, text)
        assert [c.doc_id for c in ours.candidates] == [hit["_id"] for hit in hits], text
        assert [c.score for c in ours.candidates] == pytest.approx(
            [hit["_score"] for hit in hits], abs=1e-6
        )
        tied += len(hits) - len({hit["_score"] for hit in hits})
    assert tied > 0  # or the order of equal scores is not tested


@pytest.mark.parametrize("fusion", FUSIONS, ids=lambda f: f"{f.technique}-{f.combination}")
def test_queries_of_one_kind_are_fused_with_weights_of_their_own(
    client: OpenSearch, index: str, fusion: Fusion
) -> None:
    plan = _plan(index, fusion=fusion, per_query=LONG)
    moved = 0
    for text in QUERIES:
        hits = _native(client, plan, text)
        ours = _client(client, plan, text)
        assert [c.doc_id for c in ours.candidates] == [hit["_id"] for hit in hits], text
        assert [c.score for c in ours.candidates] == pytest.approx(
            [hit["_score"] for hit in hits], abs=1e-6
        )
        # The scores are those of a plan with these weights for all queries, on another scale.
        static = {h["_id"]: h["_score"] for h in _native(client, plan.for_query(text), text)}
        scales = [hit["_score"] / static[hit["_id"]] for hit in hits if static[hit["_id"]] > 0]
        assert scales == pytest.approx([scales[0]] * len(scales), rel=1e-3), text
        if LONG.fits(text):
            without = _native(client, replace(plan, per_query=PerQuery()), text)
            moved += [hit["_id"] for hit in without] != [hit["_id"] for hit in hits]
    assert moved > 0


@pytest.mark.parametrize("per_query", [PerQuery(), LONG], ids=["one", "own"])
def test_contributions_add_up_to_the_engine_s_score(
    client: OpenSearch, index: str, per_query: PerQuery
) -> None:
    plan = _plan(index, per_query=per_query)
    text = QUERIES[2]
    hits = _native(client, plan, text)
    for hit, ours in zip(hits, _client(client, plan, text).candidates, strict=True):
        parts = [v for name, v in ours.features.items() if name.endswith(CONTRIBUTION)]
        assert fsum(parts) == pytest.approx(hit["_score"], abs=1e-6)


def test_same_set_keeps_every_leg_to_what_the_plain_query_finds(
    client: OpenSearch, index: str
) -> None:
    plan = _plan(index, matching="same_set")
    hits = _native(client, plan, "whale")
    ours = _client(client, plan, "whale")
    assert [c.doc_id for c in ours.candidates] == [hit["_id"] for hit in hits]
    assert all("whale" in f"{h['_source']['title']} {h['_source']['text']}" for h in hits)


def test_a_plan_of_one_leg_and_of_two(client: OpenSearch, index: str) -> None:
    for legs in (("sparse",), ("bm25", "dense")):
        plan = _plan(index).with_legs(*legs)
        hits = _native(client, plan, "red fox")
        ours = _client(client, plan, "red fox")
        assert [c.doc_id for c in ours.candidates] == [hit["_id"] for hit in hits]


def test_an_alias_over_two_indices_one_of_them_filtered(
    client: OpenSearch, index_name: str
) -> None:
    first, second, alias = f"{index_name}-1", f"{index_name}-2", f"{index_name}-both"
    _fill(client, first, shards=2, seed=2)
    _fill(client, second, shards=1, seed=3)
    only_foxes = {"match": {"text": "fox"}}
    actions = [
        {"add": {"index": first, "alias": alias, "filter": only_foxes}},
        {"add": {"index": second, "alias": alias}},
    ]
    client.indices.update_aliases(body={"actions": actions})
    plan = _plan(alias)
    hits = _native(client, plan, "red night")
    ours = _client(client, plan, "red night").candidates
    assert [c.doc_id for c in ours] == [f"{hit['_index']}/{hit['_id']}" for hit in hits]
    assert {hit["_index"] for hit in hits} == {first, second}
    read = EngineSources(client=client, shards=shards_of(client, alias), fields=["text"]).read(
        [ours[0].doc_id, f"{first}/gone"]
    )
    assert read == {ours[0].doc_id: {"text": hits[0]["_source"]["text"]}}


class LongestFirst:
    """A cross-encoder stand-in that likes long texts, so that it disagrees with the others."""

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        del query
        return [float(len(text)) for text in texts]


@pytest.mark.parametrize("cascade", [False, True], ids=["one-model", "cascade"])
def test_the_applied_pipeline_reranks_like_the_client_form(
    client: OpenSearch, index: str, cascade: bool
) -> None:
    rerank = Reranking(
        enabled=True, depth=10, blend=0.25, keep=4, first_model="stand-in" if cascade else ""
    )
    patient = Deadlines(rewrite_ms=20_000, rank_ms=20_000)
    per_query = LONG if cascade else PerQuery()
    plan = _plan(index, per_query=per_query)
    plan = bound_plan(client, replace(plan, rerank=rerank, deadlines=patient))
    models = replace(
        MODELS,
        reranker=LongestFirst(),
        first_reranker=OverlapScorer() if cascade else None,
    )
    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=lambda _: models
    )
    app = create_app(plans, IndexTexts(client), engine_url="test", preload=list)
    funnel = client_funnel(client, plan, models=models)
    fused_orders = 0
    with (
        served(app) as url,
        applied_plan(client, plan, service_url=url, name=f"{index}-parity") as pipeline,
    ):
        for text in QUERIES:
            query = Query(text=text)
            response = search(
                client, index, query=plain_query(plan)(query), size=10, pipeline=pipeline
            )
            assert not degraded(response), text
            ours = funnel.run(Ranking(query))
            page = [c.doc_id for c in ours.ranking.top(10).candidates]
            assert hit_ids(response) == page, text
            fused_orders += page == [hit["_id"] for hit in _native(client, plan, text)[:10]]
    assert fused_orders < len(QUERIES)  # or nothing was reranked


def test_reranked_candidates_carry_their_texts(client: OpenSearch, index: str) -> None:
    plan = _plan(index)
    plan = replace(plan, rerank=replace(plan.rerank, enabled=True))
    run = client_funnel(client, plan, models=MODELS).run(Ranking(Query(text="red fox")))
    assert not run.degraded
    window, rest = run.ranking.candidates[:10], run.ranking.candidates[10:]
    assert all(set(c.source) == {"title", "text"} for c in window)
    assert not any(c.source for c in rest)


def test_the_version_and_the_shards_of_the_cluster(client: OpenSearch, index: str) -> None:
    assert engine_version(client) >= (3, 6)
    shards = shards_of(client, index)
    assert [(shard.index, shard.number) for shard in shards] == [
        (index, number) for number in range(len(shards))
    ]
    with pytest.raises(IndexMissingError):
        shards_of(client, "no-such-index")


def test_a_leg_that_fails_fails_the_search_and_says_why(client: OpenSearch, index: str) -> None:
    plan = _plan(index).with_legs("dense")
    legs = EngineLegs(
        client=client,
        plan=plan,
        models=PlanModels(dense=WordVector(dimension=3)),
        shards=shards_of(client, index),
        lexical=plain_query(plan),
    )
    with pytest.raises(EngineError, match=r"the dense leg failed .*dimension"):
        legs.find(Query(text="red fox"))
