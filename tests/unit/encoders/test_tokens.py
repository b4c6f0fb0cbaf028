"""Texts of every sort become ids within the limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.tokens import TextTokenizer, open_tokenizer

CLS, SEP = 2, 3


@pytest.fixture
def tokenizer(tiny_model: Path) -> TextTokenizer:
    return open_tokenizer(tiny_model / "tokenizer.json", max_tokens=8)


def test_own_tokens_are_around_a_text_and_in_the_limit(tokenizer: TextTokenizer) -> None:
    (ids,) = tokenizer.encode(["hotel paris " * 50])
    assert (ids[0], ids[-1], len(ids)) == (CLS, SEP, 8)
    assert tokenizer.own_tokens == 2


def test_plain_ids_have_no_own_tokens(tokenizer: TextTokenizer) -> None:
    (ids,) = tokenizer.encode_plain(["hotel"])
    assert [tokenizer.vocabulary()[i] for i in ids] == ["hotel"]


@pytest.mark.parametrize("text", ["", " ", "\x00", "🙂", "\ud800", "é" * 10, "a\u0301"])
def test_odd_texts_pass(tokenizer: TextTokenizer, text: str) -> None:
    (ids,) = tokenizer.encode([text])
    assert ids[0] == CLS
    assert ids[-1] == SEP


def test_a_huge_text_costs_no_more_than_its_beginning(tokenizer: TextTokenizer) -> None:
    huge = "hotel " * 2_000_000
    assert tokenizer.encode([huge]) == tokenizer.encode([huge[:1000]])


def test_the_pair_layout_is_that_of_the_tokenizer(
    tokenizer: TextTokenizer, tiny_model: Path
) -> None:
    from tokenizers import Tokenizer

    layout = tokenizer.pair_layout()
    first, second = tokenizer.encode_plain(["hotel a", "fish . sea"])
    parts = (layout.before, first, layout.between, second, layout.after)
    expected = Tokenizer.from_file(str(tiny_model / "tokenizer.json")).encode(
        "hotel a", "fish . sea"
    )
    assert [i for part in parts for i in part] == expected.ids
    types = [t for part, t in zip(parts, layout.types, strict=True) for _ in part]
    assert types == expected.type_ids
    assert layout.overhead == 3


def test_what_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelError, match=r"cannot read tokenizer\.json"):
        open_tokenizer(tmp_path / "tokenizer.json", max_tokens=8)
