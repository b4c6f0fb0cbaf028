"""Two systems, the same queries: how far their answers agree, and what judgments say."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.shadow import compare_systems
from opensearch_funnel.evaluating.systems import Answer, System

QUERIES = [Query(text="red fox", query_id="1"), Query(text="whale", query_id="2")]


def answering(name: str, answers: Mapping[str, str], *, degraded: bool = False) -> System:
    return System(
        name, lambda query, size: Answer(tuple(answers[query.query_id][:size]), degraded=degraded)
    )


PRESENT = answering("slot a", {"1": "abc", "2": "xyz"})


def test_the_same_answers_agree_in_full() -> None:
    report = compare_systems(PRESENT, PRESENT, queries=QUERIES)
    assert (report.overlap, report.rank_biased_overlap, report.interval) == (1.0, 1.0, (1.0, 1.0))
    assert (report.queries, report.degraded, report.judged) == (2, 0, None)


def test_the_query_with_the_least_agreement_is_named_first() -> None:
    other = answering("slot b", {"1": "acb", "2": "pqr"})
    report = compare_systems(PRESENT, other, queries=QUERIES)
    assert report.least_alike[0] == ("whale", 0.0)
    assert report.overlap == 0.5
    assert report.rank_biased_overlap == pytest.approx(0.955 / 2)
    assert (report.present, report.candidate) == ("slot a", "slot b")


def test_judgments_say_which_one_is_better() -> None:
    other = answering("slot b", {"1": "bac", "2": "xyz"})
    qrels = {"1": {"b": 1}, "2": {"x": 0}, "not asked": {"a": 1}}
    judged = compare_systems(PRESENT, other, queries=QUERIES, qrels=qrels).judged
    assert judged is not None
    assert (judged.measure, judged.queries) == ("nDCG@10", 1)
    assert judged.candidate == 1.0
    assert judged.difference == judged.candidate - judged.present > 0
    assert judged.interval == pytest.approx((judged.difference, judged.difference))


def test_answers_that_lack_a_stage_are_counted() -> None:
    other = answering("slot b", {"1": "abc", "2": "xyz"}, degraded=True)
    assert compare_systems(PRESENT, other, queries=QUERIES).degraded == 2


def test_no_queries_are_refused() -> None:
    with pytest.raises(InputError, match="no queries"):
        compare_systems(PRESENT, PRESENT, queries=[])
