"""Every stage keeps the contract of its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from opensearch_funnel import Candidate, Cutoff, Funnel, Query, Ranking
from opensearch_funnel.build.funnel import funnel_of
from opensearch_funnel.core.errors import EngineUnreachableError, StageUnavailableError
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan, Fusion, Reranking
from opensearch_funnel.core.stage import PairScorer
from opensearch_funnel.stages.fetch import Fetch
from opensearch_funnel.stages.fuse import Fuse
from opensearch_funnel.stages.rerank import Rerank
from opensearch_funnel.stages.retrieve import DOC_NUMBER, SHARD, Retrieve
from opensearch_funnel.testing import (
    CutoffContract,
    DownScorer,
    DownSources,
    FailingStageContract,
    LegsInMemory,
    OverlapScorer,
    RerankingContract,
    RetrievingContract,
    SourcesInMemory,
    ranking_of,
)

HITS = {
    "bm25": [
        LegHit(doc_id="a", score=7.0, doc_number=4),
        LegHit(doc_id="b", score=3.0, doc_number=2),
        LegHit(doc_id="nothing", score=0.0, doc_number=9),
    ],
    "dense": [
        LegHit(doc_id="c", score=0.9, doc_number=7),
        LegHit(doc_id="b", score=0.8, doc_number=2),
    ],
}
DOCUMENTS = {"a": {"text": "red"}, "b": {"text": "red fox"}, "c": {"text": "hound"}}
BY_RANK = Fuse(("bm25", "dense"), weights=(0.5, 0.5), fusion=Fusion(technique="rrf"))


class TestRetrieve(RetrievingContract):
    stage = Retrieve(LegsInMemory(HITS))


class TestFuse(RerankingContract):
    stage = BY_RANK


class TestFuseByScore(RerankingContract):
    stage = replace(BY_RANK, fusion=Fusion())


class TestFetch(RerankingContract, FailingStageContract):
    stage = Fetch(SourcesInMemory(DOCUMENTS))

    @dataclass(frozen=True)
    class _WithoutDocuments:
        """``Fetch`` asks for documents that are missing: takes them away first."""

        fetch: Fetch
        name: str = "fetch"

        def __call__(self, ranking: Ranking) -> Ranking:
            bare = tuple(replace(c, source={}) for c in ranking.candidates)
            return self.fetch(replace(ranking, candidates=bare))

    down = _WithoutDocuments(Fetch(DownSources()))


class TestCutoff(CutoffContract):
    stage = Cutoff(3)
    k = 3


class TestCascade(RerankingContract):
    stage = Funnel((Rerank(OverlapScorer(), depth=3), Rerank(OverlapScorer(), depth=2)))


class TestRerankThatIsDown(FailingStageContract):
    down = Rerank(DownScorer())


class TestFunnelOfAStageThatIsDown(FailingStageContract):
    down = Funnel((Rerank(OverlapScorer()), Rerank(DownScorer(), name="second")))


def found() -> Ranking:
    return Retrieve(LegsInMemory(HITS))(Ranking(Query(text="red fox")))


def ids(ranking: Ranking) -> list[str]:
    return [c.doc_id for c in ranking.candidates]


def test_retrieved_candidates_are_in_the_order_of_the_legs_and_not_scored() -> None:
    ranking = found()
    assert ids(ranking) == ["a", "b", "c"]
    assert {c.score for c in ranking.candidates} == {0.0}
    assert ranking.candidates[1].features == {SHARD: 0, DOC_NUMBER: 2, "bm25": 3.0, "dense": 0.8}


def test_fused_candidates_keep_raw_scores_and_say_what_each_leg_contributed() -> None:
    best = BY_RANK(found()).candidates[0]
    assert best.doc_id == "b"
    assert best.score == pytest.approx(0.5 / 62 + 0.5 / 62)
    assert (best.features["bm25"], best.features["dense"]) == (3.0, 0.8)
    assert best.features["bm25.contribution"] == pytest.approx(0.5 / 62)
    assert SHARD not in best.features


def test_candidates_that_no_leg_found_follow_the_fused_ones() -> None:
    stray = Candidate(doc_id="stray", score=0.0)
    ranking = replace(found(), candidates=(stray, *found().candidates))
    assert ids(BY_RANK(ranking))[-1] == "stray"


def test_only_the_window_gets_its_documents() -> None:
    fetched = Fetch(SourcesInMemory(DOCUMENTS), depth=2)(found())
    assert [c.source for c in fetched.candidates] == [DOCUMENTS["a"], DOCUMENTS["b"], {}]


def test_documents_that_are_there_are_not_fetched() -> None:
    before = ranking_of("a", "b")
    assert Fetch(DownSources())(before) == before


def test_an_engine_that_does_not_answer_makes_fetching_unavailable() -> None:
    class Gone:
        def read(self, doc_ids: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
            raise EngineUnreachableError(f"no OpenSearch answers for {len(doc_ids)} documents")

    with pytest.raises(StageUnavailableError, match="no OpenSearch answers for 3"):
        Fetch(Gone())(found())


PLAN = FunnelPlan(
    alias="films",
    text_fields=("text",),
    fusion=Fusion(technique="rrf"),
    rerank=Reranking(enabled=True, keep=2),
).with_legs("bm25", "dense")


def client_form(
    *, reranker: PairScorer, first: PairScorer | None = None, plan: FunnelPlan = PLAN
) -> Funnel:
    return funnel_of(
        plan,
        models=PlanModels(reranker=reranker, first_reranker=first),
        legs=LegsInMemory(HITS),
        sources=SourcesInMemory(DOCUMENTS),
    )


def test_the_client_form_retrieves_fuses_fetches_and_reranks() -> None:
    run = client_form(reranker=OverlapScorer()).run(Ranking(Query(text="red fox")))
    assert [stage.name for stage in run.stages] == ["retrieve", "fuse", "fetch", "cross_encoder"]
    assert ids(run.ranking) == ["b", "a", "c"]
    assert not run.degraded


def test_a_plan_without_reranking_has_no_such_stage() -> None:
    plan = replace(PLAN, rerank=Reranking(enabled=False))
    run = client_form(reranker=DownScorer(), plan=plan).run(Ranking(Query(text="red fox")))
    assert [stage.name for stage in run.stages] == ["retrieve", "fuse"]


def test_a_reranker_that_is_down_leaves_the_fused_order() -> None:
    fused_order = ids(BY_RANK(found()))
    run = client_form(reranker=DownScorer()).run(Ranking(Query(text="hound")))
    assert ids(run.ranking) == fused_order
    assert [(stage.name, bool(stage.failure)) for stage in run.stages] == [
        ("retrieve", False),
        ("fuse", False),
        ("reranking", True),
    ]


def test_documents_that_cannot_be_read_leave_the_fused_order_of_a_cascade() -> None:
    funnel = funnel_of(
        PLAN,
        models=PlanModels(reranker=OverlapScorer(), first_reranker=OverlapScorer()),
        legs=LegsInMemory(HITS),
        sources=DownSources(),
    )
    run = funnel.run(Ranking(Query(text="hound")))
    assert (ids(run.ranking), run.degraded) == (ids(BY_RANK(found())), True)


def test_in_a_cascade_the_second_model_sees_no_more_than_the_first() -> None:
    plan = replace(PLAN, rerank=replace(PLAN.rerank, depth=1, keep=2))
    run = client_form(reranker=OverlapScorer(), first=OverlapScorer(), plan=plan).run(
        Ranking(Query(text="hound"))
    )
    assert not run.degraded
    assert ids(run.ranking) == ids(BY_RANK(found()))
    assert ["cross_encoder" in c.features for c in run.ranking.candidates] == [True, False, False]


def test_in_a_cascade_the_second_model_sees_what_the_first_kept() -> None:
    class Counting:
        texts: Sequence[str] = ()

        def score(self, query: str, texts: Sequence[str]) -> list[float]:
            del query
            self.texts = texts
            return [float(place) for place in range(len(texts))]

    second = Counting()
    run = client_form(reranker=second, first=OverlapScorer()).run(Ranking(Query(text="hound")))
    assert second.texts == ["hound", "red fox"]
    # Both count alike, and on two texts they say the opposite: the order of the first stands.
    assert ids(run.ranking) == ["c", "b", "a"]
    assert [c.features["first_cross_encoder"] for c in run.ranking.candidates] == [1.0, 0.0, 0.0]
    assert [c.features.get("cross_encoder") for c in run.ranking.candidates] == [0.0, 1.0, None]


def test_where_the_second_model_of_a_cascade_is_down_the_order_of_the_first_stands() -> None:
    funnel = client_form(reranker=DownScorer(), first=OverlapScorer())
    run = funnel.run(Ranking(Query(text="hound")))
    assert ids(run.ranking)[0] == "c"
    assert [(stage.name, bool(stage.failure)) for stage in run.stages][-2:] == [
        ("first_cross_encoder", False),
        ("cross_encoder", True),
    ]
    assert run.degraded


def test_a_plan_that_reranks_needs_a_reranker() -> None:
    with pytest.raises(StageUnavailableError, match="no reranker is open"):
        funnel_of(PLAN, models=PlanModels(), legs=LegsInMemory(HITS), sources=SourcesInMemory({}))
