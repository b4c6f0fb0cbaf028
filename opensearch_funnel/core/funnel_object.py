"""The object ``funnel`` of a document: what is in it, and whether it still says what the text says.

It is written by the service as documents are written, by loads, migrations and repairs; whoever
writes it leaves the same object behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FUNNEL = "funnel"
"""The field of a document that holds the object."""
READY, PENDING = "ready", "pending"
"""``funnel.state``: the fields are those of the text, or have still to be made."""

_PLAIN = frozenset({"id", "origin", "model", "hash", "state"})
_LEGS = ("sparse_", "dense_")


def is_funnel_object(value: Any) -> bool:
    """Say whether what stands in a document's field ``funnel`` is ours, and not the user's own.

    Example:
        >>> is_funnel_object({"id": "1", "state": "pending"}), is_funnel_object({})
        (True, True)
        >>> is_funnel_object({"state": "ready", "stages": 3}), is_funnel_object("red")
        (False, False)
    """
    if not isinstance(value, Mapping):
        return False
    known = all(name in _PLAIN or name.startswith(_LEGS) for name in value)
    return known and (not value or value.get("state") in {READY, PENDING})


def still_holds(
    present: Any, *, text_hash: str, models: Iterable[str], fields: Iterable[str]
) -> bool:
    """Say whether the object of a document was made of its text, by these models.

    Args:
        present: what stands in the document's field ``funnel``.
        text_hash: of the document's text as it is now.
        models: fingerprints of the models that have to have read it.
        fields: the fields that they fill; none for a document without text.

    Example:
        >>> made = {"id": "1", "state": "ready", "hash": "0a", "model": ["f"], "sparse_a": {}}
        >>> still_holds(made, text_hash="0a", models=["f"], fields=["sparse_a"])
        True
        >>> still_holds(made, text_hash="0b", models=["f"], fields=["sparse_a"])
        False
    """
    if not isinstance(present, Mapping) or present.get("state") != READY:
        return False
    if present.get("hash") != text_hash:
        return False
    filled = all(present.get(field) is not None for field in fields)
    return filled and set(models) <= set(_models(present))


def renewed(  # noqa: PLR0913 - what is known of one document
    present: Any,
    *,
    key: str,
    text_hash: str,
    models: Sequence[str],
    slot: str,
    made: Mapping[str, Any],
) -> dict[str, Any]:
    """Return the object of a document whose text has just been encoded.

    What other slots hold stays, if it was made of the same text; of another text it goes.

    Args:
        present: what stands in the document's field ``funnel``.
        key: ``funnel.id``.
        text_hash: of the document's text as it is now.
        models: fingerprints of the models that read it.
        slot: the slot that they fill.
        made: the slot's fields; none for a document without text.

    Example:
        >>> old = {"id": "1", "state": "ready", "hash": "0a", "model": ["f"], "sparse_a": {}}
        >>> new = {"key": "1", "models": ["g"], "slot": "b", "made": {"dense_b": [1.0]}}
        >>> sorted(renewed(old, text_hash="0a", **new))
        ['dense_b', 'hash', 'id', 'model', 'sparse_a', 'state']
        >>> sorted(renewed(old, text_hash="0b", **new))
        ['dense_b', 'hash', 'id', 'model', 'state']
    """
    kept: dict[str, Any] = {}
    others: list[str] = []
    if isinstance(present, Mapping) and present.get("hash") == text_hash:
        own = slot_fields(slot)
        kept = {n: v for n, v in present.items() if n.startswith(_LEGS) and n not in own}
        others = [m for m in _models(present) if m not in models] if kept else []
    return {
        "id": key,
        "model": [*models, *others],
        "hash": text_hash,
        "state": READY,
        **kept,
        **made,
    }


def slot_fields(slot: str) -> tuple[str, str]:
    """Return the names of a slot's two fields, inside of the object.

    Example:
        >>> slot_fields("a")
        ('sparse_a', 'dense_a')
    """
    sparse, dense = (f"{leg}{slot}" for leg in _LEGS)
    return sparse, dense


def _models(present: Mapping[str, Any]) -> list[str]:
    model = present.get("model")
    if isinstance(model, str):
        return [model]
    return [m for m in model if isinstance(m, str)] if isinstance(model, Sequence) else []
