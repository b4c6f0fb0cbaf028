"""Tests of differences against scipy, and against arithmetic."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from opensearch_funnel.evaluating.comparing import compare
from opensearch_funnel.evaluating.datasets import read_dataset
from opensearch_funnel.evaluating.measures import Measure
from opensearch_funnel.evaluating.significance import (
    EXACT_UP_TO,
    cohens_d,
    holm,
    outcomes,
    randomisation_p,
)
from opensearch_funnel.training.bm25 import TextIndex


def named(differences: list[float]) -> dict[str, float]:
    return {f"q{number:04d}": value for number, value in enumerate(differences)}


def p_of_scipy(differences: list[float], *, samples: int) -> float:
    def mean_difference(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
        found: np.ndarray = np.mean(one - other, axis=axis)
        return found

    pairs = (np.asarray(differences), np.zeros(len(differences)))
    found = stats.permutation_test(
        pairs,
        mean_difference,
        permutation_type="samples",
        n_resamples=samples,
        vectorized=True,
        rng=np.random.default_rng(1),
    )
    return float(found.pvalue)


@given(
    st.lists(
        st.sampled_from([-0.5, -0.25, -0.125, 0.0, 0.125, 0.375, 0.75]), min_size=2, max_size=10
    )
)
def test_p_is_that_of_scipy_where_all_patterns_are_tried(differences: list[float]) -> None:
    expected = p_of_scipy(differences, samples=2**12)
    assert randomisation_p(named(differences)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("shift", [0.0, 0.01, 0.02, 0.03])
def test_p_is_near_that_of_scipy_where_patterns_are_drawn(shift: float) -> None:
    rng = np.random.default_rng(3)
    drawn = rng.normal(shift, 0.15, size=300)
    differences = [*map(float, drawn), *([0.0] * 100)]
    samples = 20_000
    expected = p_of_scipy(differences, samples=samples)
    # Both are drawn, each with this standard error: five of them are never reached by chance.
    error = 5 * sqrt(2 * max(expected * (1 - expected), 1 / samples) / samples)
    assert randomisation_p(named(differences), samples=samples) == pytest.approx(
        expected, abs=error
    )


@pytest.mark.datasets
@pytest.mark.parametrize(("b", "verdict"), [(0.0, "worse"), (0.65, "not shown")])
def test_the_verdict_on_a_real_set_is_that_of_scipy(datasets: Path, b: float, verdict: str) -> None:
    dataset = read_dataset(datasets / "cranfield")
    documents = list(dataset.documents())
    texts = [f"{one.source.get('title', '')} {one.source.get('text', '')}" for one in documents]

    def run(index: TextIndex) -> dict[str, list[str]]:
        return {
            query.query_id: [documents[place].doc_id for place in index.search(query.text, k=100)]
            for query in dataset.queries
        }

    runs = {"plain": run(TextIndex(texts)), "other": run(TextIndex(texts, b=b))}
    [found] = compare(runs, dataset, measures=[Measure("nDCG", 10)]).verdicts
    expected = p_of_scipy(list(found.values.values()), samples=20_000)
    error = 5 * sqrt(2 * max(expected * (1 - expected), 1 / 20_000) / 20_000)
    assert found.p == pytest.approx(expected, abs=error)
    assert (found.p < 0.05) == (expected < 0.05)
    assert found.word == verdict


def test_p_is_the_same_every_time_and_in_any_order_of_queries() -> None:
    rng = np.random.default_rng(4)
    differences = named([*map(float, rng.normal(0.02, 0.1, size=50))])
    first = randomisation_p(differences)
    assert randomisation_p(dict(reversed(differences.items()))) == first
    assert randomisation_p(differences, seed=1) != first
    assert randomisation_p({q: -value for q, value in differences.items()}) == first


def test_sums_that_differ_by_rounding_alone_are_ties() -> None:
    # Their sum is 0, so that every pattern is as large; in binary it is not quite.
    differences = [-0.25, -0.25, -0.1, 0.1, 0.7, -0.1, -0.1]
    assert sum(differences) != 0.0
    assert randomisation_p(named(differences)) == 1.0


def test_p_is_never_0_and_1_where_nothing_differs() -> None:
    every = named([0.5] * 100)
    assert randomisation_p(every, samples=1000) == 1 / 1001
    assert randomisation_p(named([0.5] * EXACT_UP_TO)) == 2 / 2**EXACT_UP_TO
    assert randomisation_p(named([0.0] * 100)) == 1.0
    assert randomisation_p({"only": 0.25}) == 1.0
    assert randomisation_p({}) == 1.0


def test_patterns_drawn_in_parts_are_as_many_as_were_asked_for() -> None:
    # Of so many queries a part is 200 patterns; all gains, so that no pattern is as large.
    assert randomisation_p(named([0.5] * 20_000), samples=450) == 1 / 451


def test_the_effect_is_the_mean_over_the_deviation() -> None:
    assert cohens_d(named([0.1, 0.2, 0.6])) == pytest.approx(0.3 / sqrt((0.04 + 0.01 + 0.09) / 2))
    assert cohens_d(named([0.0, 0.0])) == 0.0
    assert cohens_d(named([0.0])) == 0.0
    assert cohens_d(named([0.25])) is None
    assert cohens_d(named([0.25, 0.25])) is None


def test_wins_ties_and_losses_are_every_query() -> None:
    found = outcomes(named([0.5, 1e-15, -1e-15, 0.0, -0.5, -0.1]))
    assert (found.wins, found.ties, found.losses) == (1, 3, 2)
    assert found.changed == 3 / 6
    assert outcomes({}).changed == 0.0


def test_holm_multiplies_the_smallest_by_all_and_never_falls() -> None:
    assert holm([0.02, 0.01, 0.03, 0.9]) == pytest.approx([3 * 0.02, 4 * 0.01, 2 * 0.03, 0.9])
    # The second would be 2 · 0.011, less than 3 · 0.01 of the first: it takes over the first's.
    assert holm([0.01, 0.011, 0.5]) == pytest.approx([0.03, 0.03, 0.5])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_lies_between_the_raw_p_and_that_of_bonferroni(raw: list[float]) -> None:
    for p, corrected in zip(raw, holm(raw), strict=True):
        assert p <= corrected <= min(1.0, len(raw) * max(p, *raw)) + 1e-12
