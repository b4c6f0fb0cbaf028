"""Measures against their definitions, written out: any ranking, any grades, any gaps."""

from __future__ import annotations

import random
from collections.abc import Iterator
from math import log2

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_funnel.evaluating.formats.trec_run import ranked
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


def _bpref(ranking: list[str], grades: dict[str, int]) -> float:
    """1 minus the share of judged, not relevant documents above, over the relevant ones."""
    relevant = sum(grade > 0 for grade in grades.values())
    counted = min(relevant, len(grades) - relevant)
    judged = [grades[doc_id] > 0 for doc_id in ranking if doc_id in grades]
    reached = 0.0
    for place, hit in enumerate(judged):
        if hit:
            above = min(judged[:place].count(False), relevant)
            reached += 1.0 - above / counted if above else 1.0
    return reached / relevant if relevant else 0.0


def _condensed(ranking: list[str], grades: dict[str, int]) -> list[str]:
    return [doc_id for doc_id in ranking if doc_id in grades]


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


RUNS = 1000
CUT = (3, 20)
# What pytrec_eval calls each measure that it has.
FOREIGN = {
    Measure("MRR"): "recip_rank",
    Measure("MAP"): "map",
    Measure("Bpref"): "bpref",
    **{Measure("nDCG", k): f"ndcg_cut_{k}" for k in CUT},
    **{Measure("R", k): f"recall_{k}" for k in CUT},
    **{Measure("P", k): f"P_{k}" for k in CUT},
    **{Measure("MAP", k): f"map_cut_{k}" for k in CUT},
    **{Measure("Success", k): f"success_{k}" for k in CUT},
}
CONDENSED = {
    Measure(measure.kind, measure.cutoff, condensed=True): name
    for measure, name in FOREIGN.items()
    if measure.kind != "Bpref"
}
OURS_ALONE = [*(Measure("MRR", k) for k in CUT), *(Measure("Judged", k) for k in CUT)]

Scores = dict[str, dict[str, float]]
Grades = dict[str, dict[str, int]]


def _random_runs() -> Iterator[tuple[Scores, Grades]]:
    """Runs with ties, queries without results, unjudged documents and negative grades."""
    rng = random.Random(7)  # noqa: S311 - not for secrets
    doc_ids = [f"d{number}" for number in range(60)]
    for _ in range(RUNS):
        scores: Scores = {}
        qrels: Grades = {}
        for query_id in QUERY_IDS:
            some = rng.sample(doc_ids, rng.randint(1, 30))
            qrels[query_id] = {doc_id: rng.randint(-2, 3) for doc_id in some}
            if rng.random() < 0.8:
                found = rng.sample(doc_ids, rng.randint(1, 40))
                # Few values, so that many are equal, some of them in single precision only.
                scores[query_id] = {
                    doc_id: rng.choice([-1.5, 0.0, 1.0, 1.0 + 1e-12, 2.0, rng.random()])
                    for doc_id in found
                }
        yield scores, qrels


def _in_trec_order(scores: dict[str, float]) -> list[str]:
    by_id = sorted(scores, reverse=True)
    return sorted(by_id, key=lambda doc_id: -np.float32(scores[doc_id]))


def _by_definition(measure: Measure, ranking: list[str], grades: dict[str, int]) -> float:
    if measure.condensed:
        ranking = _condensed(ranking, grades)
    if measure.kind == "Bpref":
        return _bpref(ranking, grades)
    return DEFINITIONS[measure.kind](ranking, grades, measure.cutoff or len(ranking) or 1)


def test_a_thousand_runs_are_measured_as_defined_and_as_pytrec_eval_does() -> None:
    measures = [*FOREIGN, *CONDENSED, *OURS_ALONE]
    seen = {"ties": 0, "gaps": 0, "negative": 0, "unjudged": 0}
    for scores, qrels in _random_runs():
        run = {query_id: ranked(found) for query_id, found in scores.items()}
        ours = measure_run(run, qrels=qrels, measures=measures)
        # It reads memory that is not its own at a negative grade: 0 says the same, not relevant.
        plain = {q: {d: max(grade, 0) for d, grade in g.items()} for q, g in qrels.items()}
        theirs = {
            condensed: pytrec_eval.RelevanceEvaluator(
                plain, set(FOREIGN.values()), judged_docs_only_flag=condensed
            ).evaluate(scores)
            for condensed in (False, True)
        }
        for query_id, grades in qrels.items():
            found = scores.get(query_id, {})
            ranking = _in_trec_order(found)
            seen["ties"] += len(set(found.values())) < len(found)
            seen["gaps"] += not found
            seen["negative"] += min(grades.values()) < 0
            seen["unjudged"] += bool(found.keys() - grades.keys())
            for measure in measures:
                value = ours[measure][query_id]
                expected = _by_definition(measure, ranking, grades)
                assert abs(value - expected) <= 1e-9, (str(measure), found, grades)
            for measure, name in (FOREIGN | CONDENSED).items():
                told = theirs[measure.condensed].get(query_id, {}).get(name, 0.0)
                value = ours[measure][query_id]
                assert abs(value - told) <= 1e-9, (str(measure), found, grades)
    assert min(seen.values()) > RUNS / 2, seen
