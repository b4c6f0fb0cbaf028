"""A fit follows its gradient, finds what is there, and never sees what it is measured on."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.fusion_study.ablating import CEILING, RECIPES, tried
from benchmarks.fusion_study.cases import VARIANTS
from benchmarks.fusion_study.fitting import BROKEN, Objective, Recipe, Weighting, fit, trust_in
from benchmarks.fusion_study.folds import AUTO, EQUAL, References, automatic, left_out
from benchmarks.fusion_study.rows import Gain, row_of
from tests.unit.fusion_study.small import asked, case_of, regraded


def test_the_gradient_is_the_one_of_the_value() -> None:
    cases = [case_of(asked(1), variant) for variant in VARIANTS[:5]]
    objective = Objective.of(cases, Recipe())
    at = np.array([0.1, -0.2, 0.05, 0.3, 0.2, -0.1])
    _, gradient = objective(at)
    for place in range(len(at)):
        step = np.zeros(len(at))
        step[place] = 1e-3
        slope = (objective(at + step)[0] - objective(at - step)[0]) / 2e-3
        assert gradient[place] == pytest.approx(slope, abs=2e-4)


def test_a_leg_that_stands_out_is_believed_where_it_is_right() -> None:
    cases = [case_of(asked(seed, queries=60), family=f"f{seed}") for seed in (1, 2)]
    found = fit(cases, Recipe(features=("gap",)))
    assert found.slopes["gap"] > 0.3
    [other] = [case_of(asked(3, queries=60))]
    equal = References.of(other).mean(EQUAL)
    assert automatic(other, {"one": found}).mean() > equal


def test_a_fit_is_the_same_each_time() -> None:
    cases = [case_of(asked(1))]
    assert fit(cases, Recipe()) == fit(cases, Recipe())


def test_a_family_is_not_fitted_on_itself() -> None:
    mine, others = asked(1), asked(2)
    before = [case_of(mine, family="mine"), case_of(others, family="others")]
    after = [case_of(regraded(mine), family="mine"), before[1]]
    first, second = left_out(before, Recipe()), left_out(after, Recipe())
    assert first["mine"] == second["mine"]
    assert first["others"] != second["others"]


def test_a_kind_without_weight_is_not_fitted_on() -> None:
    natural = case_of(asked(1))
    broken = case_of(asked(1), VARIANTS[1])
    alone = Recipe(kinds={"natural": 1.0})
    assert fit([natural, broken], alone) == fit([natural], alone)


def test_shares_add_up_and_follow_trust() -> None:
    case = case_of(asked(1))
    weighting = Weighting(lean=(0.0, 0.0, 0.0), slopes={"gap": 1.0})
    plain = weighting.weights(case)
    wary = weighting.weights(case, trust=(0.01, 1.0, 1.0))
    assert plain.sum(axis=1) == pytest.approx(1.0)
    assert (wary[:, 0] < plain[:, 0]).all()
    assert wary[:, 1] / wary[:, 2] == pytest.approx(plain[:, 1] / plain[:, 2])


def test_only_a_permuted_leg_is_not_trusted() -> None:
    told = {v.name: trust_in(case_of(asked(1, queries=3), v)) for v in VARIANTS}
    assert told["permuted sparse"] == (1.0, BROKEN, 1.0)
    assert told["degraded dense"] == told[""] == (1.0, 1.0, 1.0)


def test_a_row_says_what_was_gained_and_what_is_missed() -> None:
    case = case_of(asked(1))
    references = References.of(case)
    row = row_of(case, references, {"one": Weighting(lean=(0.0, 0.0, 0.0))})
    assert row.values[AUTO] == pytest.approx(row.values[EQUAL])
    assert row.gains[EQUAL] == Gain(mean=0.0, low=0.0, high=0.0)
    assert row.short == pytest.approx(
        max(0.0, references.goal(case) - references.mean(EQUAL)), abs=1e-4
    )


def test_measured_trust_has_a_column_of_its_own() -> None:
    case = case_of(asked(1))
    weightings = {"one": Weighting(lean=(0.0, 0.0, 0.0))}
    trusts = {"one": {"sparse": 0.0001, "dense": 0.0001}}
    row = row_of(case, References.of(case), weightings, trusts=trusts)
    assert row.values["auto with trust"] != row.values[AUTO]


def test_every_way_is_tried_on_every_kind() -> None:
    variants = (VARIANTS[0], VARIANTS[1], VARIANTS[4])
    cases = [
        case_of(asked(seed, queries=6), variant, family=f"f{seed}")
        for seed in (1, 2)
        for variant in variants
    ]
    found = tried(cases, [References.of(case) for case in cases])
    names = [one.name for one in found]
    assert set(RECIPES) <= set(names)
    assert CEILING in names
    best = next(one for one in found if one.name == CEILING)
    assert all(best.means["natural"] >= one.means["natural"] for one in found)
