"""Which queries are a text search of a person, and what they require."""

from typing import Any

import pytest

from opensearch_funnel.engine.query_strings import read_query_string, read_simple_query_string
from opensearch_funnel.engine.text_queries import Fields, TextQuery, read_text_query

FIELDS = Fields(text={"text", "title"}, count=6)
MATCH: dict[str, Any] = {"match": {"text": {"query": "red fox", "operator": "OR"}}}
HOUND: dict[str, Any] = {"match": {"title": "hound"}}
PHRASE: dict[str, Any] = {"match_phrase": {"text": {"query": "red fox"}}}
DRAMA: dict[str, Any] = {"term": {"genre": {"value": "drama"}}}
OLD: dict[str, Any] = {"range": {"year": {"lt": 1960}}}


def read(query: object) -> TextQuery | None:
    return read_text_query(query, fields=FIELDS)


@pytest.mark.parametrize(
    "query",
    [
        MATCH,
        {"match": {"text": "red fox"}},
        {"match": {"text": {"query": "red fox", "fuzziness": "AUTO", "analyzer": "english"}}},
        {"multi_match": {"query": "red fox", "fields": ["title^2.0", "text^1.0"]}},
        {"multi_match": {"query": "red fox", "fields": ["text", "sku"], "type": "cross_fields"}},
        {"query_string": {"query": "red fox", "fields": ["text^1.0"], "default_operator": "or"}},
        {"query_string": {"query": "red fox", "fields": [], "time_zone": "UTC"}},
        {"multi_match": {"query": "red fox"}},
        {"query_string": {"query": "red fox", "default_field": "text"}},
        {"simple_query_string": {"query": "red fox", "fields": ["text"], "flags": -1}},
        {"bool": {"must": [MATCH]}},
        {"bool": {"must": MATCH}},
        {"bool": {"should": [MATCH, PHRASE], "minimum_should_match": "1"}},
        {"bool": {"must": [MATCH], "should": [PHRASE, DRAMA]}},
        {"bool": {"must": [{"bool": {"should": [MATCH]}}], "adjust_pure_negative": True}},
        {"bool": {"should": [MATCH, DRAMA]}},
    ],
)
def test_some_of_the_words_are_enough(query: object) -> None:
    found = read(query)
    assert found is not None
    assert (found.text.startswith("red fox"), found.narrows) == (True, False)
    assert (found.required, found.excluded) == ((), ())


@pytest.mark.parametrize(
    "query",
    [
        PHRASE,
        {"match": {"text": {"query": "red fox", "operator": "AND"}}},
        {"match": {"text": {"query": "red fox", "minimum_should_match": "75%"}}},
        {"multi_match": {"query": "red fox", "fields": ["text"], "type": "phrase"}},
        {"query_string": {"query": "red fox", "default_operator": "and"}},
        {"query_string": {"query": "red +fox"}},
        {"simple_query_string": {"query": '"red fox" -toy', "fields": ["text"]}},
        {"bool": {"must": [PHRASE]}},
        {"bool": {"should": [PHRASE]}},
        {"bool": {"must": [MATCH, HOUND]}},
        {"bool": {"should": [MATCH, HOUND], "minimum_should_match": 2}},
        {"bool": {"should": [MATCH, HOUND], "minimum_should_match": "50%"}},
        {"bool": {"must": [MATCH], "should": [DRAMA], "minimum_should_match": "1"}},
        {"bool": {"should": [{"bool": {"must": [MATCH], "filter": [DRAMA]}}]}},
    ],
)
def test_more_than_some_of_the_words_narrows(query: object) -> None:
    found = read(query)
    assert found is not None
    assert found.text.startswith("red fox")
    assert found.narrows


@pytest.mark.parametrize(
    "query",
    [
        None,
        {},
        "fox",
        [],
        {"match_all": {}},
        DRAMA,
        {"match": {}},
        {"match": {"text": None}},
        {"match": MATCH, "term": {}},
        {"match": {"text": {"query": "  "}}},
        {"match": {"year": {"query": 1999}}},
        {"match": {"_id": {"query": "red fox"}}},
        {"match": {"status": {"query": "active"}}},
        {"match": {"text": {"query": "red fox", "zero_terms_query": "ALL"}}},
        {"match": {"text": {"query": "red fox", "unheard_of": 1}}},
        {"multi_match": {"query": "red", "fields": ["te*"]}},
        {"multi_match": {"query": "red", "fields": ["text"], "type": "bool_prefix"}},
        {"multi_match": {"query": "red", "fields": ["text"], "type": "phrase_prefix"}},
        {"match_bool_prefix": {"text": "red"}},
        {"match_phrase_prefix": {"text": "red"}},
        {"query_string": {"query": "title:red"}},
        {"query_string": {"query": "re*"}},
        {"query_string": {"query": "status:active", "default_field": "text"}},
        {"query_string": {"query": "red", "default_field": "status"}},
        {"simple_query_string": {"query": "re*", "fields": ["text"]}},
        {"simple_query_string": {"query": "red", "fields": ["text"], "flags": 1}},
        {"hybrid": {"queries": [MATCH]}},
        {"function_score": {"query": MATCH}},
        {"dis_max": {"queries": [MATCH]}},
        {"constant_score": {"filter": MATCH}},
        {"nested": {"path": "p", "query": MATCH}},
        {"bool": {}},
        {"bool": {"filter": [MATCH]}},
        {"bool": {"must_not": [MATCH]}},
        {"bool": {"must": [DRAMA], "filter": [OLD]}},
        {"bool": {"must": [MATCH], "filter": [{"script": {}}]}},
        {"bool": {"must": [MATCH, {"script_score": {}}]}},
        {"bool": {"must": [MATCH], "should": [{"knn": {}}]}},
        {"bool": {"must": [MATCH], "filter": [{"bool": {"must": [{"neural": {}}]}}]}},
        {"bool": {"must": [MATCH], "filter": [{"constant_score": {"filter": {"script": {}}}}]}},
        {"bool": {"must": [MATCH], "filter": [{"nested": {"query": DRAMA, "inner_hits": {}}}]}},
        {"bool": {"must": [MATCH], "filter": [{"terms_set": {"f": {"terms": ["a"]}}}]}},
        {"bool": {"must": [MATCH], "unheard_of": 1}},
    ],
)
def test_any_other_query_is_not_read(query: object) -> None:
    assert read(query) is None


def test_conditions_are_required_wherever_they_stand() -> None:
    gone = {"term": {"gone": True}}
    inner = {"bool": {"must": [MATCH], "filter": [OLD], "must_not": [gone]}}
    found = read({"bool": {"must": [inner, DRAMA], "filter": [{"nested": {"query": DRAMA}}]}})
    assert found == TextQuery(
        texts=("red fox",), required=({"nested": {"query": DRAMA}}, DRAMA, OLD), excluded=(gone,)
    )


def test_a_text_in_a_field_that_is_no_text_is_a_condition() -> None:
    shelf = {"match": {"genre": {"query": "drama"}}}
    found = read({"bool": {"must": [MATCH, shelf]}})
    assert found == TextQuery(texts=("red fox",), required=(shelf,))


def test_alternatives_behind_a_filter_are_optional() -> None:
    found = read({"bool": {"should": [PHRASE], "filter": [DRAMA]}})
    assert found == TextQuery(texts=("red fox",), required=(DRAMA,))
    found = read({"bool": {"should": [PHRASE], "filter": [DRAMA], "minimum_should_match": "1"}})
    assert found is not None
    assert found.narrows


def test_each_input_counts_once() -> None:
    title = {"match": {"title": "red fox"}}
    found = read({"bool": {"should": [MATCH, title, HOUND]}})
    assert found is not None
    assert found.text == "red fox hound"


@pytest.mark.parametrize(
    ("typed", "lucene", "simple"),
    [
        ("red fox", ("red fox", False), ("red fox", False)),
        ("e-mail wi-fi", ("e-mail wi-fi", False), ("e-mail wi-fi", False)),
        ('"red fox" cub', ("red fox cub", True), ("red fox cub", True)),
        ("+red -toy fox", ("red fox", True), ("red fox", True)),
        ('-"stuffed toy" fox', ("fox", True), ("fox", True)),
        ("red AND fox", ("red fox", True), ("red AND fox", False)),
        ("red OR fox", ("red fox", False), ("red OR fox", False)),
        ("fox NOT toy", ("fox", True), ("fox NOT toy", False)),
        ("NOT fox", None, ("NOT fox", False)),
        ("red + fox", None, ("red fox", True)),
        ("red|fox", None, ("red fox", False)),
        ("red - fox", None, None),
        ('red "fox', None, None),
        ("title:fox", None, ("title:fox", False)),
        ("why?", None, ("why?", False)),
        ("a/b", None, ("a/b", False)),
        ("fo*", None, None),
        ("fox~1", None, None),
        ("(red fox)", None, None),
        ("fox^2", None, ("fox^2", False)),
        ("NOT NOT fox", None, ("NOT NOT fox", False)),
        ("+AND fox", None, ("AND fox", True)),
        ("-fox", None, None),
    ],
)
def test_what_a_person_types_is_read_and_nothing_else(
    typed: str, lucene: tuple[str, bool] | None, simple: tuple[str, bool] | None
) -> None:
    for read_typed, wanted in ((read_query_string, lucene), (read_simple_query_string, simple)):
        found = read_typed(typed)
        assert (found and (found.text, found.narrows)) == wanted
