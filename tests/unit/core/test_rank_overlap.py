"""Agreement of two rankings: known values, and what holds for all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.errors import InvalidRankingError
from opensearch_funnel.core.rank_overlap import overlap_at, rank_biased_overlap

RANKINGS = st.lists(st.sampled_from("abcdefghijklmnop"), unique=True, max_size=12)


# Values of the package rbo 0.1.3, which implements the same equation.
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [("abc", "acb", 0.955), ("abcde", "badce", 0.873), ("abcdefg", "xaybz", 0.37089)],
)
def test_known_values(first: str, second: str, expected: float) -> None:
    assert rank_biased_overlap(first, second) == pytest.approx(expected, abs=1e-12)


@given(RANKINGS, RANKINGS, st.sampled_from([0.5, 0.8, 0.9, 0.98]))
def test_the_order_of_the_two_does_not_matter_and_the_value_is_a_share(
    first: list[str], second: list[str], persistence: float
) -> None:
    value = rank_biased_overlap(first, second, persistence=persistence)
    assert value == pytest.approx(rank_biased_overlap(second, first, persistence=persistence))
    assert 0.0 <= value <= 1.0
    assert rank_biased_overlap(first, first, persistence=persistence) == pytest.approx(1.0)


def test_nothing_in_common_is_zero_and_nothing_at_all_is_agreement() -> None:
    assert rank_biased_overlap("abc", "xyz") == 0.0
    assert rank_biased_overlap("abc", "") == 0.0
    assert rank_biased_overlap("", "") == 1.0


def test_a_swap_at_the_top_weighs_more_than_one_further_down() -> None:
    top, bottom = rank_biased_overlap("abcdef", "bacdef"), rank_biased_overlap("abcdef", "abcdfe")
    assert top < bottom < 1.0


def test_an_id_twice_is_refused() -> None:
    with pytest.raises(InvalidRankingError, match="twice"):
        rank_biased_overlap("aa", "ab")


def test_overlap_looks_at_the_first_k_alone() -> None:
    assert overlap_at("abcd", "dcba", k=4) == 1.0
    assert overlap_at("abcd", "dcba", k=2) == 0.0
    assert overlap_at("ab", "abcd", k=10) == 0.5
    assert overlap_at("", "", k=10) == 1.0
