"""What one system gained over another, paired by query."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.cli.evaluation_tables import difference_lines
from opensearch_funnel.evaluating.differences import differences
from opensearch_funnel.evaluating.measures import Measure, bootstrap_interval
from opensearch_funnel.evaluating.reports import EvaluationReport, SystemReport
from opensearch_funnel.evaluating.systems import Latency
from tests.unit.evaluating.test_reports import DATASET

NDCG, RECALL = Measure("nDCG", 10), Measure("R", 100)
HYBRID = {NDCG: {"q1": 0.5, "q2": 0.25, "q3": 0.0}, RECALL: {"q1": 1.0, "q2": 1.0, "q3": 0.5}}
FUNNEL = {NDCG: {"q3": 0.75, "q2": 0.125, "q1": 0.75}, RECALL: {"q1": 1.0, "q2": 1.0, "q3": 0.5}}


def report(**systems: Mapping[Measure, Mapping[str, float]]) -> EvaluationReport:
    measured = [
        SystemReport(name=name, values=values, judged=0.0, latency=Latency(1.0, 2.0), degraded=0)
        for name, values in systems.items()
    ]
    return EvaluationReport(dataset=DATASET, index="i", documents=3, systems=measured)


def test_a_difference_is_the_mean_over_queries_with_its_interval() -> None:
    [gain] = differences({"hybrid": HYBRID, "funnel": FUNNEL})
    each = {"q1": 0.25, "q2": -0.125, "q3": 0.75}
    assert gain.values[NDCG] == each
    assert gain.mean(NDCG) == pytest.approx((0.25 - 0.125 + 0.75) / 3)
    low, high = gain.interval(NDCG)
    assert (low, high) == bootstrap_interval(each)
    # Every draw that is thrice the same query is one of 27, more than the 2.5 % that are cut off.
    assert (low, high) == (-0.125, 0.75)
    assert (gain.mean(RECALL), gain.interval(RECALL)) == (0.0, (0.0, 0.0))


@given(
    hard=st.lists(st.floats(0, 1), min_size=2, max_size=40), gained=st.sampled_from([-0.25, 0.5])
)
def test_queries_that_are_hard_for_both_do_not_widen_the_interval(
    hard: list[float], gained: float
) -> None:
    before = {str(number): value for number, value in enumerate(hard)}
    after = {query_id: value + gained for query_id, value in before.items()}
    [gain] = differences({"bm25": {NDCG: before}, "funnel": {NDCG: after}})
    assert [*gain.interval(NDCG), gain.mean(NDCG)] == pytest.approx([gained] * 3)


def test_a_system_that_was_not_measured_is_compared_with_nothing() -> None:
    measured = dict.fromkeys(("bm25", "sparse", "dense", "rrf", "hybrid", "funnel"), HYBRID)
    pairs = ["funnel - bm25", "funnel - rrf", "funnel - hybrid", "hybrid - rrf"]
    assert [one.name for one in differences(measured)] == pairs
    del measured["rrf"]
    assert [one.name for one in differences(measured)] == ["funnel - bm25", "funnel - hybrid"]
    del measured["funnel"]
    assert differences(measured) == []


def test_a_report_has_the_differences_of_every_measure() -> None:
    plain = report(hybrid=HYBRID, funnel=FUNNEL).to_json()
    assert plain["differences"] == {
        "funnel - hybrid": {
            "nDCG@10": {"difference": 0.291667, "interval": [-0.125, 0.75]},
            "R@100": {"difference": 0.0, "interval": [0.0, 0.0]},
        }
    }
    assert "differences" not in report(hybrid=HYBRID, dense=FUNNEL).to_json()


def test_differences_are_read_a_line_each_below_one_another() -> None:
    assert difference_lines(report(bm25=HYBRID, hybrid=HYBRID, funnel=FUNNEL)) == [
        "difference          nDCG@10                     R@100",
        "funnel over bm25    +0.2917 (-0.125 to +0.750)  +0.0000 (+0.000 to +0.000)",
        "funnel over hybrid  +0.2917 (-0.125 to +0.750)  +0.0000 (+0.000 to +0.000)",
    ]
    assert difference_lines(report(funnel=FUNNEL)) == []
