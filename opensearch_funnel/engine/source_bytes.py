"""A stored document as bytes: put the object ``funnel`` in and out, and leave the rest alone.

Decoding a document and writing it again changes it: 1.50 becomes 1.5, a number past 64 bits loses
digits, ``1e400`` cannot be written at all. So only the one member is cut in or out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import orjson

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.json_spans import (
    COMMENT,
    SCALAR,
    STRING,
    Member,
    object_members,
    strict_json,
)

_FUNNEL = "funnel"
_NAME = b'"funnel":'
_NOT_JSON = "a stored document is not JSON: write it anew"
_WRITE = orjson.OPT_SERIALIZE_NUMPY
_TO_COMMA = re.compile(rb"(?:\s++|%b)*+," % COMMENT, re.DOTALL)
# What stands between tokens is found as well, so that nothing is looked for in a comment.
_TOKENS = re.compile(rb"[\s,:]++|%b|([{}\[\]]|%b|%b)" % (COMMENT, STRING, SCALAR), re.DOTALL)


def with_funnel(source: bytes, funnel: Mapping[str, Any]) -> bytes:
    """Write ``funnel`` into a document as its last member; no other byte of it changes.

    A member ``funnel`` that the document has already is replaced. One whose name has a dot in it
    (``"funnel.state"``) is another member, and stays.

    Args:
        source: one JSON object.
        funnel: what JSON can say, and numpy arrays.

    Raises:
        InputError: the document is not a JSON object.

    Example:
        >>> with_funnel(b'{"price": 1.50}', {"state": "ready"})
        b'{"price": 1.50,"funnel":{"state":"ready"}}'
    """
    bare, members, closing = _bare(source)
    comma = b"," if members else b""
    written = orjson.dumps(funnel, option=_WRITE)
    return bare[:closing] + comma + _NAME + written + bare[closing:]


def without_funnel(source: bytes) -> bytes:
    """Cut the member ``funnel`` out of a document, wherever it stands.

    The exact reverse of ``with_funnel``. The engine refuses a document that has a member twice;
    here all of them go.

    Raises:
        InputError: the document is not a JSON object.

    Example:
        >>> without_funnel(b'{"a": 1, "funnel": {}, "b": 2}')
        b'{"a": 1, "b": 2}'
    """
    return _bare(source)[0]


def funnel_of(source: bytes) -> dict[str, Any] | None:
    """Read the object ``funnel`` of a document; ``None`` where it has none that is an object.

    Raises:
        InputError: the document is not a JSON object.

    Example:
        >>> funnel_of(b'{"a": 1, "funnel": {"origin": 7}}')
        {'origin': 7}
    """
    members, _ = object_members(source)
    for member in members:
        if member.name == _FUNNEL:
            found = _decoded(source[member.value : member.end])
            return found if isinstance(found, dict) else None
    return None


def decoded_source(source: bytes) -> dict[str, Any]:
    r"""Read a document's fields, to look at them: what is written back are its bytes.

    Also reads what JSON parsers refuse and the engine stores: comments are passed over, and half
    of a surrogate pair is read as the replacement character, which every encoder takes.

    Raises:
        InputError: the document is not a JSON object.

    Example:
        >>> decoded_source(b'{"title": "cut \\ud83d" /* why */}')
        {'title': 'cut �'}
    """
    found = _decoded(source)
    if not isinstance(found, dict):
        raise InputError("a stored document is not a JSON object: write it anew")
    return found


def source_hash(source: bytes) -> str:
    r"""Hash what a document says, less ``funnel``: SHA-256, in hexadecimal.

    Equal for two documents whose JSON is equal: space, comments, the order of members and the way
    a string is escaped do not count. The text of a number does: 1.5 and 1.50 differ.

    Example:
        >>> source_hash(b'{"a": 1.0, "b": "x"}') == source_hash(b'{"b":"\\u0078","a":1.0}')
        True
        >>> source_hash(b'{"a": 1.0}') == source_hash(b'{"a": 1}')
        False
    """
    return sha256(_canonical(without_funnel(source))).hexdigest()


def _bare(source: bytes) -> tuple[bytes, list[Member], int]:
    """Return a document without ``funnel``, its members, and the place of its closing brace."""
    while True:
        members, closing = object_members(source)
        places = [place for place, member in enumerate(members) if member.name == _FUNNEL]
        if not places:
            return source, members, closing
        source = _without(source, members=members, place=places[-1])


def _without(source: bytes, *, members: list[Member], place: int) -> bytes:
    member = members[place]
    if place + 1 < len(members):
        # Up to the next name, with the comma and the space between.
        return source[: member.begin] + source[members[place + 1].begin :]
    if place == 0:
        return source[: member.begin] + source[member.end :]
    comma = _comma_behind(source, end=members[place - 1].end)
    return source[:comma] + source[member.end :]


def _comma_behind(source: bytes, *, end: int) -> int:
    found = _TO_COMMA.match(source, end)
    if found is None:
        raise InputError(_NOT_JSON)
    return found.end() - 1


def _decoded(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            # The standard parser also reads numbers that no float can hold.
            return json.loads(strict_json(text))
        except (ValueError, RecursionError) as error:
            raise InputError(f"a stored document is not JSON ({error}): write it anew") from error


def _canonical(source: bytes) -> bytes:
    """Write a document in the one form that all equal ones share.

    On a stack of its own: the engine takes more levels than Python's recursion does.
    """
    outer: list[list[bytes]] = []
    values: list[bytes] = []
    for token in filter(None, _TOKENS.findall(source)):
        if token in (b"{", b"["):
            outer.append(values)
            values = []
        elif token in (b"}", b"]"):
            if not outer:
                raise InputError(_NOT_JSON)
            written = _object(values) if token == b"}" else b"[" + b",".join(values) + b"]"
            values = outer.pop()
            values.append(written)
        else:
            values.append(_canonical_string(token) if b"\\" in token else token)
    if outer or len(values) != 1:
        raise InputError(_NOT_JSON)
    return values[0]


def _object(values: list[bytes]) -> bytes:
    if len(values) % 2:
        raise InputError(_NOT_JSON)
    members = sorted(zip(values[::2], values[1::2], strict=True))
    return b"{" + b",".join(name + b":" + value for name, value in members) + b"}"


def _canonical_string(token: bytes) -> bytes:
    text = json.loads(token)
    # Half of a surrogate pair is not UTF-8, but tells two strings apart as well.
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")
