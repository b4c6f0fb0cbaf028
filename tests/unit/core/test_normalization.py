from math import sqrt

import numpy as np
import pytest

from opensearch_funnel.core.normalization import l2, min_max, reciprocal_ranks, z_score


def floats(*scores: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.array(scores, dtype=np.float32)


@pytest.mark.parametrize("technique", [min_max, l2, z_score])
def test_a_leg_without_hits_has_no_scores(technique: object) -> None:
    assert callable(technique)
    assert technique(floats()).size == 0


def test_min_max_stretches_over_the_whole_leg() -> None:
    assert min_max(floats(9.0, 4.0, 1.0)).tolist() == [
        pytest.approx((9 - 1) / (9 - 1)),
        pytest.approx((4 - 1) / (9 - 1)),
        pytest.approx(0.001),
    ]


def test_min_max_of_equal_scores_is_one() -> None:
    assert min_max(floats(2.5, 2.5)).tolist() == [1.0, 1.0]


def test_l2_divides_by_the_length() -> None:
    length = sqrt(2**2 + 3**2 + 6**2)
    assert l2(floats(2.0, 3.0, 6.0)).tolist() == pytest.approx([2 / length, 3 / length, 6 / length])


def test_l2_of_a_length_that_32_bits_cannot_hold_is_zero() -> None:
    assert l2(floats(1e-30)).tolist() == [0.0]


def test_z_score_counts_in_sample_deviations() -> None:
    scores = (7.0, 4.0, 3.0, 2.0)
    deviation = sqrt(sum((s - 4) ** 2 for s in scores) / (4 - 1))
    assert z_score(floats(*scores)).tolist() == [
        pytest.approx((7 - 4) / deviation),
        7.0,  # the mean itself: the raw maximum
        pytest.approx(0.001),
        pytest.approx(0.001),
    ]


def test_z_score_of_one_hit_is_its_raw_score() -> None:
    assert z_score(floats(12.25)).tolist() == [12.25]


def test_reciprocal_ranks_are_cut_to_ten_decimals() -> None:
    # 1/9997 = 0.00010003000900270081…: the engine goes on with 0.0001000300.
    (score,) = reciprocal_ranks([1], rank_constant=9996)
    assert score == np.float32(0.0001000300)
    assert score != np.float32(1 / 9997)
