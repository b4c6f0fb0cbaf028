"""What is mended in a model's JSON, and what is refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opensearch_funnel.llm.loose_json import loose_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)


@settings(max_examples=50)
@given(OBJECTS, st.sampled_from([None, 2]), st.booleans())
def test_valid_json_is_left_as_it_means(
    value: dict[str, object], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert json.loads(loose_json(text)) == value
    assert json.loads(loose_json(f"Here it is:\n```json\n{text}\n```\nThat is all.")) == value


@given(OBJECTS, st.data())
def test_a_cut_is_mended_to_a_part_of_the_object_or_refused(
    value: dict[str, object], data: st.DataObject
) -> None:
    text = json.dumps(value)
    cut = data.draw(st.integers(0, len(text)))
    try:
        read = json.loads(loose_json(text[:cut]))
    except ValueError:
        return
    assert is_part(read, value)


def is_part(part: object, whole: object) -> bool:
    """Whether nothing in an object differs from another but by what it lacks at its end."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and is_part(inner, whole[key]) for key, inner in part.items())
    return part == whole


@given(st.text())
def test_any_text_is_an_object_or_refused(text: str) -> None:
    try:
        found = loose_json(text)
    except ValueError:
        return
    assert (found[0], found[-1]) == ("{", "}")


@pytest.mark.parametrize(
    ("text", "means"),
    [
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2, ],\n }', {"a": [1, 2]}),
        ('{"a": "line\nbreak\ttab"}', {"a": "line\nbreak\ttab"}),
        ('{"a": "a, }", "b": {"c": "d"', {"a": "a, }", "b": {"c": "d"}}),
        ('{"a": true', {"a": True}),
        ('{"a": 12,', {"a": 12}),
        ('{"a": 12 \n', {"a": 12}),
        ('{"a": [1]', {"a": [1]}),
        ('<think>{"a": 2}</think>{"a": 1}', {"a": 1}),
        ('{"a": "\\\\"}', {"a": "\\"}),
        (' {"a": "</think>"}', {"a": "</think>"}),
    ],
)
def test_what_can_be_read_one_way_is_mended(text: str, means: object) -> None:
    assert json.loads(loose_json(text)) == means


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON object"),
        ("[1]", "no JSON object"),
        ('{"a": "b', "inside a text"),
        ('{"a": 1', "inside a value"),
        ('{"a": tru', "inside a value"),
        ('{"a": {', "inside a value"),
        ('{"a":', "inside a value"),
        ('{"a": [1, 2', "inside a list"),
        ('{"a": [1, 2,', "inside a list"),
        ('{"a": 1} or {"a": 2}', "more than one"),
        ('{"a": [1}', "opened otherwise"),
    ],
)
def test_what_can_be_read_two_ways_is_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        loose_json(text)
