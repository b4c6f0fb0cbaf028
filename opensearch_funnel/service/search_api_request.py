"""A search as a person asks for it, and the plain body that stands for it in the engine.

The body is the one that any client without a funnel would send. Filters are written as field and
value, not in the engine's own query language: that one can read other indices (a ``terms``
look-up) and run scripts, and whoever may ask the service may not therefore do all that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.queries import Body, multi_match

SystemName = Literal["bm25", "funnel"]

MAX_QUERY_LENGTH = 2000
"""Characters; longer texts than people type would only fill the engine's clauses."""
MAX_SIZE = 200
MAX_WINDOW = 10_000
"""``from`` and ``size`` together: what the engine itself allows."""
_RANGE_WORDS = frozenset({"gt", "gte", "lt", "lte"})
_FRAGMENT_LENGTH, _FRAGMENTS = 220, 2

Scalar = str | int | float | bool
FilterValue = Scalar | Sequence[Scalar] | Mapping[str, Scalar]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchRequest:
    """A plain text search.

    Attributes:
        index: an index or alias.
        text: what is searched.
        fields: the fields it is searched in, each with a boost if wanted (``title^2``).
        size: how many hits.
        start: how many hits to leave out before.
        filters: field to the value, the values or the range that it has to have.
        source: the fields to return; by default those that are searched.
        highlight: whether the words that matched are marked in the fields.

    Example:
        >>> asked = SearchRequest(index="films", text="heat", fields=("title^2", "text"),
        ...                       filters={"year": {"gte": 1990}})
        >>> asked.query["bool"]["filter"]
        [{'range': {'year': {'gte': 1990}}}]
        >>> asked.returned_fields
        ('title', 'text')
    """

    index: str
    text: str
    fields: tuple[str, ...] = ("title", "text")
    size: int = 10
    start: int = 0
    filters: Mapping[str, FilterValue] = field(default_factory=dict)
    source: tuple[str, ...] | None = None
    highlight: bool = False

    def __post_init__(self) -> None:
        rules = (
            (bool(self.text.strip()), "the query is empty"),
            (
                len(self.text) <= MAX_QUERY_LENGTH,
                f"the query is longer than {MAX_QUERY_LENGTH} characters",
            ),
            (bool(self.fields) and all(self.fields), "fields names no field"),
            (1 <= self.size <= MAX_SIZE, f"size must be from 1 to {MAX_SIZE}"),
            (self.start >= 0, "from must not be negative"),
            (
                self.start + self.size <= MAX_WINDOW,
                f"from and size must not be more than {MAX_WINDOW} together",
            ),
        )
        for holds, message in rules:
            if not holds:
                raise InputError(message)
        for name, value in self.filters.items():
            filter_query(name, value)

    @property
    def lexical(self) -> Body:
        """The text query alone, without the filters."""
        return multi_match(self.text, fields=self.fields)

    @property
    def filter_queries(self) -> list[Body]:
        """The filters, as the engine's queries."""
        return [filter_query(name, value) for name, value in self.filters.items()]

    @property
    def query(self) -> Body:
        """The query as a client sends it."""
        if not self.filters:
            return self.lexical
        return {"bool": {"must": [self.lexical], "filter": self.filter_queries}}

    @property
    def returned_fields(self) -> tuple[str, ...]:
        """The fields that come back with each hit."""
        if self.source is not None:
            return self.source
        return tuple(dict.fromkeys(name.partition("^")[0] for name in self.fields))

    @property
    def body(self) -> Body:
        """The whole body as a client sends it."""
        body: Body = {
            "query": self.query,
            "from": self.start,
            "size": self.size,
            "_source": {"includes": list(self.returned_fields), "excludes": ["funnel"]},
        }
        if self.start == 0:
            del body["from"]
        if self.highlight:
            body["highlight"] = {
                "fields": {name: {} for name in self.returned_fields},
                "fragment_size": _FRAGMENT_LENGTH,
                "number_of_fragments": _FRAGMENTS,
            }
        return body


def filter_query(name: str, value: FilterValue) -> Body:
    """Return the query of one filter.

    Args:
        name: a field whose values are whole: a keyword, number, date or boolean.
        value: what it has to be: one value, any of several, or a range.

    Raises:
        InputError: the value is none of these.

    Example:
        >>> filter_query("genre", ["crime", "drama"])
        {'terms': {'genre': ['crime', 'drama']}}
        >>> filter_query("year", 1995)
        {'term': {'year': {'value': 1995}}}
        >>> filter_query("id", {"index": "other", "path": "x"})
        Traceback (most recent call last):
        ...
        opensearch_funnel.core.errors.InputError: filter id: a range has gt, gte, lt or lte, not \
index, path
    """
    if not name:
        raise InputError("a filter has no field")
    if isinstance(value, str | int | float | bool):
        return {"term": {name: {"value": value}}}
    if isinstance(value, Mapping):
        unknown = sorted(value.keys() - _RANGE_WORDS)
        if unknown or not value:
            raise InputError(
                f"filter {name}: a range has gt, gte, lt or lte, not {', '.join(unknown) or '{}'}"
            )
        _check_scalars(name, list(value.values()))
        return {"range": {name: dict(value)}}
    if isinstance(value, Sequence) and value:
        _check_scalars(name, value)
        return {"terms": {name: list(value)}}
    raise InputError(f"filter {name}: give a value, a list of values or a range")


def _check_scalars(name: str, values: Sequence[Any]) -> None:
    if not all(isinstance(value, str | int | float | bool) for value in values):
        raise InputError(f"filter {name}: values must be texts, numbers, true or false")
