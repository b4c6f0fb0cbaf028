"""What a document is before it is in an index."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson

from opensearch_funnel.core.errors import InputError

MAX_ID_BYTES = 512
"""OpenSearch refuses a longer ``_id``, and with it the whole bulk request."""
_HASH_DIGITS = 20


@dataclass(frozen=True, slots=True)
class Document:
    """One document: its id, the fields that go into ``_source``, and what its shard is found by."""

    doc_id: str
    source: Mapping[str, Any]
    routing: str | None = None


def content_id(source: Mapping[str, Any]) -> str:
    """Make an id out of what a document says, for files that give none.

    The same content always gets the same id, so that loading a file again never doubles it.

    Example:
        >>> content_id({"title": "Heat", "y": 1}) == content_id({"y": 1, "title": "Heat"})
        True
    """
    return sha256(orjson.dumps(source, option=orjson.OPT_SORT_KEYS)).hexdigest()[:_HASH_DIGITS]


def checked_id(value: Any, *, field: str) -> str:
    """Turn the value of an id field into an id.

    Raises:
        InputError: it is empty, too long, or neither text nor a whole number. The message has no
            place in it: the caller knows file and line.

    Example:
        >>> checked_id(7, field="_id")
        '7'
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise InputError(f"{field} must be text or a whole number, not {kind_of(value)}")
    doc_id = str(value)
    if not doc_id:
        raise InputError(f"{field} is empty: give every document an id of its own")
    if len(doc_id.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES:
        raise InputError(f"{field} is longer than {MAX_ID_BYTES} bytes, which OpenSearch refuses")
    return doc_id


def kind_of(value: Any) -> str:
    """Name a JSON value's kind as a person would.

    Example:
        >>> [kind_of(value) for value in (None, True, 1.5, [], {}, "a")]
        ['null', 'true or false', 'a number', 'a list', 'an object', 'text']
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a list" if isinstance(value, list) else "an object"
