"""The text of a document that encoders and rerankers read, and its fingerprint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

HASH_LENGTH = 16
_ENDS_A_SENTENCE = ".!?:;"


def encoded_text(source: Mapping[str, Any], *, fields: Sequence[str]) -> str:
    """Join the fields of a document into the one text that models read.

    A field that does not end a sentence gets a full stop, so that a title does not run into
    the text behind it. Missing and empty fields are left out; lists are joined by spaces.

    Args:
        source: the document's fields; dotted names reach into objects.
        fields: the fields to read, most telling first: a model may cut the end off.

    Example:
        >>> encoded_text({"title": "Heat", "text": "A thief."}, fields=["title", "text"])
        'Heat. A thief.'
    """
    parts = [part for part in (_flat(_value(source, field)) for field in fields) if part]
    closed = [p if p[-1] in _ENDS_A_SENTENCE else f"{p}." for p in parts[:-1]]
    return " ".join([*closed, *parts[-1:]])


def text_hash(text: str) -> str:
    """Return the fingerprint of a document's encoded text: 16 hex digits, always.

    Example:
        >>> text_hash("Heat. A thief.")
        'dffeb0988c6e2479'
    """
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:HASH_LENGTH]


def _value(source: Mapping[str, Any], field: str) -> Any:
    if field in source:
        return source[field]
    head, dot, rest = field.partition(".")
    inner = source.get(head) if dot else None
    return _value(inner, rest) if isinstance(inner, Mapping) else None


def _flat(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return " ".join(filter(None, (_flat(v) for v in value)))
    return "" if isinstance(value, Mapping) else str(value)
