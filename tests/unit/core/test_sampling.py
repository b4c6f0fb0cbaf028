"""Which searches a plan with a sample upgrades: a share of the texts, and always the same ones."""

from __future__ import annotations

import subprocess
import sys
from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.sampling import in_sample

# A fixed set: what is counted below never changes.
TEXTS = [
    f"{colour} {thing} {n}"
    for colour in ("red", "blue")
    for thing in ("fox", "lamp")
    for n in range(2500)
]


@pytest.mark.parametrize("share", [0.001, 0.05, 0.2, 0.5, 0.95])
def test_the_share_of_many_texts_is_the_one_asked_for(share: float) -> None:
    found = sum(in_sample(text, alias="films", share=share) for text in TEXTS)
    four_deviations = 4 * sqrt(len(TEXTS) * share * (1 - share))
    assert abs(found - share * len(TEXTS)) <= four_deviations
    assert found > 0


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_larger_share_holds_every_smaller_one(text: str, one: float, other: float) -> None:
    small, large = sorted((one, other))
    assert in_sample(text, alias="a", share=large) or not in_sample(text, alias="a", share=small)


@given(st.text())
def test_everything_is_in_the_whole_and_nothing_in_none_of_it(text: str) -> None:
    assert in_sample(text, alias="a", share=1.0)
    assert not in_sample(text, alias="a", share=0.0)


def test_capitals_and_blanks_make_no_other_search() -> None:
    for text in TEXTS[:200]:
        shouted = f"  {text.upper().replace(' ', '   ')}\n"
        assert in_sample(shouted, alias="films", share=0.5) == in_sample(
            text, alias="films", share=0.5
        )


def test_two_plans_pick_searches_of_their_own() -> None:
    films = [in_sample(text, alias="films", share=0.5) for text in TEXTS]
    books = [in_sample(text, alias="books", share=0.5) for text in TEXTS]
    both = sum(a and b for a, b in zip(films, books, strict=True))
    assert abs(both - len(TEXTS) / 4) <= 4 * sqrt(len(TEXTS) * 0.25 * 0.75)


def test_another_process_with_another_hash_seed_picks_the_same() -> None:
    program = (
        "from opensearch_funnel.core.sampling import in_sample\n"
        "print(''.join('01'[in_sample(f'fox {n}', alias='films', share=0.5)] for n in range(64)))"
    )
    printed = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    here = "".join("01"[in_sample(f"fox {n}", alias="films", share=0.5)] for n in range(64))
    assert printed == {here}


@pytest.mark.parametrize("sample", [0, -0.1, 1.01, float("nan"), float("inf")])
def test_a_share_that_is_none_is_refused(sample: float) -> None:
    with pytest.raises(InvalidPlanError, match="sample must be above 0 and at most 1"):
        FunnelPlan.from_dict({"alias": "films", "sample": sample})


def test_the_share_is_part_of_the_plan() -> None:
    plan = FunnelPlan.from_dict({"alias": "films", "sample": 0.05})
    assert plan.plan_id != FunnelPlan(alias="films").plan_id
    assert FunnelPlan.from_dict(plan.to_dict()) == plan
