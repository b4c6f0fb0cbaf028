"""Why a document has to be encoded."""

from __future__ import annotations

from typing import Any

import pytest

from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.repairing import Need, need_of
from opensearch_funnel.testing import WordWeights


class Words(WordWeights):
    name = "words"


ENCODER = SlotEncoder(fields=("text",), sparse=Words())
READY: dict[str, Any] = {
    "id": "1",
    "state": "ready",
    "hash": "0a",
    "model": [Words().fingerprint],
    "sparse_a": {"fox": 1.0},
}


def need(present: Any, *, has_text: bool = True) -> Need | None:
    return need_of(present, doc_text_hash="0a", encoder=ENCODER, has_text=has_text)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in READY.items() if key != name}


def test_a_document_whose_fields_are_right_needs_nothing() -> None:
    assert need(READY) is None
    assert need({**READY, "sparse_b": {"x": 1.0}, "model": ["b", Words().fingerprint]}) is None
    assert need({**READY, "sparse_a": [{"fox": 1.0}], "id": "a key made by the service"}) is None
    assert need(without("sparse_a"), has_text=False) is None


@pytest.mark.parametrize(
    ("present", "why"),
    [
        (None, "missing"),
        ({}, "missing"),
        (without("state"), "missing"),
        (without("hash"), "missing"),
        (without("id"), "missing"),
        ({**READY, "id": ""}, "missing"),
        (without("sparse_a"), "missing"),
        ({"id": "1", "state": "pending"}, "pending"),
        ({"state": "pending"}, "pending"),
        ({**READY, "state": "pending"}, "pending"),
        ({**READY, "hash": "0b"}, "stale"),
        ({**READY, "model": ["of another"]}, "other models"),
        ({**READY, "model": "of another"}, "other models"),
        (without("model"), "other models"),
    ],
)
def test_any_other_is_encoded_and_it_is_said_why(present: Any, why: Need) -> None:
    assert need(present) == why
