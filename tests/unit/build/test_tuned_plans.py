"""What tuning changes of a plan, and what it leaves as it is."""

from dataclasses import replace

import numpy as np

from opensearch_funnel.build.tuning import with_legs, with_rerank
from opensearch_funnel.core.plan import FunnelPlan, PerQuery, Reranking
from opensearch_funnel.evaluating.replaying.record import Floats
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.evaluating.tuning.search import Options, Tuning, tune

RULE = PerQuery(feature="digits", at_least=1, bm25=4.0, sparse=1.0, dense=1.0)
PLAN = FunnelPlan(alias="films", per_query=RULE)
PRESENT = Setting.of(PLAN)
IDS = [f"q{number}" for number in range(100)]


def searched(other: Setting, *, gain: float) -> Tuning:
    """Search between the present setting and another one that gains so much on every query."""

    def measured(settings: object, queries: slice) -> Floats:
        rows = [0.5 + gain * (one == other) for one in settings]  # type: ignore[attr-defined]
        return np.array([[row] * len(IDS[queries]) for row in rows])

    return tune(measured, query_ids=IDS, settings=[other], present=PRESENT, options=Options())


def test_tuned_reranking_leaves_all_else_as_it_was() -> None:
    for gain, enabled in ((0.1, True), (-0.1, False)):
        found = searched(replace(PRESENT, rerank=Reranking(enabled=True, keep=6)), gain=gain)
        after = with_rerank(PLAN, found)
        assert replace(after, rerank=PLAN.rerank) == PLAN
        assert (after.rerank.enabled, after.rerank.decided) == (enabled, True)
        assert after.rerank.reason == found.evidence


def test_other_legs_take_the_place_of_a_rule_and_what_is_no_better_does_not() -> None:
    other = replace(PRESENT, weights=(1.0, 1.0, 1.0))
    kept = with_legs(PLAN, searched(other, gain=-0.1))
    assert kept == PLAN
    found = searched(other, gain=0.1)
    tuned = with_legs(PLAN, found)
    assert (tuned.sparse.weight, tuned.per_query, tuned.tuned) == (1.0, PerQuery(), found.evidence)
