"""Measures against their definitions, written out: any ranking, any grades, any gaps."""

from __future__ import annotations

from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_funnel.evaluating.measures import Measure, measure_run

DOC_IDS = [f"d{number}" for number in range(12)]
GRADES = st.dictionaries(st.sampled_from(DOC_IDS), st.integers(-2, 3), min_size=1)
RANKINGS = st.lists(st.sampled_from([*DOC_IDS, *(f"x{n}" for n in range(20))]), unique=True)
QUERY_IDS = ["q1", "q2", "q3"]
CUTOFFS = st.integers(1, 30)


def _ndcg(ranking: list[str], grades: dict[str, int], k: int) -> float:
    def gain(grade: int, rank: int) -> float:
        return max(grade, 0) / log2(rank + 1)

    reached = sum(gain(grades.get(d, 0), rank) for rank, d in enumerate(ranking[:k], start=1))
    best = sorted(grades.values(), reverse=True)[:k]
    ideal = sum(gain(grade, rank) for rank, grade in enumerate(best, start=1))
    return reached / ideal if ideal else 0.0


def _hits(ranking: list[str], grades: dict[str, int], k: int) -> list[bool]:
    return [grades.get(doc_id, 0) > 0 for doc_id in ranking[:k]]


def _recall(ranking: list[str], grades: dict[str, int], k: int) -> float:
    relevant = sum(grade > 0 for grade in grades.values())
    return sum(_hits(ranking, grades, k)) / relevant if relevant else 0.0


def _reciprocal_rank(ranking: list[str], grades: dict[str, int], k: int) -> float:
    hits = _hits(ranking, grades, k)
    return 1 / (hits.index(True) + 1) if any(hits) else 0.0


def _precision(ranking: list[str], grades: dict[str, int], k: int) -> float:
    return sum(_hits(ranking, grades, k)) / k


def _average_precision(ranking: list[str], grades: dict[str, int], k: int) -> float:
    relevant = sum(grade > 0 for grade in grades.values())
    hits = _hits(ranking, grades, k)
    at_hits = sum(sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit)
    return at_hits / relevant if relevant else 0.0


def _success(ranking: list[str], grades: dict[str, int], k: int) -> float:
    return float(any(_hits(ranking, grades, k)))


def _judged(ranking: list[str], grades: dict[str, int], k: int) -> float:
    top = ranking[:k]
    return sum(doc_id in grades for doc_id in top) / len(top) if top else 0.0


DEFINITIONS = {
    "nDCG": _ndcg,
    "R": _recall,
    "MRR": _reciprocal_rank,
    "P": _precision,
    "MAP": _average_precision,
    "Success": _success,
    "Judged": _judged,
}


@given(
    qrels=st.dictionaries(st.sampled_from(QUERY_IDS), GRADES, min_size=1),
    run=st.dictionaries(st.sampled_from(QUERY_IDS), RANKINGS),
    k=CUTOFFS,
)
@settings(max_examples=300, deadline=None)
def test_every_measure_is_its_definition(
    qrels: dict[str, dict[str, int]], run: dict[str, list[str]], k: int
) -> None:
    measures = [Measure(kind, k) for kind in DEFINITIONS]
    found = measure_run(run, qrels=qrels, measures=measures)
    for measure in measures:
        assert set(found[measure]) == set(qrels)
        for query_id, grades in qrels.items():
            expected = DEFINITIONS[measure.kind](run.get(query_id, []), grades, k)
            assert found[measure][query_id] == pytest.approx(expected, abs=1e-9), str(measure)


@given(grades=GRADES, ranking=RANKINGS, k=CUTOFFS)
@settings(max_examples=100, deadline=None)
def test_measures_stay_between_0_and_1(grades: dict[str, int], ranking: list[str], k: int) -> None:
    measures = [Measure(kind, k) for kind in DEFINITIONS]
    found = measure_run({"q": ranking}, qrels={"q": grades}, measures=measures)
    assert all(0.0 <= found[measure]["q"] <= 1.0 + 1e-12 for measure in measures)


def test_a_long_ranking_is_measured_in_the_order_it_was_served() -> None:
    # 1/rank must tell neighbours apart also where trec_eval holds scores in single precision.
    ranking = [f"d{number}" for number in range(10_000)]
    found = measure_run(
        {"q": ranking}, qrels={"q": {"d8999": 1}}, measures=[Measure("MRR", 10_000)]
    )
    assert found[Measure("MRR", 10_000)]["q"] == pytest.approx(1 / 9000, rel=1e-12)
