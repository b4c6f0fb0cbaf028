"""Which fields are encoded, and why the others are not."""

from __future__ import annotations

from typing import Any

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.migrating.mapping_tree import mapped_fields
from opensearch_funnel.migrating.planning.text_fields import (
    MOST_FIELDS,
    FieldChoice,
    choose_fields,
    named_fields,
)
from opensearch_funnel.migrating.planning.token_counts import WordCounter

TEXT = {"type": "text"}
BOTH = {"type": "text", "fields": {"keyword": {"type": "keyword"}}}


def _chosen(
    properties: dict[str, Any], samples: list[dict[str, Any]], *, limit: int = 256
) -> dict[str, FieldChoice]:
    found = choose_fields(
        mapped_fields({"properties": properties}), samples, counter=WordCounter(), limit=limit
    )
    return {one.path: one for one in found}


def _taken(
    properties: dict[str, Any], samples: list[dict[str, Any]], *, limit: int = 256
) -> list[str]:
    found = _chosen(properties, samples, limit=limit)
    return [path for path, one in found.items() if one.taken]


def _films(count: int = 40) -> list[dict[str, Any]]:
    return [
        {
            "title": f"film {n}",
            "overview": f"a long story of {n} thieves in a city",
            "text": f"{n} " + "word " * 60,
            "code": f"x{n}",
            "genre": ("crime story", "love story")[n % 2],
            "tag": "a b c",
        }
        for n in range(count)
    ]


PROPERTIES = dict.fromkeys(("code", "genre", "overview", "tag", "text", "title"), BOTH)


def test_the_title_comes_first_then_what_sums_up_then_the_long_text() -> None:
    assert _taken(PROPERTIES, _films()) == ["title", "overview", "text"]


def test_ids_and_categories_are_left_out_with_the_reason() -> None:
    found = _chosen(PROPERTIES, _films())
    assert found["code"].why == "one word a document, like an id or a code"
    assert found["genre"].why == "few different values, like a category"


def test_other_forms_of_a_field_are_no_fields_of_a_document() -> None:
    assert "title.keyword" not in _chosen(PROPERTIES, _films())


def test_a_keyword_with_a_form_that_is_text_counts_as_text() -> None:
    by_word = {"type": "keyword", "fields": {"words": TEXT}}
    assert _taken({"heading": by_word}, [{"heading": "Heat"}]) == ["heading"]


def test_what_the_model_would_not_read_any_more_is_left_out() -> None:
    found = _chosen(PROPERTIES, _films(), limit=8)
    assert [path for path, one in found.items() if one.taken] == ["title", "overview"]
    assert found["text"].why == "models read 8 tokens, which the fields before it fill"


def test_at_most_a_few_are_taken() -> None:
    names = [f"note{letter}" for letter in "abcdef"]
    samples = [{name: f"{name} says {n} things" for name in names} for n in range(30)]
    found = _chosen(dict.fromkeys(names, TEXT), samples)
    assert sum(one.taken for one in found.values()) == MOST_FIELDS
    assert found["notef"].why == f"{MOST_FIELDS} fields are taken, which is the most"


def test_a_repetition_of_another_field_is_left_out() -> None:
    samples = [{"title": f"film {n}", "suggest": f"film {n}"} for n in range(5)]
    found = _chosen({"title": TEXT, "suggest": TEXT}, samples)
    assert (found["suggest"].taken, found["suggest"].why) == (False, "the same text as title")


def test_a_field_that_is_filled_from_others_has_no_text_of_its_own() -> None:
    properties = {"title": {**TEXT, "copy_to": ["all"]}, "all": TEXT}
    found = _chosen(properties, [{"title": "Heat"}])
    assert found["all"].why == "no sample has text in it: it is filled from title (copy_to)"


def test_rare_fields_and_nested_ones_are_left_out() -> None:
    samples = [{"title": f"film {n}"} for n in range(99)] + [{"note": "one of a hundred"}]
    nested = {"type": "nested", "properties": {"words": TEXT}}
    found = _chosen({"title": TEXT, "note": TEXT, "cast": nested}, samples)
    assert found["note"].why == "only 1% of the samples have text in it"
    assert found["cast.words"].why.startswith("inside of cast, of which a document has many")


def test_texts_inside_of_objects_count_but_their_names_are_no_titles() -> None:
    inner = {"properties": {"name": TEXT, "text": TEXT}}
    samples = [{"author": {"name": "Mann", "text": f"born in {n} or so"}} for n in range(30)]
    assert _taken({"author": inner}, samples) == ["author.text"]


def test_the_fields_of_the_funnel_are_never_texts() -> None:
    funnel = {"properties": {"note": TEXT}}
    assert _taken({"title": TEXT, "funnel": funnel}, [{"title": "a"}]) == ["title"]


def test_without_documents_the_names_decide() -> None:
    found = _chosen({"title": TEXT, "zz": TEXT}, [])
    assert list(found) == ["title", "zz"]
    assert found["title"].why == "by its name; there are no documents to look at"


@pytest.mark.parametrize(
    ("properties", "samples", "reason"),
    [
        ({"year": {"type": "integer"}}, [{"year": 1}], "the mapping has no text field"),
        ({"code": TEXT}, [{"code": "x1"}], "code: one word a document"),
        ({"title": TEXT}, [{}], "title: no sample has text in it"),
    ],
)
def test_an_index_without_anything_to_encode_is_refused(
    properties: dict[str, Any], samples: list[dict[str, Any]], reason: str
) -> None:
    with pytest.raises(InputError, match=reason):
        _chosen(properties, samples)


NAMED = {
    "title": BOTH,
    "brand": {"type": "keyword"},
    "year": {"type": "integer"},
    "other": {"type": "alias", "path": "title"},
    "cast": {"type": "nested", "properties": {"words": TEXT}},
    "funnel": {"properties": {"hash": {"type": "keyword"}}},
}


def _named(*names: str, samples: list[dict[str, Any]] | None = None) -> list[FieldChoice]:
    fields = mapped_fields({"properties": NAMED})
    found = [{"title": "Heat", "brand": "ACME"}] if samples is None else samples
    return named_fields(names, fields, found, counter=WordCounter())


def test_named_fields_are_taken_in_their_order_and_once() -> None:
    assert [one.path for one in _named("brand", "title", "brand")] == ["brand", "title"]


def test_a_named_field_without_text_is_taken_and_said_so() -> None:
    rare, title = _named("brand", "title", samples=[{"title": "Heat"}])
    assert (rare.taken, rare.why) == (True, "named; no sample has text in it")
    assert (title.taken, title.why) == (True, "named")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nope", "no field 'nope' in the mapping; fields with text: title"),
        ("year", "'year' is of type integer, which is no text"),
        ("title.keyword", "another form of title, and documents have only that: name title"),
        ("other", "another name for title, and documents have only that: name title"),
        ("cast.words", "inside of cast, of which a document has many"),
        ("funnel.hash", "no field 'funnel.hash'"),
    ],
)
def test_a_named_field_that_is_no_text_is_refused(name: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        _named("title", name)


def test_no_name_and_no_text_at_all_are_refused() -> None:
    with pytest.raises(InputError, match="at least one field"):
        _named()
    with pytest.raises(InputError, match="none of 1 samples has text in title or brand"):
        _named("title", "brand", samples=[{"year": 1}])
