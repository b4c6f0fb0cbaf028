"""Which queries are a person's text search, and what they require of every document.

A query that is not surely one is not read: it passes through as it came.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.engine.query_strings import (
    TypedQuery,
    read_query_string,
    read_simple_query_string,
)

Body = dict[str, Any]

_WORD_TYPES = frozenset({"best_fields", "most_fields", "cross_fields"})
# What the engine writes out for every text query, and what only weighs or analyses. An option
# that is not here is unknown, and its query is not read.
_OPTIONS = frozenset(
    {
        "query",
        "fields",
        "default_field",
        "type",
        "operator",
        "default_operator",
        "minimum_should_match",
        "tie_breaker",
        "boost",
        "slop",
        "phrase_slop",
        "fuzziness",
        "fuzzy_rewrite",
        "fuzzy_prefix_length",
        "fuzzy_max_expansions",
        "prefix_length",
        "max_expansions",
        "fuzzy_transpositions",
        "analyzer",
        "quote_analyzer",
        "lenient",
        "zero_terms_query",
        "auto_generate_synonyms_phrase_query",
        "analyze_wildcard",
        "allow_leading_wildcard",
        "max_determinized_states",
        "enable_position_increments",
        "escape",
        "flags",
        "time_zone",
        "_name",
    }
)
# What may stand in a filter, or anywhere else that does not say what is searched. No scripts:
# they are slow, and would run once more for every leg.
_CONDITIONS = frozenset(
    {
        "term",
        "terms",
        "range",
        "exists",
        "ids",
        "prefix",
        "wildcard",
        "regexp",
        "fuzzy",
        "match_all",
        "match_none",
        "match",
        "match_phrase",
        "match_phrase_prefix",
        "match_bool_prefix",
        "multi_match",
        "query_string",
        "simple_query_string",
        "constant_score",
        "bool",
        "nested",
        "geo_bounding_box",
        "geo_distance",
        "geo_polygon",
        "geo_shape",
    }
)
_BOOL_LISTS = ("must", "should", "filter", "must_not")
_BOOL_OPTIONS = frozenset(
    {*_BOOL_LISTS, "minimum_should_match", "adjust_pure_negative", "boost", "_name"}
)
_TYPED = {"query_string": read_query_string, "simple_query_string": read_simple_query_string}
_ALL_FLAGS = (None, -1, "ALL")
_WORDS = re.compile(r"[0-9A-Za-z]+|[^\x00-\x7f]")
_EXPANSIONS = 50
"""What one misspelt word, or one word's beginning, becomes at most by default."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of an index, as far as reading a query needs them.

    Attributes:
        text: names of the fields of type ``text``.
        count: how many fields of any type there are: a query string without fields searches all.
    """

    text: Collection[str]
    count: int = 0


@dataclass(frozen=True, slots=True)
class TextQuery:
    """A person's text search.

    Attributes:
        texts: what was typed; more than one where fields have inputs of their own.
        narrows: whether documents have to do more than hold some of the words.
        required: queries that every hit has to match, whatever leg found it.
        excluded: queries that no hit may match.
    """

    texts: tuple[str, ...]
    narrows: bool = False
    required: tuple[Mapping[str, Any], ...] = ()
    excluded: tuple[Mapping[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """Everything that was typed, each input once."""
        return " ".join(dict.fromkeys(self.texts))


@dataclass(frozen=True, slots=True)
class Unread:
    """A query that is not surely a person's text search.

    Attributes:
        reason: why not, for a person; it names kinds, options and fields, and never a text.
    """

    reason: str


def read_text_query(query: Any, *, fields: Fields) -> TextQuery | None:
    """Read a query as a person's text search, or say that it is none.

    Args:
        query: one query of a request, normalised by the engine or as a client writes it.
        fields: of the index; a search in other fields than those of type ``text`` is a look-up.

    Example:
        >>> films = Fields(text={"title"})
        >>> read_text_query({"match_phrase": {"title": {"query": "red fox"}}}, fields=films)
        TextQuery(texts=('red fox',), narrows=True, required=(), excluded=())
        >>> by_genre = {"bool": {"must": [{"match": {"title": "fox"}},
        ...                               {"term": {"genre": "drama"}}]}}
        >>> read_text_query(by_genre, fields=films).required
        ({'term': {'genre': 'drama'}},)
        >>> read_text_query({"term": {"genre": "drama"}}, fields=films) is None
        True
    """
    found = read_or_say_why(query, fields=fields)
    return found if isinstance(found, TextQuery) else None


def read_or_say_why(query: Any, *, fields: Fields) -> TextQuery | Unread:
    """Read a query as ``read_text_query`` does, or say why it is no person's text search.

    Example:
        >>> films = Fields(text={"title"})
        >>> read_or_say_why({"match": {"genre": "drama"}}, fields=films)
        Unread(reason='match looks into no field of type text: genre')
    """
    kind, content = _only_entry(query)
    if kind == "bool":
        return _read_bool(content, fields=fields)
    if kind in {"match", "match_phrase"}:
        field, options = _only_entry(content)
        options = {"query": options} if isinstance(options, str) else options
        searched: Sequence[str] = [field]
    elif kind in {"multi_match", *_TYPED}:
        options, searched = content, _searched_fields(kind, content)
    else:
        return Unread(f"a {kind} query is no text search" if kind else "it has no query")
    if not isinstance(options, Mapping):
        return Unread(f"{kind} holds no text")
    if not _are_searched(searched, kind=kind, fields=fields):
        return Unread(_why_not_searched(searched, kind=kind))
    typed = _typed(kind, options)
    return typed if isinstance(typed, Unread) else TextQuery((typed.text,), narrows=typed.narrows)


def _only_entry(content: Any) -> tuple[str, Any]:
    """Return name and content of an object with one entry; an empty name for anything else."""
    if not isinstance(content, Mapping) or len(content) != 1:
        return "", None
    ((name, inner),) = content.items()
    return str(name), inner


def _searched_fields(kind: str, options: Any) -> Sequence[str]:
    if not isinstance(options, Mapping):
        return ()
    named = options.get("fields") or ()
    if not named and kind == "query_string" and options.get("default_field") not in {None, "*"}:
        named = [options["default_field"]]
    return [str(name).partition("^")[0] for name in named]


def _are_searched(searched: Sequence[str], *, kind: str, fields: Fields) -> bool:
    """Say whether a query looks into text: at least one of its fields does."""
    if not searched:
        return kind in {"multi_match", *_TYPED} and fields.count > 0
    return any(name in fields.text for name in searched) and not any("*" in n for n in searched)


def _why_not_searched(searched: Sequence[str], *, kind: str) -> str:
    if not searched:
        return f"{kind} without fields searches what the index names by default"
    if any("*" in name for name in searched):
        return f"{kind} names fields by a pattern"
    return f"{kind} looks into no field of type text: {', '.join(searched)}"


def _typed(kind: str, options: Mapping[str, Any]) -> TypedQuery | Unread:
    """Read what was typed, and whether the options ask for more than some of the words."""
    text = options.get("query")
    if not isinstance(text, str) or not text.strip():
        return Unread(f"{kind} holds no text")
    kind_of_match = str(options.get("type", "best_fields")).lower()
    rules = (
        (options.keys() <= _OPTIONS, f"an option that is not known: {_others(options, _OPTIONS)}"),
        (str(options.get("zero_terms_query", "none")).lower() == "none", "zero_terms_query"),
        (options.get("flags") in _ALL_FLAGS, "flags"),
        (options.get("escape", False) is False, "escape"),
        (kind_of_match in {*_WORD_TYPES, "phrase"}, f"type {kind_of_match}"),
    )
    for holds, odd in rules:
        if not holds:
            return Unread(f"{kind} with {odd}")
    read = _TYPED.get(kind)
    typed = TypedQuery(text=text, narrows=False) if read is None else read(text)
    if typed is None:
        return Unread(f"{kind} uses more syntax than words, phrases, + and -")
    operator = options.get("operator", options.get("default_operator", "or"))
    narrows = (
        typed.narrows
        or kind == "match_phrase"
        or kind_of_match == "phrase"
        or str(operator).lower() != "or"
        or options.get("minimum_should_match") is not None
    )
    return TypedQuery(text=typed.text, narrows=narrows)


def _others(names: Mapping[str, Any], known: Collection[str]) -> str:
    return ", ".join(sorted(str(name) for name in names if name not in known))


def _read_bool(content: Any, *, fields: Fields) -> TextQuery | Unread:
    if not isinstance(content, Mapping):
        return Unread("bool holds no clauses")
    if not content.keys() <= _BOOL_OPTIONS:
        return Unread(f"bool with {_others(content, _BOOL_OPTIONS)}")
    must, should, filters, must_not = (_as_list(content.get(name)) for name in _BOOL_LISTS)
    searched = [read_or_say_why(query, fields=fields) for query in must]
    inner = [found for found in searched if isinstance(found, TextQuery)]
    unread = [found for found in searched if isinstance(found, Unread)]
    conditions = [q for q, found in zip(must, searched, strict=True) if isinstance(found, Unread)]
    for query in (*filters, *must_not, *should, *conditions):
        if odd := _odd_condition(query):
            return Unread(f"{odd} among the clauses of a bool")
    # Inputs that all have to be met: a document of another leg would meet one of them at best.
    narrows = len(inner) > 1 or any(found.narrows for found in inner)
    least = content.get("minimum_should_match")
    if inner:
        narrows = narrows or _at_least(least) > 0
        texts = [text for found in inner for text in found.texts]
    else:
        alternatives = [read_or_say_why(query, fields=fields) for query in should]
        unread += [found for found in alternatives if isinstance(found, Unread)]
        read = [found for found in alternatives if isinstance(found, TextQuery)]
        texts = [text for found in read for text in found.texts]
        optional = bool(must or filters) and _at_least(least) == 0
        free = [found for found in read if not (found.narrows or found.required or found.excluded)]
        narrows = not optional and (not free or _at_least(least) > 1)
    if not texts:
        return _without_text(unread)
    return TextQuery(
        texts=tuple(texts),
        narrows=narrows,
        required=(*filters, *conditions, *(query for found in inner for query in found.required)),
        excluded=(*must_not, *(query for found in inner for query in found.excluded)),
    )


def _without_text(unread: Sequence[Unread]) -> Unread:
    """Say why no clause of a bool is a text query; the one that comes closest says most."""
    close = [one for one in unread if not one.reason.endswith("is no text search")]
    return close[0] if close else Unread("a bool without a text query")


def _as_list(queries: Any) -> list[Any]:
    if queries is None:
        return []
    return list(queries) if isinstance(queries, list | tuple) else [queries]


def _at_least(minimum_should_match: Any) -> int:
    """Return how many alternatives are asked for; a rule that is no number counts as many."""
    if minimum_should_match is None:
        return 0
    text = str(minimum_should_match).strip()
    return int(text) if text.isdecimal() else 2


def is_condition(query: Any) -> bool:
    """Say whether a query may stand where nothing is searched for: in a filter, say.

    Example:
        >>> is_condition({"bool": {"must_not": [{"exists": {"field": "deleted"}}]}})
        True
        >>> is_condition({"script": {"script": "doc['a'].value > 1"}})
        False
    """
    return not _odd_condition(query)


def _odd_condition(query: Any) -> str:
    """Return what keeps a query from being a condition; empty where nothing does."""
    kind, content = _only_entry(query)
    odd = f"a {kind} query" if kind else "something that is no query"
    if kind not in {"bool", "constant_score", "nested"}:
        return "" if kind in _CONDITIONS else odd
    if not isinstance(content, Mapping):
        return odd
    if kind == "bool":
        if not content.keys() <= _BOOL_OPTIONS:
            return f"bool with {_others(content, _BOOL_OPTIONS)}"
        inner = [q for name in _BOOL_LISTS for q in _as_list(content.get(name))]
        return next(filter(None, map(_odd_condition, inner)), "")
    if kind == "constant_score":
        return _odd_condition(content.get("filter"))
    # What is inside is the client's to see (inner hits), and would be collected once a leg.
    return (
        "nested with inner_hits"
        if "inner_hits" in content
        else _odd_condition(content.get("query"))
    )


def clause_count(query: Any, *, fields: Fields) -> int:
    """Estimate how many clauses a query has for the engine, which refuses too many.

    A word counts once a field, a word that may be misspelt as often as it can be completed.

    Example:
        >>> clause_count({"multi_match": {"query": "red fox", "fields": ["a", "b"]}},
        ...              fields=Fields(text={"a", "b"}))
        4
    """
    kind, content = _only_entry(query)
    if kind == "bool" and isinstance(content, Mapping):
        inner = [q for name in _BOOL_LISTS for q in _as_list(content.get(name))]
        return sum(clause_count(q, fields=fields) for q in inner)
    if kind in {"constant_score", "nested"} and isinstance(content, Mapping):
        return clause_count(content.get("filter") or content.get("query"), fields=fields)
    if kind in {"match", "match_phrase", "match_phrase_prefix", "match_bool_prefix"}:
        _, options = _only_entry(content)
        return _word_clauses({"query": options} if isinstance(options, str) else options, fields=1)
    if kind in {"multi_match", *_TYPED}:
        searched = _searched_fields(kind, content)
        wide = not searched or any("*" in name for name in searched)
        return _word_clauses(content, fields=fields.count if wide else len(searched))
    return _EXPANSIONS if kind == "fuzzy" else 1


def _word_clauses(options: Any, *, fields: int) -> int:
    if not isinstance(options, Mapping):
        return 1
    words = max(len(_WORDS.findall(str(options.get("query", "")))), 1)
    # Only a mark in the text makes a query string's word misspelt, and such texts are not read.
    spread = "fuzziness" in options and "max_determinized_states" not in options
    most = options.get("max_expansions", _EXPANSIONS)
    return words * max(fields, 1) * (int(most) if spread else 1)
