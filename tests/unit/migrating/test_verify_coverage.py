"""What is wrong with the object ``funnel`` of a document."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from opensearch_funnel.core.text import text_hash
from opensearch_funnel.migrating.verifying.coverage import Expected, faults_of
from opensearch_funnel.migrating.verifying.searchable import Sample

EXPECTED = Expected(
    text_fields=("title", "text"),
    models=frozenset({"f1", "f2"}),
    sparse="sparse_a",
    dense="dense_a",
    dimension=2,
)


def _document(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": "d1",
        "origin": 7,
        "model": ["f1", "f2"],
        "hash": text_hash("Heat. A thief"),
        "state": "ready",
        "sparse_a": {"thief": 1.5},
        "dense_a": [0.6, 0.8],
    }
    made |= changes
    kept = {name: value for name, value in made.items() if value is not None}
    return {"title": "Heat", "text": "A thief", "funnel": kept}


def test_a_document_that_is_as_it_has_to_be_has_no_faults() -> None:
    assert faults_of(_document(), doc_id="d1", expected=EXPECTED) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"state": "pending"}, "not encoded yet"),
        ({"state": None}, "not encoded yet"),
        ({"id": "d2"}, "another document's key"),
        ({"hash": "0" * 16}, "hash of another text"),
        ({"model": ["f1"]}, "another model's fingerprint"),
        ({"model": "f1"}, "another model's fingerprint"),
        ({"model": None}, "another model's fingerprint"),
        ({"sparse_a": {}}, "without sparse terms"),
        ({"sparse_a": None}, "without sparse terms"),
        ({"sparse_a": {"thief": 0}}, "sparse weight that is no positive number"),
        ({"sparse_a": {"thief": "1"}}, "sparse weight that is no positive number"),
        ({"dense_a": []}, "without a vector"),
        ({"dense_a": None}, "without a vector"),
        ({"dense_a": [0.6, 0.8, 0.0]}, "vector of another length"),
        ({"dense_a": [0.6, None]}, "vector with something that is no number"),
        ({"dense_a": [0.6, True]}, "vector with something that is no number"),
        ({"dense_a": [0.0, 0.0]}, "vector of zeros"),
    ],
)
def test_each_fault_is_named(changes: dict[str, Any], fault: str) -> None:
    assert faults_of(_document(**changes), doc_id="d1", expected=EXPECTED) == [fault]


@pytest.mark.parametrize("funnel", [None, "red", [1]])
def test_a_document_without_the_object_has_one_fault(funnel: Any) -> None:
    source = {**_document(), "funnel": funnel}
    assert faults_of(source, doc_id="d1", expected=EXPECTED) == ["without funnel fields"]


def test_a_document_without_text_needs_no_fields() -> None:
    made = {"id": "d1", "state": "ready", "hash": text_hash(""), "model": ["f1", "f2"]}
    assert faults_of({"year": 1995, "funnel": made}, doc_id="d1", expected=EXPECTED) == []


def test_other_models_beside_ours_are_fine() -> None:
    document = _document(model=["f0", "f1", "f2"], sparse_b={"x": 1.0})
    assert faults_of(document, doc_id="d1", expected=EXPECTED) == []


def test_a_slot_that_is_kept_is_judged_unless_it_waits_to_be_filled() -> None:
    old = Expected(text_fields=EXPECTED.text_fields, models=frozenset({"f0"}), sparse="sparse_z")
    keeps = replace(EXPECTED, kept=(old,))
    models = ["f1", "f2", "f0"]
    whole = _document(model=models, sparse_z={"x": 1.0})
    assert faults_of(whole, doc_id="d1", expected=keeps) == []
    emptied = _document(model=models, sparse_z={})
    assert faults_of(emptied, doc_id="d1", expected=keeps) == ["without sparse terms"]
    assert faults_of(_document(state="pending"), doc_id="d1", expected=keeps) == []
    pending = _document(state="pending", sparse_a={})
    assert faults_of(pending, doc_id="d1", expected=keeps) == ["without sparse terms"]


def test_a_slot_of_one_leg_asks_for_no_other() -> None:
    sparse = Expected(text_fields=EXPECTED.text_fields, models=frozenset({"f1"}), sparse="sparse_a")
    assert faults_of(_document(dense_a=None), doc_id="d1", expected=sparse) == []


@pytest.mark.parametrize("met", [0, 3, 4, 5, 1000])
def test_a_sample_is_spread_over_all_that_is_met(met: int) -> None:
    sample = Sample(most=4)
    for number in range(met):
        sample.add(str(number), None, {"light": 1.0, "heavy": 2.0})
    kept = [int(doc_id) for doc_id, _, _ in sample.kept]
    assert len(kept) <= 4
    assert len(kept) == met or len(kept) >= 2
    assert {term for _, _, term in sample.kept} <= {"heavy"}
    if met == 1000:
        assert kept == [0, 256, 512, 768]
