from math import exp, log

import numpy as np
import pytest

from opensearch_funnel.core.combination import (
    arithmetic_mean,
    geometric_mean,
    harmonic_mean,
    shares,
    weighted_sum,
)
from opensearch_funnel.core.normalization import Scores

WEIGHTS = np.array([0.5, 0.3, 0.2], dtype=np.float32)


def row(*scores: float) -> Scores:
    return np.array([scores], dtype=np.float32)


def test_arithmetic_mean_counts_a_leg_that_found_nothing_as_zero() -> None:
    assert arithmetic_mean(row(0.8, 0.0, 0.4), WEIGHTS)[0] == pytest.approx(
        (0.5 * 0.8 + 0.2 * 0.4) / (0.5 + 0.3 + 0.2)
    )


def test_geometric_mean_leaves_out_a_leg_that_found_nothing() -> None:
    assert geometric_mean(row(0.8, 0.0, 0.4), WEIGHTS)[0] == pytest.approx(
        exp((0.5 * log(0.8) + 0.2 * log(0.4)) / (0.5 + 0.2))
    )


def test_harmonic_mean_leaves_out_a_leg_that_found_nothing() -> None:
    assert harmonic_mean(row(0.8, 0.0, 0.4), WEIGHTS)[0] == pytest.approx(
        (0.5 + 0.2) / (0.5 / 0.8 + 0.2 / 0.4)
    )


def test_weighted_sum_is_not_divided() -> None:
    assert weighted_sum(row(0.8, 0.1, 0.4), WEIGHTS)[0] == pytest.approx(
        0.5 * 0.8 + 0.3 * 0.1 + 0.2 * 0.4
    )


@pytest.mark.parametrize(
    "technique", [arithmetic_mean, geometric_mean, harmonic_mean, weighted_sum]
)
def test_a_document_whose_scores_are_all_zero_scores_zero(technique: object) -> None:
    assert callable(technique)
    assert technique(row(0.0, 0.0, 0.0), WEIGHTS).tolist() == [0.0]


def test_shares_are_those_of_weight_times_score() -> None:
    whole = 0.5 * 0.8 + 0.2 * 0.4
    assert shares(row(0.8, 0.0, 0.4), [0.5, 0.3, 0.2])[0].tolist() == pytest.approx(
        [0.5 * 0.8 / whole, 0.0, 0.2 * 0.4 / whole]
    )


def test_a_row_of_zeros_has_no_shares() -> None:
    assert shares(row(0.0, 0.0, 0.0), [0.5, 0.3, 0.2]).tolist() == [[0.0, 0.0, 0.0]]
