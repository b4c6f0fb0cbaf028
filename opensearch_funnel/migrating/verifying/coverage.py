"""Whether a document's object ``funnel`` is what its text and the migration's models make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

from opensearch_funnel.core.funnel_object import FUNNEL, PENDING, READY, slot_fields
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.migrating.migration import Migration


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What every document of the target has to have.

    Attributes:
        text_fields: what is encoded, most telling first.
        models: fingerprints of the models that fill the slot.
        sparse: the sparse field that the migration fills; empty for none.
        dense: the dense field that it fills; empty for none.
        dimension: numbers in a vector; 0 where it is not known.
        kept: the slots of the source that are taken over, with what is needed of each. A document
            whose text was changed past the pipeline that fills them has none of their fields, and
            is ``pending``: it is not judged by that.
    """

    text_fields: tuple[str, ...]
    models: frozenset[str]
    sparse: str = ""
    dense: str = ""
    dimension: int = 0
    kept: tuple[Expected, ...] = ()

    @classmethod
    def of(cls, migration: Migration) -> Expected:
        """Read it out of the migration."""
        return replace(
            cls._of_slot(migration, migration.slot),
            dimension=migration.dimension,
            kept=tuple(cls._of_slot(migration, name) for name in migration.kept_slots),
        )

    @classmethod
    def _of_slot(cls, migration: Migration, name: str) -> Expected:
        sparse, dense = slot_fields(name)
        legs = migration.slots.get(name, {})
        return cls(
            text_fields=migration.text_fields,
            models=frozenset(leg["fingerprint"] for leg in legs.values()),
            sparse=sparse if "sparse" in legs else "",
            dense=dense if "dense" in legs else "",
        )


def faults_of(source: Mapping[str, Any], *, doc_id: str, expected: Expected) -> list[str]:
    """Name what is wrong with the object ``funnel`` of a document.

    A document without text has the object, but no fields of any slot.

    Args:
        source: all of the document, the object included.
        doc_id: its ``_id``.
        expected: what it has to have.

    Returns:
        Names of faults, none for a document that is as it has to be.

    Example:
        >>> expected = Expected(text_fields=("text",), models=frozenset({"f"}), sparse="sparse_a")
        >>> made = {"id": "1", "state": "ready", "hash": text_hash("red fox"), "model": ["f"]}
        >>> faults_of({"text": "red fox", "funnel": made}, doc_id="1", expected=expected)
        ['without sparse terms']
    """
    made = source.get(FUNNEL)
    if not isinstance(made, Mapping):
        return ["without funnel fields"]
    state = made.get("state")
    if state != READY and not (expected.kept and state == PENDING):
        return ["not encoded yet"]
    faults = []
    if made.get("id") != doc_id:
        faults.append("another document's key")
    text = encoded_text(source, fields=expected.text_fields)
    if made.get("hash") != text_hash(text):
        faults.append("hash of another text")
    wanted = [expected, *(expected.kept if state == READY else ())]
    for slot in wanted:
        faults += _faults_of_slot(made, slot=slot, has_text=bool(text))
    return list(dict.fromkeys(faults))


def _faults_of_slot(made: Mapping[str, Any], *, slot: Expected, has_text: bool) -> list[str]:
    faults = []
    if not slot.models <= set(_names(made.get("model"))):
        faults.append("another model's fingerprint")
    if has_text and slot.sparse:
        faults += _faults_of_sparse(made.get(slot.sparse))
    if has_text and slot.dense:
        faults += _faults_of_dense(made.get(slot.dense), dimension=slot.dimension)
    return faults


def _faults_of_sparse(weights: Any) -> list[str]:
    if not isinstance(weights, Mapping) or not weights:
        return ["without sparse terms"]
    usable = all(_is_number(weight) and weight > 0 for weight in weights.values())
    return [] if usable else ["sparse weight that is no positive number"]


def _faults_of_dense(vector: Any, *, dimension: int) -> list[str]:
    if not isinstance(vector, list) or not vector:
        return ["without a vector"]
    if dimension and len(vector) != dimension:
        return ["vector of another length"]
    if not all(_is_number(number) for number in vector):
        return ["vector with something that is no number"]
    return [] if any(vector) else ["vector of zeros"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _names(model: Any) -> list[str]:
    if isinstance(model, str):
        return [model]
    return [name for name in model if isinstance(name, str)] if isinstance(model, list) else []
