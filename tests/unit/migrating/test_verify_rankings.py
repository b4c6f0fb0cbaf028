"""How alike the answers of two indices are."""

from __future__ import annotations

import random

import pytest

from opensearch_funnel.evaluating.measures import Measure, measure_run
from opensearch_funnel.migrating.verifying.rankings import Hits, ndcg_at, tied_overlap


def _hits(scores: dict[str, float]) -> Hits:
    return list(scores.items())


def test_the_same_answer_overlaps_wholly() -> None:
    hits = _hits({f"d{n}": 10.0 - n for n in range(10)})
    assert tied_overlap(hits, hits) == 1.0
    assert tied_overlap([], []) == 1.0


def test_documents_that_only_one_has_count_against_it() -> None:
    first = _hits({f"d{n}": 10.0 - n for n in range(10)})
    second = _hits({f"d{n}": 10.0 - n for n in range(9)} | {"other": 0.5})
    assert tied_overlap(first, second) == (9 + 9) / 20
    assert tied_overlap(first, []) == 0.0


def test_ties_at_the_last_place_count_in_whatever_order_they_come() -> None:
    tied = {f"d{n}": 1.0 for n in range(20)}
    one = _hits({"top": 2.0, **tied})
    other = _hits({"top": 2.0, **dict(reversed(tied.items()))})
    assert tied_overlap(one, other) == 1.0
    # Not where the score is another one.
    apart = _hits({"top": 2.0, **{f"e{n}": 1.0 for n in range(20)}, **dict.fromkeys(tied, 0.5)})
    assert tied_overlap(one, apart) == (1 + 1) / 20


def test_hits_without_scores_are_compared_by_place() -> None:
    one: Hits = [(f"d{n}", None) for n in range(20)]
    other: Hits = [(f"d{n}", None) for n in range(5, 20)]
    assert tied_overlap(one, other) == (5 + 5) / 20


def test_ndcg_is_that_of_trec_eval() -> None:
    pytest.importorskip("ir_measures")
    shuffled = random.Random(3)  # noqa: S311 - rankings to compare on
    measure = Measure("nDCG", 10)
    for _ in range(50):
        pool = [f"d{n}" for n in range(30)]
        grades = {doc_id: shuffled.choice([-1, 0, 1, 2, 3]) for doc_id in pool[:15]}
        grades["d0"] = 1
        ranking = shuffled.sample(pool, shuffled.randint(0, 20))
        theirs = measure_run({"q": ranking}, qrels={"q": grades}, measures=[measure])
        assert ndcg_at(ranking, grades) == pytest.approx(theirs[measure]["q"], abs=1e-4)
