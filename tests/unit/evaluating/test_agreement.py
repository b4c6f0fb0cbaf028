"""Cohen's kappa against examples worked out by others and by hand."""

from __future__ import annotations

from decimal import Decimal

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.agreement import agreement, cohens_kappa
from opensearch_funnel.evaluating.formats.model import JudgedQuery, Judgments


def test_two_grades_as_in_the_textbook() -> None:
    # Manning, Raghavan and Schütze, "Introduction to Information Retrieval", table 8.2: 0.776.
    # The book pools both judges' shares for what chance gives; Cohen multiplies each judge's own.
    chance = (320 * 310 + 80 * 90) / 400**2
    found = cohens_kappa([[300, 20], [10, 70]])
    assert found == pytest.approx((370 / 400 - chance) / (1 - chance))
    assert found == pytest.approx(0.776, abs=0.0005)
    # The grants of Wikipedia's article on the measure: 0.7 observed, 0.5 expected.
    assert cohens_kappa([[20, 5], [10, 15]]) == pytest.approx((0.7 - 0.5) / (1 - 0.5))


def test_linear_weights_by_hand() -> None:
    confusion = [[44, 5, 1], [7, 20, 3], [9, 5, 6]]
    # Rows 50, 30, 20; columns 60, 30, 10; one place apart counts 1, two places 2.
    disagreed = (5 + 7 + 3 + 5) * 1 + (1 + 9) * 2
    by_chance = (50 * 30 + 30 * 60 + 30 * 10 + 20 * 30) * 1 + (50 * 10 + 20 * 60) * 2
    assert cohens_kappa(confusion, linear=True) == pytest.approx(1 - disagreed * 100 / by_chance)
    agreed, chance = 70 / 100, (50 * 60 + 30 * 30 + 20 * 10) / 100**2
    assert cohens_kappa(confusion) == pytest.approx((agreed - chance) / (1 - chance))


def test_the_ends_of_the_scale() -> None:
    assert cohens_kappa([[3, 0], [0, 5]]) == 1.0
    assert cohens_kappa([[0, 4], [4, 0]]) == -1.0
    assert cohens_kappa([[1, 1], [1, 1]], linear=True) == 0.0
    assert cohens_kappa([[7]]) is None
    assert cohens_kappa([[3, 2], [1, 5]]) == cohens_kappa([[3, 2], [1, 5]], linear=True)


def _judged(
    grades: dict[str, dict[str, str]], *, texts: dict[str, str | None], made_ids: bool = False
) -> Judgments:
    return Judgments(
        queries=tuple(
            JudgedQuery(
                query_id=query_id,
                text=texts.get(query_id),
                grades={doc_id: Decimal(grade) for doc_id, grade in given.items()},
            )
            for query_id, given in grades.items()
        ),
        made_ids=made_ids,
    )


def test_documents_that_both_judged_are_compared() -> None:
    first = _judged({"q": {"a": "3.000", "b": "0", "c": "1"}, "r": {"a": "1"}}, texts={})
    second = _judged({"q": {"a": "3", "b": "1", "d": "1"}, "s": {"a": "1"}}, texts={})
    found = agreement(first, second)
    assert [int(grade) for grade in found.grades] == [0, 1, 3]
    assert found.confusion == ((0, 1, 0), (0, 0, 0), (0, 0, 1))
    assert (found.pairs, found.only_first, found.only_second, found.agreed) == (2, 2, 2, 0.5)


def test_queries_without_ids_are_compared_by_their_text() -> None:
    first = _judged({"1": {"a": "1"}}, texts={"1": "red"})
    second = _judged({"f00": {"a": "1"}}, texts={"f00": "red"}, made_ids=True)
    assert agreement(first, second).pairs == 1
    with pytest.raises(InputError, match="no document is judged for the same query in both"):
        agreement(_judged({"1": {"a": "1"}}, texts={"1": "blue"}), second)
    with pytest.raises(InputError, match="query '1' has no text"):
        agreement(_judged({"1": {"a": "1"}}, texts={}), second)
