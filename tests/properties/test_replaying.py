"""A replay gives the order of a live run, by the stages and in arrays, whatever was found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_funnel.build.funnel import funnel_of
from opensearch_funnel.core.fusion import fused
from opensearch_funnel.core.leg_hit import LegHit, best_overall
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import LEGS, FunnelPlan, Fusion, Reranking
from opensearch_funnel.core.ranking import Query, Ranking
from opensearch_funnel.core.stage import LegSearcher
from opensearch_funnel.evaluating.replaying.many import Replays
from opensearch_funnel.evaluating.replaying.record import (
    Asker,
    FirstStage,
    Origin,
    Record,
    fingerprint_of,
    searched_by,
)
from opensearch_funnel.evaluating.replaying.replay import replayed_order
from opensearch_funnel.evaluating.replaying.setting import QUERY_TERMS, Setting, column_of
from opensearch_funnel.evaluating.switch import ndcg
from opensearch_funnel.testing import SourcesInMemory

FUSIONS = [
    *(Fusion(technique="rrf", rank_constant=constant) for constant in (1, 60)),
    *(
        Fusion(technique=technique, combination=combination)
        for technique in ("min_max", "l2")
        for combination in ("arithmetic_mean", "geometric_mean", "harmonic_mean")
    ),
    Fusion(technique="z_score"),
    Fusion(technique="auto"),
]
DEEPEST = 8
FIVE = ("bm25", "sparse", "dense", "title", "clicks")
# Few values, so that legs, fused scores and rerankers often tie.
_SCORE = st.sampled_from([0.0, 0.5, 1.0, 1.5, 2.0, 7.25])
_GIVEN = st.sampled_from([-3.0, 0.0, 0.25, 4.0])
_DOCUMENT = st.integers(min_value=0, max_value=40)


@dataclass(frozen=True)
class Index:
    """Documents over some shards; each leg scores some of them for each query."""

    shards: int
    numbered: bool
    found: Mapping[str, Mapping[str, Mapping[int, float]]]
    depth: int = DEEPEST
    overall: bool = False

    def find(self, query: Query) -> dict[str, list[LegHit]]:
        found = {leg: self._leg(scores) for leg, scores in self.found[query.text].items()}
        if not self.overall:
            return found
        return {leg: best_overall(hits, depth=self.depth) for leg, hits in found.items()}

    def _leg(self, scores: Mapping[int, float]) -> list[LegHit]:
        hits = [
            LegHit(
                doc_id=f"d{n:02}",
                score=score,
                shard=n % self.shards,
                # Spread out, so that the hash table of numbers is not in their order.
                doc_number=n * 37 % 1009 if self.numbered else None,
            )
            for n, score in scores.items()
        ]
        hits.sort(key=lambda hit: (-hit.score, hit.doc_number or 0, hit.doc_id))
        by_shard = [[h for h in hits if h.shard == shard] for shard in range(self.shards)]
        return [hit for shard in by_shard for hit in shard[: self.depth]]


@dataclass(frozen=True)
class Table:
    """A reranker with a score for each document, whose text is its number."""

    scores: Sequence[float]

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        return [self.scores[(int(text) + len(query)) % len(self.scores)] for text in texts]


def indices(legs: Sequence[str]) -> st.SearchStrategy[Index]:
    leg = st.dictionaries(_DOCUMENT, _SCORE, max_size=30)
    query = st.fixed_dictionaries(dict.fromkeys(legs, leg))
    return st.builds(
        Index,
        shards=st.integers(min_value=1, max_value=3),
        numbered=st.booleans(),
        found=st.dictionaries(st.sampled_from(["a", "bb", "ccc"]), query, min_size=1),
    )


reranks = st.builds(
    lambda depth, keep, share, cascade: Reranking(
        enabled=True,
        depth=depth,
        keep=min(keep, depth),
        blend=share,
        cascade=cascade,
        model="last",
        first_model="first",
    ),
    depth=st.integers(min_value=1, max_value=DEEPEST),
    keep=st.integers(min_value=1, max_value=DEEPEST),
    share=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    cascade=st.booleans(),
)
tables = st.builds(Table, st.lists(_GIVEN, min_size=1, max_size=41))
SOURCES = SourcesInMemory({f"d{n:02}": {"title": str(n)} for n in range(41)})


class Columns:
    """The legs of an index by the names that a record has for them."""

    def __init__(self, legs: LegSearcher) -> None:
        self._legs = legs

    def find(self, query: Query) -> dict[str, Sequence[LegHit]]:
        found = self._legs.find(query)
        return {column_of(leg, query_terms=QUERY_TERMS): hits for leg, hits in found.items()}


def recorded(index: Index, legs: Sequence[str], version: tuple[int, int] = (3, 6)) -> Record:
    queries = [Query(text=text, query_id=f"q-{text}") for text in sorted(index.found)]
    origin = Origin(
        index="films", plan=searched_by(FunnelPlan(alias="films")), rerankers={}, queries="q"
    )
    names = [column_of(leg, query_terms=QUERY_TERMS) for leg in legs]
    stage = FirstStage(legs=Columns(index), names=names, depth=DEEPEST, version=version)
    return stage.record(queries, origin=replace(origin, queries=fingerprint_of(queries)))


def asker(first: Table, last: Table) -> Asker:
    return Asker(scorers={"first": first, "last": last}, sources=SOURCES, text_fields=("title",))


@st.composite
def plans(draw: st.DrawFn) -> FunnelPlan:
    rerank = draw(st.none() | reranks)
    weights = draw(st.tuples(*(st.sampled_from([0.0, 0.5, 1.0, 3.0]) for _ in LEGS)).filter(any))
    lowest = rerank.depth if rerank else 1
    plain = FunnelPlan(
        alias="films",
        text_fields=("title",),
        depth=draw(st.integers(min_value=lowest, max_value=DEEPEST)),
        fusion=draw(st.sampled_from(FUSIONS)),
        rerank=rerank or Reranking(depth=1),
    )
    legs = {
        leg: replace(getattr(plain, leg), weight=weight)
        for leg, weight in zip(LEGS, weights, strict=True)
    }
    return replace(plain, **legs)


@settings(max_examples=300)
@given(index=indices(LEGS), plan=plans(), first=tables, last=tables)
def test_a_replay_gives_the_order_of_the_client_form(
    index: Index, plan: FunnelPlan, first: Table, last: Table
) -> None:
    record = recorded(index, LEGS)
    setting = Setting.of(plan)
    live = funnel_of(
        plan,
        models=PlanModels(reranker=last, first_reranker=first),
        legs=replace(
            index,
            depth=plan.depth,
            overall=plan.fusion.by_service,
            found=_only(index, plan.active_legs),
        ),
        sources=SOURCES,
    )
    runs = [live.run(Ranking(recorded.query)) for recorded in record.queries]
    assert not any(run.degraded for run in runs)
    orders = [tuple(c.doc_id for c in run.ranking.candidates) for run in runs]
    ask = asker(first, last)
    for number, order in enumerate(orders):
        assert replayed_order(record, number, setting, ask=ask) == order
    relevant = {f"d{n:02}": float(n % 4 - 1) for n in range(41)}
    qrels = {recorded.query.query_id: relevant for recorded in record.queries}
    many = Replays(record, qrels=qrels)
    assert many.orders(setting, most=200) == orders
    expected = [ndcg(order, relevant, k=10) for order in orders]
    assert many.ndcg([setting])[0] == pytest.approx(expected, abs=1e-12)


def _only(index: Index, legs: Sequence[str]) -> dict[str, dict[str, Mapping[int, float]]]:
    return {
        text: {leg: scores for leg, scores in found.items() if leg in legs}
        for text, found in index.found.items()
    }


@pytest.mark.parametrize("version", [(3, 4), (3, 6)])
@pytest.mark.parametrize("fusion", FUSIONS, ids=str)
@settings(max_examples=40)
@given(
    index=indices(FIVE),
    legs=st.lists(st.sampled_from(FIVE), min_size=1, unique=True),
    data=st.data(),
)
def test_arrays_give_the_order_of_the_fusion_for_one_to_five_legs(
    fusion: Fusion,
    version: tuple[int, int],
    index: Index,
    legs: list[str],
    data: st.DataObject,
) -> None:
    depth = data.draw(st.integers(min_value=1, max_value=DEEPEST))
    weights = tuple(data.draw(st.sampled_from([1.0, 2.0, 5.0])) for _ in legs)
    record = recorded(index, FIVE, version)
    setting = Setting(legs=tuple(legs), weights=weights, fusion=fusion, depth=depth)
    live = replace(index, depth=depth, overall=fusion.by_service)
    found = [live.find(recorded.query) for recorded in record.queries]
    expected = [
        fused(
            {leg: each[leg] for leg in legs},
            weights=setting.shares,
            fusion=fusion,
            version=version,
        ).doc_ids
        for each in found
    ]
    qrels = {recorded.query.query_id: {"d00": 1.0} for recorded in record.queries}
    assert Replays(record, qrels=qrels).orders(setting, most=200) == expected


@settings(max_examples=50)
@given(index=indices(LEGS), some=st.lists(plans(), min_size=1, max_size=6))
def test_settings_and_queries_do_not_depend_on_what_is_replayed_beside_them(
    index: Index, some: list[FunnelPlan]
) -> None:
    record = recorded(index, LEGS)
    wanted = [Setting.of(plan) for plan in some]
    qrels = {recorded.query.query_id: {"d01": 1.0, "d02": 2.0} for recorded in record.queries}
    many = Replays(record, qrels=qrels, ask=asker(Table([1.0, 2.0, 3.0]), Table([3.0, 1.0])))
    together = many.ndcg(wanted)
    alone = [
        [float(many.ndcg([one], queries=slice(n, n + 1))[0, 0]) for n in range(len(many))]
        for one in wanted
    ]
    assert np.array_equal(together, np.array(alone))
