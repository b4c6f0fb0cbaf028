"""What is lost adds up to 1 - nDCG, and is charged to the stage that lost it."""

from math import log2
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.plan import Fusion, Reranking
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.attribution import (
    LATER,
    ORDER,
    RETRIEVAL,
    WINDOW,
    attribute,
)
from opensearch_funnel.evaluating.measures import Measure, measure_run
from opensearch_funnel.evaluating.replaying.record import (
    Origin,
    Record,
    RecordedQuery,
    recorded,
)
from opensearch_funnel.evaluating.replaying.replay import replayed_order
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.stages.rerank import FIRST, LAST

ORIGIN = Origin(index="films", plan="p", rerankers={}, queries="q")
RRF = Fusion(technique="rrf")
LEGS = ("bm25", "dense")
NDCG = Measure("nDCG", 10)


def asked(query_id: str, **legs: str) -> RecordedQuery:
    """Record legs that found documents of one letter each, best first."""
    found = {
        leg: [
            LegHit(doc_id=letter, score=float(len(letters) - place), doc_number=ord(letter))
            for place, letter in enumerate(letters)
        ]
        for leg, letters in legs.items()
    }
    return recorded(Query(text=query_id, query_id=query_id), found, names=LEGS)


def record(*queries: RecordedQuery) -> Record:
    return Record(origin=ORIGIN, legs=LEGS, depth=50, version=(3, 6), queries=queries)


def setting(rerank: Reranking | None = None, *, depth: int = 50) -> Setting:
    return Setting(legs=LEGS, weights=(1.0, 1.0), fusion=RRF, depth=depth, rerank=rerank)


def given_scores(query: RecordedQuery, model: str, order: str) -> None:
    """Let a reranker like documents in an order; those that it does not name have no score."""
    scores = query.scores_of(model)
    for place, letter in enumerate(order):
        scores[query.doc_ids.index(letter)] = -float(place)


def test_each_stage_is_charged_with_what_it_lost() -> None:
    # Fused: a (both legs), then b and x. "r" is found by no leg, "x" is the best that was.
    one = asked("1", bm25="abxc", dense="ab")
    # The model likes b best, then x: a comes last of the window of 3.
    given_scores(one, LAST, "bxa")
    grades = {"1": {"r": 2.0, "x": 1.0, "a": -1.0}}
    rerank = Reranking(depth=3, cascade=False, model=LAST)
    found = attribute(record(one), setting(rerank), qrels=grades, answers={"1": "xb"})
    ideal = 2 + 1 / log2(3)
    loss = found.losses["1"]
    assert replayed_order(record(one), 0, setting(rerank)) == ("b", "x", "a", "c")
    assert loss.parts == {
        RETRIEVAL: pytest.approx(1 - 1 / ideal),  # the best order of a, b, c, x has x first
        WINDOW: pytest.approx(0.0),  # x is among the first 3
        ORDER: pytest.approx(1 / ideal - 0.5 / ideal),  # fused, x is third: 1 / log2(4)
        LAST: pytest.approx((0.5 - 1 / log2(3)) / ideal),  # it made x second: won back
        LATER: pytest.approx((1 / log2(3) - 1) / ideal),  # and the policy made it first
    }
    assert loss.parts[LAST] < 0 > loss.parts[LATER]
    assert loss.ndcg == pytest.approx(1 / ideal)
    assert loss.reachable == {LAST: pytest.approx(1 / ideal)}
    assert loss.judged == 0.5, "x was judged, b was not"


def test_what_does_not_come_into_the_window_is_charged_to_fusion() -> None:
    one = asked("1", bm25="abx", dense="ab")
    given_scores(one, "first", "ba")
    given_scores(one, "last", "b")
    grades = {"1": {"x": 1.0}}
    rerank = Reranking(depth=2, keep=1, model="last", first_model="first")
    loss = attribute(record(one), setting(rerank), qrels=grades).losses["1"]
    # Whatever is done with a and b, x stays third.
    assert loss.parts == {
        RETRIEVAL: 0.0,
        WINDOW: pytest.approx(0.5),
        ORDER: 0.0,
        FIRST: 0.0,
        LAST: 0.0,
    }


def test_a_first_model_that_misleads_the_last_is_charged_itself() -> None:
    one = asked("1", bm25="ab", dense="ab")
    given_scores(one, "first", "ba")
    given_scores(one, "last", "b")
    rerank = Reranking(depth=2, keep=1, model="last", first_model="first")
    loss = attribute(record(one), setting(rerank), qrels={"1": {"a": 1.0}}).losses["1"]
    second = 1 / log2(3)
    assert loss.parts[FIRST] == pytest.approx(1 - second)
    assert loss.parts[LAST] == 0.0
    # The last one could not help: it was given b alone.
    assert loss.reachable == {FIRST: pytest.approx(1.0), LAST: pytest.approx(second)}


def test_without_reranking_the_window_is_the_answer() -> None:
    eleven = "abcdefghijk"
    one = asked("1", bm25=eleven, dense=eleven)
    loss = attribute(record(one), setting(), qrels={"1": {"k": 1.0, "b": 1.0}}).losses["1"]
    ideal, second = 1 + 1 / log2(3), 1 / log2(3)
    assert loss.parts == {
        RETRIEVAL: pytest.approx(0.0),
        WINDOW: pytest.approx(1 - 1 / ideal),
        ORDER: pytest.approx((1 - second) / ideal),
    }


def test_what_a_depth_cuts_off_was_not_retrieved() -> None:
    one = asked("1", bm25="ab", dense="ba")
    grades = {"1": {"b": 1.0}}
    assert attribute(record(one), setting(depth=1), qrels=grades).parts[RETRIEVAL] == 0.0
    one = asked("1", bm25="ab", dense="a")
    assert attribute(record(one), setting(depth=1), qrels=grades).parts[RETRIEVAL] == 1.0


def test_what_each_leg_is_worth() -> None:
    # "x" is found by bm25 alone and "y" by dense alone, each behind "a" that both have.
    one = asked("1", bm25="ax", dense="ay")
    found = attribute(record(one), setting(), qrels={"1": {"x": 1.0, "y": 1.0}})
    ideal, second, third = 1 + 1 / log2(3), 1 / log2(3), 1 / log2(4)
    for leg in LEGS:
        worth = found.legs[leg]
        assert worth.alone == pytest.approx(second / ideal)
        assert worth.without == pytest.approx(second / ideal)
        assert worth.worth == pytest.approx(third / ideal)
        assert worth.retrieves == pytest.approx(1 / ideal)
        assert worth.only == pytest.approx(1 - 1 / ideal)


def test_a_leg_alone_is_all_there_is() -> None:
    one = Setting(legs=("dense",), weights=(1.0,), fusion=RRF, depth=50)
    found = attribute(record(asked("1", bm25="x", dense="a")), one, qrels={"1": {"a": 1.0}})
    assert list(found.legs) == ["dense"]
    worth = found.legs["dense"]
    assert (worth.alone, worth.without, worth.worth, worth.only) == (1.0, 0.0, 1.0, 1.0)


def test_queries_with_nothing_to_find_are_named_and_left_out() -> None:
    queries = [asked(str(n), bm25="a", dense="b") for n in range(4)]
    qrels = {"0": {"a": 1.0}, "1": {"a": 0.0, "b": -2.0}, "2": {}}
    found = attribute(record(*queries), setting(), qrels=qrels)
    assert list(found.losses) == ["0"]
    assert found.skipped == ("1", "2", "3")
    nothing = attribute(record(*queries[1:]), setting(), qrels=qrels)
    assert (nothing.losses, nothing.parts, nothing.legs, nothing.ndcg) == ({}, {}, {}, 0.0)


def test_the_json_says_what_was_found() -> None:
    one = asked("1", bm25="abx", dense="ab")
    plain = attribute(record(one), setting(), qrels={"1": {"x": 1.0}}).to_json()
    assert plain["measure"] == "nDCG@10"
    assert plain["lost"][ORDER] == {"mean": 0.5, "interval": [0.5, 0.5]}
    assert sum(part["mean"] for part in plain["lost"].values()) == 1 - plain["ndcg"]
    assert plain["judged"] == pytest.approx(1 / 3, abs=1e-6)
    assert plain["legs"]["bm25"]["only"] == 1.0


_LETTERS = "abcdefghijklmnop"
_QUERIES = 8


def some(random: Random) -> str:
    return "".join(random.sample(_LETTERS, k=random.randint(0, 16)))


def some_grades(random: Random) -> dict[str, int]:
    known = random.sample(_LETTERS + "01234", k=random.randint(0, 12))
    return {doc_id: random.randint(-2, 3) for doc_id in known}


# Cases are drawn from a seed: to draw 2,400 queries one by one would take long.
@settings(max_examples=300)
@given(
    seed=st.integers(min_value=0, max_value=2**32),
    depth=st.integers(min_value=2, max_value=30),
    window=st.none() | st.tuples(st.integers(1, 30), st.integers(1, 30), st.booleans()),
    blend=st.sampled_from([0.0, 0.5]),
    policy=st.booleans(),
)
def test_parts_add_up_and_bounds_hold(
    seed: int, depth: int, window: tuple[int, int, bool] | None, blend: float, policy: bool
) -> None:
    random = Random(seed)  # noqa: S311 - not for secrets
    queries, qrels, answers = [], {}, {}
    for number in range(_QUERIES):
        query = asked(str(number), bm25=some(random), dense=some(random))
        for model in ("first", "last"):
            query.scores_of(model)[:] = [random.choice([0.0, 1.0, 2.0]) for _ in query.doc_ids]
        queries.append(query)
        qrels[str(number)] = some_grades(random)
        if policy:
            answers[str(number)] = tuple(some(random))
    rerank = None
    if window is not None:
        size, keep, cascade = window
        size = min(size, depth)
        rerank = Reranking(
            depth=size,
            keep=min(keep, size),
            cascade=cascade,
            blend=blend,
            model="last",
            first_model="first",
        )
    chosen, made = setting(rerank, depth=depth), record(*queries)
    found = attribute(made, chosen, qrels=qrels, answers=answers)
    final = {"0": answers.get("0", replayed_order(made, 0, chosen))}
    if "0" in found.losses:
        measured = measure_run(final, qrels={"0": qrels["0"]}, measures=[NDCG])[NDCG]
        assert found.losses["0"].ndcg == pytest.approx(measured["0"], abs=1e-9)
    for loss in found.losses.values():
        assert sum(loss.parts.values()) == pytest.approx(1 - loss.ndcg, abs=1e-9)
        assert min(loss.parts[name] for name in (RETRIEVAL, WINDOW, ORDER)) >= -1e-12
        bound = 1.0 - loss.parts[RETRIEVAL]
        for name, best in loss.reachable.items():
            assert best <= bound + 1e-12, "who comes later can reach no more"
            bound = best
            after = 1 - sum(list(loss.parts.values())[: list(loss.parts).index(name) + 1])
            assert after <= best + 1e-12
    if found.losses:
        assert sum(found.parts.values()) == pytest.approx(1 - found.ndcg, abs=1e-9)
