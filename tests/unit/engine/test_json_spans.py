"""Where values begin and end, in texts that the engine stores and parsers refuse."""

from __future__ import annotations

import orjson
import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.json_spans import (
    array_elements,
    object_members,
    on_one_line,
    strict_json,
    value_end,
)

ODD = rb"""
 { "a" : "}\"{" , /* "x": 1, } */ "b":[1,{"c":[]},"]"],
   "\u0063" : -1.5e+3 , // "d": {
   "e": null, "f":{},"g":"\\" ,"h":true}  tail"""


def test_the_members_of_an_object_are_found_by_their_bytes() -> None:
    members, closing = object_members(ODD)
    assert ODD[closing:] == b"}  tail"
    assert [(one.name, ODD[one.value : one.end]) for one in members] == [
        ("a", b'"}\\"{"'),
        ("b", b'[1,{"c":[]},"]"]'),
        ("c", b"-1.5e+3"),
        ("e", b"null"),
        ("f", b"{}"),
        ("g", b'"\\\\"'),
        ("h", b"true"),
    ]
    assert [ODD[one.begin : one.begin + 2] for one in members[:3]] == [b'"a', b'"b', b'"\\']


def test_the_elements_of_an_array_are_found_by_their_bytes() -> None:
    text = b'[ 1 , "a,b" , [2, [3]] , /* 4, */ {"x": "]"} ] tail'
    assert [text[begin:end] for begin, end in array_elements(text)] == [
        b"1",
        b'"a,b"',
        b"[2, [3]]",
        b'{"x": "]"}',
    ]
    assert list(array_elements(b"[ ]")) == []


def test_depth_and_length_cost_neither_stack_nor_time() -> None:
    deep = b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    (only,), closing = object_members(deep)
    assert (only.end, closing) == (len(deep) - 1, len(deep) - 1)
    long = b'{"a":"' + b"\\n" * 1_000_000 + b'"}'
    assert object_members(long)[1] == len(long) - 1


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b"{",
        b'{"a"',
        b'{"a":',
        b'{"a":1',
        b'{"a":[1}',
        b'{"a":"b',
        b'{"a":"b\\"}',
        b"{a:1}",
        b'{"a":1 /* }',
        b'{"a":{"b":1}',
    ],
)
def test_what_is_not_a_whole_object_is_refused(text: bytes) -> None:
    with pytest.raises(InputError, match="is not JSON"):
        object_members(text)


def test_a_value_ends_where_it_ends() -> None:
    assert value_end(b'1.50,"a"', at=0) == 4
    assert value_end(b'x"a,b" ', at=1) == 6
    with pytest.raises(InputError):
        value_end(b"1]", at=1)


def test_a_text_on_one_line_says_the_same() -> None:
    one_line = on_one_line(ODD)
    assert b"\n" not in one_line
    assert b"/*" not in one_line
    members, _ = object_members(ODD)
    again, _ = object_members(one_line)
    assert [(one.name, one_line[one.value : one.end]) for one in again] == [
        (one.name, ODD[one.value : one.end]) for one in members
    ]
    # What is inside of a string is no comment.
    assert on_one_line(b'{"a": "//b /* c */"}') == b'{"a": "//b /* c */"}'


@pytest.mark.parametrize(
    ("text", "strict"),
    [
        (rb'"\ud83d"', rb'"\ufffd"'),
        (rb'"\uD83D\uDE00"', rb'"\uD83D\uDE00"'),
        (rb'"\ude00\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\ud83d\ud83d\ude00"', rb'"\ufffd\ud83d\ude00"'),
        (rb'"\\ud83d"', rb'"\\ud83d"'),
        (rb'"\\\ud83d\n"', rb'"\\\ufffd\n"'),
    ],
)
def test_half_of_a_surrogate_pair_is_replaced(text: bytes, strict: bytes) -> None:
    assert strict_json(text) == strict
    orjson.loads(strict)
