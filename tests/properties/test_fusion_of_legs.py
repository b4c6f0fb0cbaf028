from math import fsum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.fusion import Fused, fused
from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.plan import Fusion

FUSIONS = [
    Fusion(technique="rrf"),
    Fusion(technique="min_max", combination="arithmetic_mean"),
    Fusion(technique="min_max", combination="geometric_mean"),
    Fusion(technique="min_max", combination="harmonic_mean"),
    Fusion(technique="l2", combination="arithmetic_mean"),
    Fusion(technique="l2", combination="geometric_mean"),
    Fusion(technique="l2", combination="harmonic_mean"),
    Fusion(technique="z_score", combination="arithmetic_mean"),
]
_NUMBER = st.integers(min_value=0, max_value=60)
# Scores of real legs: BM25 and dot products up to some tens, similarities below one.
_SCORE = st.floats(min_value=1 / 64, max_value=60.0, width=32)
_LEG = st.dictionaries(_NUMBER, _SCORE, max_size=20)
_LEGS = st.lists(_LEG, min_size=1, max_size=4)


def hits_of(leg: dict[int, float]) -> list[LegHit]:
    return [
        LegHit(doc_id=f"d{number}", score=score, shard=number % 3, doc_number=number)
        for number, score in leg.items()
    ]


def fuse(legs: list[dict[int, float]], fusion: Fusion) -> Fused:
    weights = [1 / len(legs)] * len(legs)
    return fused(
        {str(n): hits_of(leg) for n, leg in enumerate(legs)}, weights=weights, fusion=fusion
    )


@pytest.mark.parametrize("fusion", FUSIONS, ids=str)
@given(legs=_LEGS)
def test_contributions_add_up_to_the_fused_score(
    fusion: Fusion, legs: list[dict[int, float]]
) -> None:
    for hit in fuse(legs, fusion).hits:
        whole = fsum(part.amount for part in hit.contributions.values())
        assert whole == pytest.approx(hit.score, rel=1e-9)


@pytest.mark.parametrize("fusion", FUSIONS, ids=str)
@given(legs=_LEGS)
def test_every_document_comes_back_once_and_best_first(
    fusion: Fusion, legs: list[dict[int, float]]
) -> None:
    result = fuse(legs, fusion)
    assert sorted(result.doc_ids) == sorted({f"d{n}" for leg in legs for n in leg})
    scores = [hit.score for hit in result.hits]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("fusion", FUSIONS, ids=str)
@given(first=_LEG, second=_LEG)
def test_with_equal_weights_the_order_of_two_legs_does_not_matter(
    fusion: Fusion, first: dict[int, float], second: dict[int, float]
) -> None:
    one, other = fuse([first, second], fusion), fuse([second, first], fusion)
    # Rounded to 32 bits after each leg, the last digit may differ, and so ties may.
    expected = {hit.doc_id: pytest.approx(hit.score, rel=1e-6) for hit in other.hits}
    assert {hit.doc_id: hit.score for hit in one.hits} == expected


@pytest.mark.parametrize("fusion", FUSIONS, ids=str)
@given(legs=_LEGS, data=st.data())
def test_the_order_in_which_hits_are_listed_does_not_matter(
    fusion: Fusion, legs: list[dict[int, float]], data: st.DataObject
) -> None:
    shuffled = [dict(data.draw(st.permutations(list(leg.items())))) for leg in legs]
    assert fuse(shuffled, fusion) == fuse(legs, fusion)


@given(legs=_LEGS, factor=st.sampled_from([0.25, 0.5, 2.0, 8.0]))
def test_min_max_does_not_care_about_a_leg_s_unit(
    legs: list[dict[int, float]], factor: float
) -> None:
    # Powers of two: they change no digit of a float.
    scaled = [{n: score * factor for n, score in leg.items()} for leg in legs]
    assert fuse(scaled, FUSIONS[1]).doc_ids == fuse(legs, FUSIONS[1]).doc_ids
