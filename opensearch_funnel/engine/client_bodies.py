"""A search body as a client writes it, in the words in which the engine hands it on.

The search pipeline gets every body as the engine writes it down again: one spelling for what
clients spell in several ways. Here is as much of that as decides about an upgrade
(``allow_list``); the engine adds every default to a query on top.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Body = dict[str, Any]

_BOOL_LISTS = ("must", "should", "filter", "must_not")
# The engine writes it into every one, and by it the count of clauses tells one from a match.
_IN_QUERY_STRINGS = {"max_determinized_states": 10_000}
_MOST_HITS = 2**31 - 1
_NO_TOTAL = -1
# The engine writes these only where they ask for something.
_OFF: dict[str, Any] = {
    "profile": False,
    "track_scores": False,
    "include_named_queries_score": False,
    "terminate_after": 0,
    "indices_boost": [],
}


def as_handed_on(body: Mapping[str, Any]) -> Body:
    """Return a client's body as the pipeline would get it.

    Example:
        >>> as_handed_on({"query": {"match": {"text": "fox"}}, "size": "5", "sort": "_score",
        ...               "aggs": {}, "profile": False})
        {'query': {'match': {'text': 'fox'}}, 'size': 5, 'sort': ['_score'], 'aggregations': {}}
    """
    named = {("aggregations" if name == "aggs" else name): value for name, value in body.items()}
    return {
        name: _value(name, value)
        for name, value in named.items()
        if value is not None and not (name in _OFF and value == _OFF[name])
    }


def _value(name: str, value: Any) -> Any:
    spelled = _SPELLINGS.get(name)
    return value if spelled is None else spelled(value)


def _sort(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


def _fields(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [{"field": field} if isinstance(field, str) else field for field in value]


def _source(value: Any) -> Any:
    if not isinstance(value, str | list):
        return value
    return {"includes": [value] if isinstance(value, str) else value, "excludes": []}


def _totals(value: Any) -> Any:
    if not isinstance(value, bool):
        return value
    return _MOST_HITS if value else _NO_TOTAL


def _whole(value: Any) -> Any:
    """Return a number as the engine reads it: it takes ``"10"`` and 10.0 for 10."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _query(query: Any) -> Any:
    if not isinstance(query, Mapping) or len(query) != 1:
        return query
    ((kind, content),) = query.items()
    if not isinstance(content, Mapping):
        return query
    if kind == "bool":
        return {"bool": {name: _clauses(name, inner) for name, inner in content.items()}}
    if kind == "multi_match" and isinstance(content.get("fields"), str):
        return {kind: {**content, "fields": [content["fields"]]}}
    if kind == "query_string":
        return {kind: {**content, **_IN_QUERY_STRINGS, **content}}
    return query


def _clauses(name: str, clauses: Any) -> Any:
    if name not in _BOOL_LISTS:
        return clauses
    if isinstance(clauses, Sequence) and not isinstance(clauses, str):
        return [_query(query) for query in clauses]
    return _query(clauses)


_SPELLINGS: dict[str, Callable[[Any], Any]] = {
    "size": _whole,
    "from": _whole,
    "sort": _sort,
    "fields": _fields,
    "docvalue_fields": _fields,
    "_source": _source,
    "track_total_hits": _totals,
    "query": _query,
    "post_filter": _query,
}
