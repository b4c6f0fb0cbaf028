"""Where the values of a JSON text begin and end, without changing or even decoding them.

The engine stores the text of a document as it came, and takes more than JSON parsers here do.
Executed on 3.6.0, stored and given back byte for byte: comments (``/* */`` and ``//``), an escape
for half of a surrogate pair (what is left of an emoji that was cut), and a thousand levels of
nesting. So this does not parse: it finds strings, comments and brackets, and counts depth.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import orjson

from opensearch_funnel.core.errors import InputError

# Possessive quantifiers: nothing is tried twice, so the time is linear and the stack flat.
STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
COMMENT = rb"/\*.*?\*/|//[^\r\n]*+"
SCALAR = rb"[^\s,:\"{}\[\]/]++"
_STRING, _SCALAR = re.compile(STRING, re.DOTALL), re.compile(SCALAR)
_BETWEEN = re.compile(rb"(?:[\s,:]++|%b)*+" % COMMENT, re.DOTALL)
_FLAT = re.compile(rb'(?:[^"{}\[\]/]++|%b|%b)*+' % (STRING, COMMENT), re.DOTALL)
_COMMENT_OR_STRING = re.compile(rb"(%b)|%b|[\r\n]" % (STRING, COMMENT), re.DOTALL)
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_HALF_REPLACED = rb"\ufffd"


@dataclass(frozen=True, slots=True)
class Member:
    """One name and value of an object, by the places of their bytes."""

    name: str
    begin: int
    """Of the name's quote."""
    value: int
    """Where the value begins."""
    end: int
    """Behind the value."""


def object_members(text: bytes, *, at: int = 0) -> tuple[list[Member], int]:
    r"""Find the members of the object that begins at a place, or behind space there.

    Args:
        text: JSON, comments allowed.
        at: where to begin.

    Returns:
        The members in their order, and the place of the object's closing brace.

    Raises:
        InputError: there is no whole object.

    Example:
        >>> members, closing = object_members(b'{"a": [1, "}"], "b":2 }')
        >>> [(one.name, one.value, one.end) for one in members], closing
        ([('a', 6, 14), ('b', 20, 21)], 22)
    """
    at = _opened(text, at=at, bracket=b"{")
    members: list[Member] = []
    while text[at : at + 1] != b"}":
        behind = _end(_STRING, text, at=at)
        name = text[at:behind]
        value = _between(text, at=behind)
        end = value_end(text, at=value)
        members.append(Member(_decoded(name), at, value, end))
        at = _between(text, at=end)
    return members, at


def array_elements(text: bytes, *, at: int = 0) -> Iterator[tuple[int, int]]:
    """Find the elements of the array that begins at a place.

    Yields:
        Where each begins and ends.

    Raises:
        InputError: there is no whole array.

    Example:
        >>> list(array_elements(b'[{"a": 1}, null]'))
        [(1, 9), (11, 15)]
    """
    at = _opened(text, at=at, bracket=b"[")
    while text[at : at + 1] != b"]":
        end = value_end(text, at=at)
        yield at, end
        at = _between(text, at=end)


def value_end(text: bytes, *, at: int) -> int:
    """Return the place behind the value that begins at a place.

    Raises:
        InputError: no value begins there, or it does not end.
    """
    first = text[at : at + 1]
    if first == b'"':
        return _end(_STRING, text, at=at)
    if first not in (b"{", b"["):
        return _end(_SCALAR, text, at=at)
    depth = 0
    while True:
        at = _end(_FLAT, text, at=at)
        bracket = text[at : at + 1]
        if bracket in (b"{", b"["):
            depth += 1
        elif bracket in (b"}", b"]"):
            depth -= 1
        else:
            raise _malformed(at)
        at += 1
        if depth == 0:
            return at


def on_one_line(text: bytes) -> bytes:
    r"""Write a JSON text without line breaks and comments, and otherwise as it is.

    A line break can stand only between values: inside a string it is escaped.

    Example:
        >>> on_one_line(b'{\n "a": "//x" /* why */\n}')
        b'{  "a": "//x"   }'
    """
    return _COMMENT_OR_STRING.sub(lambda found: found[1] or b" ", text)


def strict_json(text: bytes) -> bytes:
    r"""Write a JSON text so that every parser takes it.

    Comments are left out, and half of a surrogate pair is the replacement character.

    Example:
        >>> strict_json(b'{"a": "\\ud83d", "b": "\\ud83d\\ude00 \\\\ud83d"}')
        b'{"a": "\\ufffd", "b": "\\ud83d\\ude00 \\\\ud83d"}'
    """
    return _ESCAPE.sub(
        lambda found: _HALF_REPLACED if found["half"] else found[0], on_one_line(text)
    )


def _opened(text: bytes, *, at: int, bracket: bytes) -> int:
    at = _between(text, at=at)
    if text[at : at + 1] != bracket:
        raise _malformed(at)
    return _between(text, at=at + 1)


def _between(text: bytes, *, at: int) -> int:
    return _end(_BETWEEN, text, at=at)


def _end(pattern: re.Pattern[bytes], text: bytes, *, at: int) -> int:
    found = pattern.match(text, at)
    if found is None:
        raise _malformed(at)
    return found.end()


def _decoded(name: bytes) -> str:
    return str(orjson.loads(strict_json(name) if b"\\" in name else name))


def _malformed(at: int) -> InputError:
    return InputError(f"a stored document is not JSON (byte {at}): write it anew")
