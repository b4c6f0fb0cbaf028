"""Weights of their own are given to a kind of queries where that surely gains, and only there."""

from collections.abc import Sequence

import numpy as np

from opensearch_funnel.core.plan import PerQuery
from opensearch_funnel.evaluating.replaying.record import Floats
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.evaluating.tuning.per_query import (
    FEWEST_OF_A_KIND,
    kinds_of,
    tune_kinds,
    with_rule,
)

LEGS = ("bm25", "dense")
MIXES = [Setting(legs=LEGS, weights=(float(w), 10.0 - w)) for w in range(1, 10)]
# Every third query is a part number, and as long as others.
TEXTS = [f"part{n}" if n % 3 == 0 else "another " * (1 + n % 4) for n in range(300)]
IDS = [f"q{n}" for n in range(300)]


def test_the_kind_that_gains_is_found_and_written_as_a_rule() -> None:
    numbers = np.array([n % 3 == 0 for n in range(300)])
    rng = np.random.default_rng(1)
    gains = rng.normal(0.0, 0.05, (len(MIXES), 300))
    gains[7] += np.where(numbers, 0.3, -0.3)
    found = tune_kinds(gains, settings=MIXES, texts=TEXTS, query_ids=IDS, folds=5)
    rule = found.proposed
    assert rule is not None
    assert [rule.fits(text) for text in TEXTS] == numbers.tolist()
    assert (rule.feature, rule.bm25, rule.dense, rule.sparse) == ("digits", 8.0, 2.0, 0.0)
    assert 0.08 < found.gain < 0.12, "a third of the queries gain 0.3"
    assert found.interval[0] > 0.05
    assert rule.reason == found.evidence
    assert found.evidence.startswith("own for digits at least 1; ")


def test_what_gains_by_chance_gives_no_rule() -> None:
    gains = np.random.default_rng(4).normal(0.0, 0.3, (len(MIXES), 300))
    found = tune_kinds(gains, settings=MIXES, texts=TEXTS, query_ids=IDS, folds=5)
    assert found.kind is not None
    assert gains[:, found.kind.fits].sum(axis=1).max() > 0, "it looks better where it was chosen"
    assert found.proposed is None
    assert found.evidence.startswith("one for all queries; ")


def test_a_kind_has_queries_enough_and_leaves_as_many() -> None:
    kinds = list(kinds_of(TEXTS))
    assert {kind.feature for kind in kinds} >= {"words", "digits", "characters"}
    for kind in kinds:
        assert FEWEST_OF_A_KIND <= kind.fits.sum() <= 300 - FEWEST_OF_A_KIND
        rule = PerQuery(feature=kind.feature, at_least=kind.at_least, below=kind.below)
        assert [rule.fits(text) for text in TEXTS] == kind.fits.tolist()
    few = tune_kinds(
        np.ones((len(MIXES), 20)), settings=MIXES, texts=TEXTS[:20], query_ids=IDS[:20], folds=5
    )
    assert few.proposed is None
    assert "no kind of queries with 30 in it" in few.evidence


def test_a_plan_with_a_rule_is_measured_with_it() -> None:
    def measured(settings: Sequence[Setting], queries: slice) -> Floats:
        count = len(TEXTS[queries])
        return np.array([[setting.weights[0]] * count for setting in settings])

    rule = PerQuery(feature="digits", at_least=1, bm25=8.0, dense=2.0)
    present, other = MIXES[4], MIXES[0]
    asked = with_rule(measured, rule=rule, present=present, texts=TEXTS)
    found = asked([other, present], slice(100, 103))
    assert TEXTS[102] == "part102"
    assert found.tolist() == [[1.0, 1.0, 1.0], [5.0, 5.0, 8.0]]
    assert asked([other], slice(100, 103)).tolist() == [[1.0, 1.0, 1.0]]
    plain = with_rule(measured, rule=PerQuery(), present=present, texts=TEXTS)
    assert plain([present], slice(0, 3)).tolist() == [[5.0, 5.0, 5.0]]
