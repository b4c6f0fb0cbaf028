"""Reranking BM25's hits to see what a model has learnt."""

from __future__ import annotations

import math

import pytest

from opensearch_funnel.training.bm25 import TextIndex
from opensearch_funnel.training.corpora import Document, Judged
from opensearch_funnel.training.looks import Look, ndcg_at_10

DOCUMENTS = [Document("d1", "Fox", "fox fox"), Document("d2", "Fox", "a fox and other animals")]
INDEX = TextIndex([document.indexed for document in DOCUMENTS])


def test_ndcg_discounts_by_the_logarithm_of_the_rank() -> None:
    order = ["a", "x", "b"]
    ideal = 1 / math.log2(2) + 1 / math.log2(3)
    assert ndcg_at_10(order, relevant={"a", "b"}) == (1 / math.log2(2) + 1 / math.log2(4)) / ideal
    assert ndcg_at_10([*"xxxxxxxxxx", "a"], relevant={"a"}) == 0.0
    assert ndcg_at_10(order, relevant=set()) == 0.0


def test_a_scorer_that_knows_better_gains_and_the_interval_is_paired() -> None:
    judged = [Judged("q1", "fox", ("d2",), ()), Judged("q2", "fox", ("d1",), ())]
    look = Look("foxes", documents=DOCUMENTS, index=INDEX, judged=judged, queries=9)
    figures = look.measure(lambda pairs: [float("animals" in text) for _, text in pairs])
    second = 1 / math.log2(3)
    # BM25 puts d1 first: right for q2 only; the scorer is right for q1 only.
    assert figures["queries"] == 2
    assert figures["bm25"] == figures["reranked"] == round((second + 1) / 2, 4)
    assert figures["gain"] == 0.0
    deviation = math.sqrt(2 * (1 - second) ** 2)
    assert figures["gain_95"] == pytest.approx(1.96 * deviation / math.sqrt(2), abs=1e-4)


def test_equal_scores_keep_the_first_stage_and_no_hits_score_nothing() -> None:
    judged = [Judged("q1", "fox", ("d1",), ()), Judged("q2", "zebra", ("d1",), ())]
    look = Look("foxes", documents=DOCUMENTS, index=INDEX, judged=judged, queries=2)
    assert look.measure(lambda pairs: [0.0] * len(pairs))["reranked"] == 1 / 2


def test_the_sample_of_queries_is_the_same_every_time() -> None:
    judged = [Judged(f"q{n}", f"fox {n}", ("d1",), ()) for n in range(50)]
    asked: list[list[str]] = []
    for _ in range(2):
        seen: list[str] = []
        look = Look("foxes", documents=DOCUMENTS, index=INDEX, judged=judged, queries=5)

        def score(pairs: list[tuple[str, str]], seen: list[str] = seen) -> list[float]:
            seen.extend({query for query, _ in pairs})
            return [0.0] * len(pairs)

        look.measure(score)
        asked.append(seen)
    assert asked[0] == asked[1]
    assert len(asked[0]) == 5
