"""What holds of a query's weights, whatever formula they come from."""

from math import fsum, isfinite

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.leg_hit import LegHit
from opensearch_funnel.core.query_weights import evidence, query_weights

_SCORES = st.lists(st.floats(min_value=1e-6, max_value=1e6), max_size=30)
_LEGS = st.dictionaries(st.sampled_from(["bm25", "sparse", "dense", "title"]), _SCORES, min_size=1)


def leg(scores: list[float], *, prefix: str = "d") -> list[LegHit]:
    best_first = sorted(scores, reverse=True)
    return [LegHit(doc_id=f"{prefix}{n}", score=score) for n, score in enumerate(best_first)]


@given(_LEGS, st.data())
def test_one_finite_share_a_leg_which_add_up_to_1(
    legs: dict[str, list[float]], data: st.DataObject
) -> None:
    trust = data.draw(
        st.lists(st.floats(min_value=0.001, max_value=1), min_size=len(legs), max_size=len(legs))
    )
    weights = query_weights({name: leg(s) for name, s in legs.items()}, trust=trust)
    assert len(weights) == len(legs)
    assert all(isfinite(weight) and weight > 0 for weight in weights)
    assert fsum(weights) == pytest.approx(1.0)


@given(_SCORES)
def test_one_leg_has_all(scores: list[float]) -> None:
    assert query_weights({"bm25": leg(scores)}, trust=(0.3,)) == pytest.approx((1.0,))


def test_where_nothing_was_found_trust_decides() -> None:
    weights = query_weights({"a": [], "b": []}, trust=(0.75, 0.25))
    assert weights == pytest.approx((0.75, 0.25))


def test_a_leg_that_is_not_trusted_has_no_share() -> None:
    legs = {"bm25": leg([9.0, 1.0, 0.5]), "dense": leg([1.0, 0.9])}
    assert query_weights(legs, trust=(0.0, 1.0)) == (0.0, 1.0)


def test_a_leg_whose_best_hit_stands_out_gets_more() -> None:
    sure, unsure = leg([9.0, *[1.0] * 12]), leg([1.0] * 13)
    weights = query_weights({"sure": sure, "unsure": unsure}, trust=(0.5, 0.5))
    assert weights[0] > weights[1]


def test_a_leg_that_is_alone_with_its_opinion_gets_less() -> None:
    scores = [9.0, 3.0, 2.0, 1.0]
    alone, one, other = leg(scores, prefix="x"), leg(scores), leg(scores)
    weights = query_weights({"alone": alone, "one": one, "other": other}, trust=(1, 1, 1))
    assert weights[1] == pytest.approx(weights[2])
    assert weights[0] < weights[1] / 3


def test_where_words_are_missed_those_who_go_by_words_get_less() -> None:
    legs = {"bm25": leg([9.0, 1.0]), "sparse": leg([0.5, 0.1]), "dense": leg([1.8, 1.2])}
    full = query_weights(legs, trust=(1, 1, 1), full_match=0.5)
    half = query_weights(legs, trust=(1, 1, 1), full_match=1.0)
    assert full[2] < half[2]
    assert half[0] / half[1] == pytest.approx(full[0] / full[1])
    assert query_weights(legs, trust=(1, 1, 1)) == pytest.approx(full)


def test_more_than_a_full_match_is_a_full_match() -> None:
    told = evidence({"sparse": leg([2.0])}, full_match=1.0)
    assert told["sparse"].match == 1.0


def test_names_of_documents_do_not_matter_where_they_have_numbers() -> None:
    def numbered(scores: list[float], *, names: str) -> list[LegHit]:
        return [
            LegHit(doc_id=f"{names}{-n}", score=score, doc_number=n)
            for n, score in enumerate(scores)
        ]

    scores = [3.0, 3.0, 3.0, 1.0]
    told = [
        evidence(
            {"bm25": numbered(scores, names=names), "dense": numbered(scores[::-1], names=names)}
        )
        for names in ("a", "b")
    ]
    assert told[0] == told[1]


def test_equal_scores_are_no_error() -> None:
    weights = query_weights({"a": leg([2.0, 2.0]), "b": leg([7.0])}, trust=(0.5, 0.5))
    assert weights == pytest.approx((0.5, 0.5))
