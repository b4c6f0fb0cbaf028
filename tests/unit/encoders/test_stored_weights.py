"""What we store is what Lucene keeps, and the nearest that it could keep."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.encoders.stored_weights import stored_weights

WEIGHTS = st.floats(min_value=2.0**-60, max_value=60.0, allow_nan=False, width=32)


def as_lucene_keeps(value: float) -> float:
    bits = np.float32(value).view(np.uint32) >> np.uint32(15) << np.uint32(15)
    return float(bits.view(np.float32))


@given(WEIGHTS)
def test_a_stored_weight_survives_lucene_unchanged(value: float) -> None:
    kept = stored_weights({"token": value})["token"]
    assert as_lucene_keeps(kept) == kept


@given(WEIGHTS)
def test_it_is_the_nearest_of_the_two_neighbours(value: float) -> None:
    below = as_lucene_keeps(value)
    above = float((np.float32(below).view(np.uint32) + np.uint32(1 << 15)).view(np.float32))
    kept = stored_weights({"token": value})["token"]
    assert abs(kept - value) == min(abs(below - value), abs(above - value))


@given(WEIGHTS)
def test_the_relative_error_is_half_of_truncation(value: float) -> None:
    assert abs(stored_weights({"token": value})["token"] - value) <= value * 2.0**-9


def test_what_the_field_refuses_is_dropped_and_order_kept() -> None:
    weights = {"b": 2.0, "zero": 0.0, "less": -1.0, "nan": float("nan"), "inf": float("inf")}
    assert list(stored_weights({**weights, "tiny": 1e-45, "a": 1.0}).items()) == [
        ("b", 2.0),
        ("a", 1.0),
    ]


def test_no_weights_are_no_weights() -> None:
    assert stored_weights({}) == {}
