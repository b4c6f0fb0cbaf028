"""Which terms made a score, from what the engine says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.encoders.stored_weights import stored_weights
from opensearch_funnel.service.tracing_legs import sparse_terms_of
from opensearch_funnel.service.tracing_terms import kept_weight, lexical_terms, sparse_terms


def weight(field_and_term: str, value: float) -> dict[str, Any]:
    """Explain one term as the engine does."""
    description = f"weight({field_and_term} in 7) [PerFieldSimilarity], result of:"
    inner = {"value": value, "description": f"score(freq=1.0), computed as boost * {value}"}
    return {"value": value, "description": description, "details": [inner]}


def node(description: str, value: float, *details: dict[str, Any]) -> dict[str, Any]:
    return {"value": value, "description": description, "details": list(details)}


def found(explanation: dict[str, Any]) -> list[tuple[str | None, str, float]]:
    return [(one.field, one.term, one.contribution) for one in lexical_terms(explanation)]


def test_terms_of_a_sum_are_told_apart_and_ordered() -> None:
    explained = node("sum of:", 3.5, weight("text:fox", 1.0), weight("text:red", 2.5))
    assert found(explained) == [("text", "red", 2.5), ("text", "fox", 1.0)]


def test_only_the_best_field_counts() -> None:
    title = node("sum of:", 2.0, weight("title:fox", 2.0))
    text = node("sum of:", 3.0, weight("text:fox", 1.0), weight("text:red", 2.0))
    explained = node("max of:", 3.0, title, text)
    assert found(explained) == [("text", "red", 2.0), ("text", "fox", 1.0)]


def test_the_other_fields_count_as_far_as_a_tie_breaker_lets_them() -> None:
    best, other = weight("title:fox", 2.0), weight("text:fox", 1.0)
    explained = node("max plus 0.3 times others of:", 2.3, other, best)
    assert found(explained) == [("title", "fox", 2.0), ("text", "fox", pytest.approx(0.3))]


def test_filters_add_nothing_and_stay_out() -> None:
    nothing = node("match on required clause, product of:", 0.0, node("# clause", 0.0))
    explained = node("sum of:", 1.0, weight("text:fox", 1.0), nothing)
    assert found(explained) == [("text", "fox", 1.0)]


def test_what_cannot_be_told_apart_stands_as_one() -> None:
    explained = node("sum of:", 3.0, weight("text:fox", 1.0), node("ConstantScore(x)^2.0", 2.0))
    assert found(explained) == [(None, "ConstantScore(x)^2.0", 2.0), ("text", "fox", 1.0)]


@pytest.mark.parametrize(
    ("what", "field", "term"),
    [
        ('text:"red fox"', "text", '"red fox"'),
        ("cast.name:o:brien", "cast.name", "o:brien"),
        ("Synonym(text:car text:auto)", None, "Synonym(text:car text:auto)"),
    ],
)
def test_fields_and_terms(what: str, field: str | None, term: str) -> None:
    assert found(weight(what, 1.5)) == [(field, term, 1.5)]


def test_a_term_that_is_searched_twice_is_one() -> None:
    explained = node("sum of:", 2.0, weight("text:fox", 1.0), weight("text:fox", 1.0))
    assert found(explained) == [("text", "fox", 2.0)]


def test_sparse_terms_take_what_the_index_keeps() -> None:
    [term] = sparse_terms({"fox": 2.0, "red": 1.0}, {"fox": 1.702, "hound": 3.0})
    assert (term.term, term.stored_weight) == ("fox", 1.69921875)
    assert term.contribution == 2.0 * 1.69921875
    assert sparse_terms({}, {"fox": 1.0}) == ()


@given(st.floats(min_value=1e-30, max_value=1e30))
def test_kept_weights_are_cut_never_up_and_by_less_than_the_last_bit(value: float) -> None:
    kept = kept_weight(value)
    given_ = float(np.float32(value))
    assert kept <= given_ < kept * (1 + 2**-8)
    assert kept_weight(kept) == kept


@given(st.floats(min_value=1e-30, max_value=1e30))
def test_weights_that_were_rounded_before_are_kept_as_they_are(value: float) -> None:
    for rounded in stored_weights({"token": value}).values():
        assert kept_weight(rounded) == rounded


@pytest.mark.parametrize("stored", [{"fox": 1.5, "dog": 2.0}, [{"fox": 1.5, "dog": 2.0}]])
def test_terms_are_read_in_both_forms_that_a_document_keeps_them_in(stored: Any) -> None:
    query = {"neural_sparse": {"funnel.sparse_a": {"query_tokens": {"fox": 2.0, "red": 1.0}}}}
    source = {"funnel": {"sparse_a": stored}}
    [term] = sparse_terms_of(query, source, field="funnel.sparse_a")
    assert term.term == "fox"
    assert sparse_terms_of(query, {}, field="funnel.sparse_a") == ()
