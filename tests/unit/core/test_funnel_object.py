"""What a document's object ``funnel`` keeps when its text, its models or its slots change."""

from __future__ import annotations

from typing import Any

import pytest

from opensearch_funnel.core.funnel_object import is_funnel_object, renewed, still_holds

MADE: dict[str, Any] = {
    "id": "1",
    "origin": 7,
    "model": ["s", "d"],
    "hash": "0a",
    "state": "ready",
    "sparse_a": {"fox": 1.0},
    "dense_a": [1.0, 0.0],
}
FIELDS = ("sparse_a", "dense_a")


def test_an_object_of_the_same_text_and_models_still_holds() -> None:
    assert still_holds(MADE, text_hash="0a", models=["s", "d"], fields=FIELDS)
    assert still_holds({**MADE, "model": ["x", "s", "d"]}, text_hash="0a", models=["s"], fields=())
    assert still_holds({**MADE, "model": "s"}, text_hash="0a", models=["s"], fields=())


@pytest.mark.parametrize(
    "changed",
    [
        None,
        "red",
        {},
        {**MADE, "hash": "0b"},
        {**MADE, "state": "pending"},
        {**MADE, "model": ["s"]},
        {**MADE, "model": None},
        {**MADE, "dense_a": None},
        {name: value for name, value in MADE.items() if name != "sparse_a"},
    ],
)
def test_an_object_of_anything_else_does_not(changed: Any) -> None:
    assert not still_holds(changed, text_hash="0a", models=["s", "d"], fields=FIELDS)


def test_a_new_object_keeps_other_slots_of_the_same_text_with_their_models() -> None:
    of_b = {**MADE, "model": ["s", "d", "t"], "sparse_b": {"fox": 2.0}}
    fields = {"sparse_b": {"fox": 3.0}}
    made = renewed(of_b, key="1", text_hash="0a", models=["t"], slot="b", made=fields)
    assert made == {
        "id": "1",
        "model": ["t", "s", "d"],
        "hash": "0a",
        "state": "ready",
        "sparse_a": MADE["sparse_a"],
        "dense_a": MADE["dense_a"],
        "sparse_b": {"fox": 3.0},
    }


@pytest.mark.parametrize("stale", [{"hash": "0b"}, {"hash": None}])
def test_a_new_object_keeps_nothing_of_another_text(stale: dict[str, Any]) -> None:
    of_b = {**MADE, **stale, "sparse_b": {"fox": 2.0}}
    made = renewed(of_b, key="2", text_hash="0a", models=["s", "d"], slot="a", made={})
    assert made == {"id": "2", "model": ["s", "d"], "hash": "0a", "state": "ready"}


def test_a_new_object_keeps_other_slots_while_one_is_still_to_be_made() -> None:
    waiting = {**MADE, "state": "pending"}
    made = renewed(waiting, key="1", text_hash="0a", models=["t"], slot="b", made={"dense_b": [1]})
    assert made["sparse_a"] == MADE["sparse_a"]
    assert made["state"] == "ready"


def test_a_new_object_drops_the_fingerprint_of_a_model_that_nothing_is_left_of() -> None:
    made = renewed(MADE, key="1", text_hash="0a", models=["t"], slot="a", made={})
    assert made["model"] == ["t"]


@pytest.mark.parametrize(
    "own", ["red", 3, [], ["ready"], {"steps": 3}, {"state": "open"}, {**MADE, "note": "x"}]
)
def test_what_a_user_keeps_in_the_field_is_known_as_theirs(own: Any) -> None:
    assert not is_funnel_object(own)


@pytest.mark.parametrize(
    "ours", [MADE, {}, {"state": "pending"}, {"state": "ready", "dense_zz": 1}]
)
def test_what_the_funnel_keeps_there_is_known_as_its_own(ours: Any) -> None:
    assert is_funnel_object(ours)
