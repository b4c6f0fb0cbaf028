"""A better setting is found and proposed; chance is not; what is chosen on is not judged on."""

from dataclasses import replace

import numpy as np
import pytest

from opensearch_funnel.core.errors import InputError, InvalidPlanError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.core.plan import FunnelPlan, Fusion, PerQuery, Reranking
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.replaying.many import Replays
from opensearch_funnel.evaluating.replaying.record import Floats, Origin, Record, RecordedQuery
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.evaluating.tuning.costs import LatencyModel, pairs_of
from opensearch_funnel.evaluating.tuning.grid import fusion_grid, rerank_grid
from opensearch_funnel.evaluating.tuning.search import Options, Tuning, fold_of, shuffled, tune

PRESENT = Setting(legs=("bm25", "dense"), weights=(1.0, 1.0))


def many(count: int) -> list[Setting]:
    return [replace(PRESENT, depth=depth) for depth in range(1, count + 1)]


class Known:
    """Values that are known beforehand; counts what was asked for."""

    def __init__(self, settings: list[Setting], values: Floats) -> None:
        self._row = {setting: row for row, setting in enumerate([PRESENT, *settings])}
        self._values = values
        self.asked = 0

    def __call__(self, settings: object, queries: slice) -> Floats:
        rows = [self._row[setting] for setting in settings]  # type: ignore[attr-defined]
        found = self._values[rows, queries]
        self.asked += found.size
        return found


def ids(count: int) -> list[str]:
    return [f"q{number}" for number in range(count)]


def test_a_setting_that_is_better_on_every_fold_is_proposed_with_the_evidence() -> None:
    some = many(60)
    values = np.random.default_rng(3).uniform(0.3, 0.7, size=(61, 900))
    values[1 + 41] = values[0] + 0.05
    known = Known(some, values)
    found = tune(
        known, query_ids=ids(900), settings=some, present=PRESENT, options=Options(folds=5)
    )
    assert found.proposed == some[41]
    assert found.gain == pytest.approx(0.05)
    assert list(found.interval) == pytest.approx([0.05, 0.05])
    assert found.best.mean == pytest.approx(values[42].mean())
    assert found.best.queries == found.present.queries == 900
    assert len(found.trials) == 61
    inside = [fold_of(query_id, folds=5) == 2 for query_id in ids(900)]
    assert found.best.folds[2] == pytest.approx(values[42, inside].mean())
    assert found.evidence.startswith("tuned; nDCG@10 0.5")
    assert "held-out gain +0.0500" in found.evidence
    assert known.asked < 0.6 * values.size, "most settings are not tried on all queries"
    assert {trial.queries for trial in found.trials} == {100, 300, 900}


def test_what_is_best_by_chance_is_not_proposed() -> None:
    some = many(150)
    # All are alike: the best of 150 looks better where it was chosen, and nowhere else.
    values = np.random.default_rng(5).uniform(0, 1, size=(151, 200))
    values[0] += 0.5 - values[0].mean()
    found = tune(
        Known(some, values), query_ids=ids(200), settings=some, present=PRESENT, options=Options()
    )
    assert found.best.mean > found.present.mean + 0.02
    assert found.proposed is None
    assert found.interval[0] < 0 < found.interval[1]
    assert found.evidence.startswith("kept: nothing is surely better; nDCG@10 0.5")


def test_no_query_takes_part_in_the_choice_that_it_judges() -> None:
    # One setting for each fold that is perfect inside it and bad elsewhere.
    some = many(4)
    folds = np.array([fold_of(query_id, folds=4) for query_id in ids(200)])
    values = np.vstack([np.full(200, 0.5), *(np.where(folds == f, 1.0, 0.4) for f in range(4))])
    found = tune(
        Known(some, values),
        query_ids=ids(200),
        settings=some,
        present=PRESENT,
        options=Options(folds=4),
    )
    # Whichever is chosen without a fold is bad in it; with it, it would have been chosen.
    assert found.gain <= 0
    assert found.proposed is None


def test_of_equal_settings_the_simpler_one_is_the_best() -> None:
    alone = Setting(legs=("dense",), weights=(1.0,))
    reranked = replace(alone, rerank=Reranking(cascade=False))
    uneven = replace(PRESENT, weights=(2.0, 1.0))
    some = [reranked, uneven, alone]
    values = np.full((4, 100), 0.75)
    values[0] = 0.5
    found = tune(
        Known(some, values), query_ids=ids(100), settings=some, present=PRESENT, options=Options()
    )
    assert found.proposed == alone
    assert [trial.setting for trial in found.front] == [alone]
    values[0] = 0.75
    even = replace(PRESENT, fusion=Fusion(technique="l2"))
    found = tune(
        Known([even], values[:2]),
        query_ids=ids(100),
        settings=[even, PRESENT],
        present=PRESENT,
        options=Options(),
    )
    assert (found.best.setting, found.proposed) == (PRESENT, None), "nothing is changed in vain"


def test_the_front_holds_what_no_cheaper_setting_reaches_and_a_limit_is_kept() -> None:
    costs = {depth: float(depth) for depth in range(1, 81)} | {200: 30.0}
    some = many(80)
    rng = np.random.default_rng(1)
    values = rng.uniform(0.2, 0.3, size=(81, 900))
    for depth, mean in ((3, 0.5), (7, 0.45), (20, 0.6), (60, 0.9)):
        values[depth] = mean
    options = Options(cost=lambda setting: costs[setting.depth])
    asked = {"query_ids": ids(900), "settings": some, "present": PRESENT}
    found = tune(Known(some, values), options=options, **asked)  # type: ignore[arg-type]
    assert [trial.cost for trial in found.front][-3:] == [3.0, 20.0, 60.0]
    assert 7.0 not in [trial.cost for trial in found.front]
    assert found.best.cost == 60.0
    limited = replace(options, limit=25.0)
    found = tune(Known(some, values), options=limited, **asked)  # type: ignore[arg-type]
    assert found.best.cost == 20.0
    assert found.proposed == some[19]
    assert max(trial.cost for trial in found.trials) == 30.0, "the present one, to compare with"
    with pytest.raises(InputError, match=r"every plan costs more than 0\.5: the cheapest 1"):
        tune(Known(some, values), options=replace(options, limit=0.5), **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(("queries", "folds"), [(19, 5), (100, 1)])
def test_too_little_to_choose_on_is_refused(queries: int, folds: int) -> None:
    known = Known([], np.zeros((1, queries)))
    with pytest.raises(InputError, match="tuning needs at least 20 queries in 2 folds"):
        tune(
            known,
            query_ids=ids(queries),
            settings=[],
            present=PRESENT,
            options=Options(folds=folds),
        )


def test_queries_that_are_held_out_of_training_are_in_every_fold() -> None:
    held = [query_id for query_id in ids(2000) if is_held_out(query_id)]
    sizes = np.bincount([fold_of(query_id, folds=5) for query_id in held], minlength=5)
    assert sizes.min() > len(held) / 8


def test_queries_are_taken_in_an_order_of_their_ids_alone() -> None:
    known = ids(50)
    order = [known[place] for place in shuffled(known, seed=1)]
    assert sorted(order) == sorted(known)
    assert order != known
    assert [known[::-1][place] for place in shuffled(known[::-1], seed=1)] == order
    assert [known[place] for place in shuffled(known, seed=2)] != order


@pytest.mark.parametrize(("legs", "mixes"), [(1, 1), (2, 11), (3, 66), (4, 286), (5, 1001)])
def test_the_grid_has_every_mix_of_legs_once(legs: int, mixes: int) -> None:
    names = ("a", "b", "c", "d", "e")[:legs]
    found = fusion_grid(names, fusions=[Fusion()])
    assert len(found) == len(set(found)) == mixes
    assert {len(setting.legs) for setting in found} == set(range(1, legs + 1))
    assert all(sum(setting.shares) == pytest.approx(1.0, abs=1e-5) for setting in found)


def test_every_setting_of_the_grid_is_a_plan_that_says_the_same() -> None:
    plan = FunnelPlan(alias="films", rerank=Reranking(reason="asked for", decided=True))
    fused = fusion_grid(("bm25", "sparse", "dense"), steps=4, depths=(50, 200))
    reranked = rerank_grid(fused[-1], plan.rerank)
    assert len(reranked) == 1 + 3 * 4 + (2 + 3 + 3) * 4
    for setting in [*fused, *reranked]:
        applied = setting.applied(plan)
        assert Setting.of(applied).shares == setting.shares == applied.weights
        assert Setting.of(applied) == setting
        assert (applied.rerank.reason, applied.rerank.decided) == ("asked for", True)
    with pytest.raises(InvalidPlanError, match="a plan has the legs bm25, sparse, dense"):
        Setting(legs=("dense", "bm25"), weights=(1.0, 1.0)).applied(plan)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"legs": ()}, "needs a leg"),
        ({"legs": ("a", "a")}, "named twice"),
        ({"weights": (1.0,)}, "one weight for each leg"),
        ({"weights": (1.0, 0.0)}, "above 0"),
        ({"weights": (1.0, float("nan"))}, "above 0"),
        ({"depth": 0}, "depth must be at least 1"),
        ({"rerank": Reranking(depth=201)}, "rerank.depth"),
        ({"query_terms": 0}, "query_terms"),
    ],
)
def test_a_setting_that_no_plan_can_say_is_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(InvalidPlanError, match=said):
        replace(PRESENT, **wrong)  # type: ignore[arg-type]


def test_a_cascade_costs_what_both_models_read() -> None:
    cost = LatencyModel(
        leg_ms={("bm25", 200): 2.0, ("dense", 200): 5.0}, pair_ms={"a": 0.5, "b": 3.0}
    )
    cascade = Reranking(first_model="a", model="b", depth=50, keep=10)
    assert cost(PRESENT) == 7.0
    assert cost(replace(PRESENT, rerank=cascade)) == 7.0 + 25.0 + 30.0
    assert cost(replace(PRESENT, rerank=replace(cascade, cascade=False))) == 7.0 + 150.0
    assert pairs_of(replace(PRESENT, rerank=replace(cascade, model="a"))) == {"a": 60}
    with pytest.raises(KeyError, match="sparse"):
        cost(Setting(legs=("sparse",), weights=(1.0,)))


def test_a_leg_that_knows_more_gets_more_weight() -> None:
    rng = np.random.default_rng(11)
    queries, qrels = [], {}
    for query_id in ids(240):
        relevant = rng.permutation(40) < 5
        # The first leg sees through much noise, the second hardly at all.
        raw = np.stack([relevant + rng.uniform(0.1, 1.2, 40), rng.uniform(0.1, 1.2, 40)], axis=1)
        doc_ids = tuple(f"d{number}" for number in range(40))
        queries.append(
            RecordedQuery(
                query=Query(text=query_id, query_id=query_id),
                doc_ids=doc_ids,
                shards=np.zeros(40, dtype=np.int64),
                numbers=np.arange(40),
                raw=raw,
            )
        )
        qrels[query_id] = {d: 1.0 for d, found in zip(doc_ids, relevant, strict=True) if found}
    record = Record(
        origin=Origin(index="i", plan="p", rerankers={}, queries="q"),
        legs=("bm25", "dense"),
        depth=200,
        version=(3, 6),
        queries=tuple(queries),
    )
    replays = Replays(record, qrels=qrels)
    found = tune(
        lambda settings, rows: replays.ndcg(settings, queries=rows),
        query_ids=ids(240),
        settings=fusion_grid(record.legs, steps=5),
        present=PRESENT,
        options=Options(),
    )
    proposed = found.proposed
    assert proposed is not None
    assert found.gain > 0.1
    assert dict(zip(proposed.legs, proposed.shares, strict=True))["bm25"] >= 0.8
    assert found.present.mean == pytest.approx(float(replays.ndcg([PRESENT]).mean()))


def test_weights_of_one_kind_of_queries_stay_where_the_plan_s_own_do() -> None:
    rule = PerQuery(feature="digits", at_least=1, bm25=4.0, sparse=1.0, dense=1.0)
    static = FunnelPlan(alias="films", fusion=Fusion(technique="min_max"))
    plan = replace(static, per_query=rule)
    reranked = replace(Setting.of(plan), rerank=Reranking(depth=20), depth=100)
    assert reranked.applied(plan).per_query == rule
    assert replace(reranked, weights=(1.0, 1.0, 1.0)).applied(plan).per_query == PerQuery()
    assert reranked.with_legs("bm25").applied(plan).per_query == PerQuery()


def tuned_on(values: Floats, some: list[Setting], options: Options) -> Tuning:
    known = Known(some, values)
    return tune(known, query_ids=ids(200), settings=some, present=PRESENT, options=options)


def test_what_is_as_good_and_clearly_cheaper_is_taken_and_says_so() -> None:
    some = [replace(PRESENT, depth=50), replace(PRESENT, depth=190)]
    values = np.full((3, 200), 0.6)
    cost = {200: 20.0, 190: 19.0, 50: 8.0}
    found = tuned_on(values, some, Options(cost=lambda setting: cost[setting.depth]))
    assert found.proposed == some[0]
    assert found.verdict == "tuned: as good, and 60% faster"
    values[1] -= 0.01
    found = tuned_on(values, some, Options(cost=lambda setting: cost[setting.depth]))
    assert found.proposed is None, "5 % less is no reason to change a plan"
    assert found.verdict.startswith("kept")


def test_of_plans_that_are_not_surely_worse_the_cheapest_is_chosen() -> None:
    some = [replace(PRESENT, depth=100), replace(PRESENT, depth=50)]
    rng = np.random.default_rng(2)
    values = np.vstack([np.full(200, 0.3), np.full(200, 0.6), 0.599 + rng.normal(0, 0.1, 200)])
    found = tuned_on(values, some, Options(cost=lambda setting: float(setting.depth)))
    assert found.best.setting == some[0]
    assert found.proposed == found.chosen.setting == some[1]
    values[2] = 0.58
    found = tuned_on(values, some, Options(cost=lambda setting: float(setting.depth)))
    assert found.proposed == some[0], "surely worse, and not taken for being cheap"


def test_a_plan_that_takes_too_long_is_replaced_by_the_best_that_does_not() -> None:
    some = [replace(PRESENT, depth=100), replace(PRESENT, depth=50)]
    values = np.vstack([np.full(200, 0.7), np.full(200, 0.6), np.full(200, 0.5)])
    options = Options(cost=lambda setting: float(setting.depth), limit=100.0)
    found = tuned_on(values, some, options)
    assert found.proposed == some[0]
    assert found.gain == pytest.approx(-0.1), "and what that costs is said"
    assert found.verdict == "tuned: the plan took 200 ms and may take 100"


def test_what_legs_share_is_told_from_what_each_takes() -> None:
    parts = {("bm25", 200): 5.0, ("dense", 200): 9.0, ("dense", 50): 6.0}
    cost = LatencyModel.timed(alone_ms=parts, together_ms=11.0, together=PRESENT, pair_ms={})
    assert cost.base_ms == 3.0
    assert cost(PRESENT) == 11.0
    assert cost(Setting(legs=("dense",), weights=(1.0,), depth=50)) == 6.0
    # Times that contradict one another give no leg a time below 0.
    odd = LatencyModel.timed(alone_ms=parts, together_ms=1.0, together=PRESENT, pair_ms={})
    assert min(odd.leg_ms.values()) >= 0


def test_plans_are_tried_with_fewer_query_terms_only_where_a_leg_has_them() -> None:
    grid = fusion_grid(("bm25", "sparse"), steps=2, query_terms=(64, 8), fusions=[Fusion()])
    assert [(setting.legs, setting.query_terms) for setting in grid] == [
        (("sparse",), 64),
        (("bm25", "sparse"), 64),
        (("bm25",), 64),
        (("sparse",), 8),
        (("bm25", "sparse"), 8),
    ]
    pruned = grid[-1].applied(FunnelPlan(alias="films"))
    assert (pruned.sparse.query_terms, pruned.dense.weight) == (8, 0.0)
    assert Setting.of(pruned).columns == ("bm25", "sparse:8")
