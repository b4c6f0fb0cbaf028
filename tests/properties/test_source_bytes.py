"""The object ``funnel`` goes into any document and out again, and changes nothing else."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.source_bytes import (
    decoded_source,
    funnel_of,
    source_hash,
    with_funnel,
    without_funnel,
)

# Half of a surrogate pair cannot be in UTF-8, but in an escape.
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ["funnel", '"funnel":', '{"funnel":1}', ',"funnel":{}}', "\\", "//", "/*", "*/", "\ud83d", "😀"]
)
NUMBERS = st.sampled_from(["0", "-0.0", "1.50", "1E2", "1e400", "123456789012345678901234567890"])
SPACE = st.sampled_from(["", " ", "\n\t", "\r\n  ", ' /* " } , */ ', "// {\n"])
FUNNELS = st.dictionaries(
    st.sampled_from(["id", "origin", "state", "sparse_a"]),
    st.integers(0, 2**53) | st.text(st.characters(codec="utf-8"), max_size=5) | st.none(),
)


@st.composite
def json_texts(draw: st.DrawFn, *, depth: int = 3, top: bool = True) -> str:
    """JSON as somebody might have written it, less a top-level ``funnel``."""
    kinds = ["object"] if top else ["string", "number", "word", "object", "array"]
    kind = draw(st.sampled_from(kinds if depth else ["string", "number", "word"]))
    if kind == "string":
        return _string(draw(TEXTS), ascii_only=draw(st.booleans()))
    if kind == "number":
        return draw(NUMBERS)
    if kind == "word":
        return draw(st.sampled_from(["true", "false", "null"]))
    inner = json_texts(depth=depth - 1, top=False)
    if kind == "array":
        values = draw(st.lists(inner, max_size=4))
        parts = [draw(SPACE) + value + draw(SPACE) for value in values]
        return "[" + (",".join(parts) or draw(SPACE)) + "]"
    members = draw(st.dictionaries(TEXTS, inner, max_size=4))
    if top:
        members.pop("funnel", None)
    parts = [
        draw(SPACE)
        + _string(name, ascii_only=draw(st.booleans()))
        + draw(SPACE)
        + ":"
        + draw(SPACE)
        + value
        + draw(SPACE)
        for name, value in members.items()
    ]
    return "{" + (",".join(parts) or draw(SPACE)) + "}"


def _string(text: str, *, ascii_only: bool) -> str:
    # Without the escape, half a pair is nothing that bytes could hold.
    return json.dumps(text, ensure_ascii=ascii_only or "\ud83d" in text)


@given(json_texts(), SPACE, FUNNELS, FUNNELS)
def test_what_is_put_in_comes_out_and_leaves_the_document_as_it_was(
    text: str, around: str, funnel: dict[str, Any], other: dict[str, Any]
) -> None:
    source = (around + text + around).encode()
    filled = with_funnel(source, funnel)
    assert funnel_of(filled) == funnel
    assert without_funnel(filled) == source
    assert with_funnel(filled, other) == with_funnel(source, other)
    assert source_hash(filled) == source_hash(source)
    assert without_funnel(source) == source
    assert funnel_of(source) is None


@given(json_texts(depth=2), st.integers(0, 2**31))
def test_the_hash_does_not_see_how_a_document_is_written(text: str, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311
    value = json.loads(
        _without_comments(text), parse_float=_Number, parse_int=_Number, object_pairs_hook=_Pairs
    )
    assert source_hash(_rewritten(value, rng=rng).encode()) == source_hash(text.encode())


def _without_comments(text: str) -> str:
    """Leave the comments out, by another way than the code does: no string holds one of these."""
    return text.replace(' /* " } , */ ', "").replace("// {\n", "")


class _Pairs(list[tuple[str, Any]]):
    """An object, in the order that it was written in."""


class _Number(str):
    __slots__ = ()


def _rewritten(value: Any, *, rng: random.Random) -> str:
    """Write pairs in another order, and strings another way."""
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, _Pairs):
        rng.shuffle(value)
        return (
            "{" + ", ".join(f"{json.dumps(n)} : {_rewritten(v, rng=rng)}" for n, v in value) + "}"
        )
    if isinstance(value, list):
        return "[ " + " ,".join(_rewritten(one, rng=rng) for one in value) + "]"
    return json.dumps(value)


@pytest.mark.parametrize(
    ("source", "filled"),
    [
        (b"{}", b'{"funnel":{"n":1}}'),
        (b"{ }", b'{ "funnel":{"n":1}}'),
        (b' {"a": 1.50 }\n', b' {"a": 1.50 ,"funnel":{"n":1}}\n'),
        (b'{"funnel": 3, "a": 1}', b'{"a": 1,"funnel":{"n":1}}'),
        (b'{"a": 1, "funnel": [1, 2], "b": 2}', b'{"a": 1, "b": 2,"funnel":{"n":1}}'),
        (b'{"a": 1 , "\\u0066unnel" : {}}', b'{"a": 1 ,"funnel":{"n":1}}'),
        (b'{"funnel":1,"funnel":2}', b'{"funnel":{"n":1}}'),
        (b'{"a": {"funnel": 1}}', b'{"a": {"funnel": 1},"funnel":{"n":1}}'),
        (b'{"funnel.n": 1}', b'{"funnel.n": 1,"funnel":{"n":1}}'),
        (b'{"a": 1 // "funnel": {}\n}', b'{"a": 1 // "funnel": {}\n,"funnel":{"n":1}}'),
    ],
)
def test_the_object_takes_the_place_of_one_that_was_there(source: bytes, filled: bytes) -> None:
    assert with_funnel(source, {"n": 1}) == filled


def test_vectors_may_be_arrays() -> None:
    vector = np.asarray([0.5, -1.0], dtype=np.float32)
    assert with_funnel(b"{}", {"dense_a": vector}) == b'{"funnel":{"dense_a":[0.5,-1.0]}}'


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (b'{"a": {"funnel": {"n": 1}}}', None),
        (b'{"funnel": null}', None),
        (b'{"funnel": "mine"}', None),
        (b'{"funnel": [{"n": 1}]}', None),
        (b'{"\\u0066unnel": {"cut": "\\ud83d"}}', {"cut": "\ufffd"}),
    ],
)
def test_the_object_is_read_wherever_it_stands(source: bytes, found: Any) -> None:
    assert funnel_of(source) == found


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        (b'{"a": 1, "b": [2, 3]}', b'{"b":[2,3],"a":1}', True),
        (b'{"a": {"x": 1, "y": 2}}', b'{"a": {"y": 2, "x": 1}}', True),
        (b'{"a": "\\u00e9\\/"}', '{"a": "é/"}'.encode(), True),
        (b'{"a": "\\ud83d\\ude00"}', '{"a": "😀"}'.encode(), True),
        (b'{"a": 1, "funnel": {"n": 1}}', b'{"a": 1}', True),
        (b'{"a": 1 /* b */}', b'{"a": 1}', True),
        (b'{"a": [1, 2]}', b'{"a": [2, 1]}', False),
        (b'{"a": 1.5}', b'{"a": 1.50}', False),
        (b'{"a": 1}', b'{"a": "1"}', False),
        (b'{"a": "\\ud83d"}', b'{"a": "\\ud83e"}', False),
        (b'{"a": {"funnel": 1}}', b'{"a": {}}', False),
        (b'{"a": ["x"]}', b'{"a": "x"}', False),
        (b'{"a": null}', b"{}", False),
    ],
)
def test_documents_that_say_the_same_have_one_hash(one: bytes, other: bytes, equal: bool) -> None:
    assert (source_hash(one) == source_hash(other)) == equal


@pytest.mark.parametrize("source", [b"", b"null", b"[1]", b'{"a"', b'{"a": 1'])
def test_what_is_not_a_document_is_refused(source: bytes) -> None:
    for read in (without_funnel, funnel_of, decoded_source, lambda text: with_funnel(text, {})):
        with pytest.raises(InputError, match="is not"):
            read(source)


@pytest.mark.parametrize("source", [b"", b'{"a"', b'{"a": 1', b"}", b'{"a"}'])
def test_what_cannot_be_hashed_is_refused(source: bytes) -> None:
    with pytest.raises(InputError, match="is not JSON"):
        source_hash(source)


def test_a_document_is_read_as_far_as_that_can_be() -> None:
    assert decoded_source(b'{"t": "cut \\ud83d", "n": 1.50 /* why */}') == {
        "t": "cut \ufffd",
        "n": 1.5,
    }
    assert decoded_source(b'{"far": 1e400}') == {"far": float("inf")}
    assert orjson.loads(b'{"a": 1}') == decoded_source(b'{"a": 1}')
