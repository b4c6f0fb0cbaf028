"""The JSON object in what a language model wrote: mended where there is one way to read it."""

from __future__ import annotations

import re

_PART = re.compile(r'"(?:[^"\\]|\\.)*"|"|[{}\[\],]|\s+|[^\s"{}\[\],]+', re.DOTALL)
_CONTROL = re.compile(r"(?<!\\)[\x00-\x1f]")
_CLOSER = {"{": "}", "[": "]"}
_WHOLE = frozenset({",", "}", "]", "true", "false", "null"})
_THOUGHT_BEGINS, _THOUGHT_ENDS = "<think>", "</think>"


def loose_json(text: str) -> str:
    r"""Return the one JSON object of an answer as text that a strict parser takes.

    Mended are what models commonly get wrong: words and code fences around the object, thoughts
    before it, a comma after the last element, line breaks inside a text, and a missing end, where
    it can only be that of the object. An answer that was cut inside a text, a number or a list is
    not mended: more could have followed.

    Returns:
        The object; whether its inside is valid JSON is the parser's to say.

    Raises:
        ValueError: there is none, more than one, or one that ends where it is not clear what
            followed.

    Example:
        >>> loose_json('Sure: ```json\n{"grade": 2, "why": "exact",}\n```')
        '{"grade": 2, "why": "exact"}'
        >>> loose_json('{"grade": 2, "why": "exact"')
        '{"grade": 2, "why": "exact"}'
    """
    thoughts, ends, rest = text.partition(_THOUGHT_ENDS)
    # Some models leave out where thoughts begin. Behind a brace it may be the text of an object.
    if ends and (thoughts.lstrip().startswith(_THOUGHT_BEGINS) or "{" not in thoughts):
        text = rest
    start = text.find("{")
    if start < 0:
        raise ValueError("it holds no JSON object")
    mended: list[str] = []
    closers: list[str] = []
    for match in _PART.finditer(text, start):
        part = match[0]
        if part == '"':
            raise ValueError("it was cut inside a text")
        if part in _CLOSER:
            closers.append(_CLOSER[part])
        elif part in {"}", "]"}:
            _drop_last_comma(mended)
            if closers.pop() != part:
                raise ValueError(f"it closes with {part} what was opened otherwise")
        mended.append(_CONTROL.sub(_escaped, part) if part[0] == '"' else part)
        if not closers:
            if "{" in text[match.end() :]:
                raise ValueError("it holds more than one JSON object")
            return "".join(mended)
    return _closed(mended, closers=closers)


def _closed(mended: list[str], *, closers: list[str]) -> str:
    """Close what was cut, if it was cut after a whole value of an object."""
    if "]" in closers:
        raise ValueError("it was cut inside a list")
    last = mended[-1].lstrip(":")
    if last[:1] != '"' and last not in _WHOLE and not mended[-1].isspace():
        raise ValueError("it was cut inside a value")
    _drop_last_comma(mended)
    return "".join(mended) + "".join(reversed(closers))


def _drop_last_comma(mended: list[str]) -> None:
    end = len(mended)
    while end and mended[end - 1].isspace():
        end -= 1
    if end and mended[end - 1] == ",":
        del mended[end - 1 :]


def _escaped(control: re.Match[str]) -> str:
    return f"\\u{ord(control[0]):04x}"
