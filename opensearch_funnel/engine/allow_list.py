"""Which requests are upgraded: the allow-list.

The default pipeline of an index runs on **every** request to it, also on the searches inside
``_delete_by_query``, ``_update_by_query`` and ``_reindex``, where a wider query destroys data.
So only a request that is surely a search for a person is upgraded, and a request with anything
that is not on the list passes through as it came. ``docs/pipeline.md`` has the list as a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.counting import only_count
from opensearch_funnel.engine.text_queries import (
    Body,
    Fields,
    TextQuery,
    Unread,
    clause_count,
    read_or_say_why,
)

DEFAULT_SIZE = 10
MARK = "_funnel"
STATIC = "static"
"""What the mark says of the fusion, where it was to be of one query and is that of all."""
MAX_CLAUSES = 900
"""Clauses of everything together: the engine fails the whole search at 1,024."""
PINNED_CLAUSES = 16
"""What naming the hits of a page takes (``paging``)."""
MAX_DOCVALUE_FIELDS = 90
"""The engine refuses more than 100, the funnel's own included."""

# Everything else is untouched: a sort, a cursor (search_after, pit, slice), a second opinion
# (rescore, collapse, min_score), a look inside (explain, profile, version, seq_no_primary_term:
# the searches of by-query jobs and inside collapse carry those), suggest, script_fields, ext, …
_KEYS = frozenset(
    {
        "query",
        "from",
        "size",
        "timeout",
        "_source",
        "fields",
        "docvalue_fields",
        "highlight",
        "aggregations",
        "post_filter",
        "track_total_hits",
        "include_named_queries_score",
        "search_pipeline",
        "sort",
        "explain",
    }
)
_DEFAULT_TOTALS = 10_000
_BY_SCORE: tuple[Any, ...] = ("_score", {"_score": {"order": "desc"}}, {"_score": "desc"})


@dataclass(frozen=True, slots=True)
class TextSearch:
    """A request that may be upgraded.

    Attributes:
        text: what the user typed.
        query: the client's own query; it becomes the lexical leg.
        size: how many hits the client wants.
        start: how many hits of the pages before it leaves out.
        same_set: whether only documents that the client's query finds may come.
        filter: what holds for every leg; ``None`` for nothing.
    """

    text: str
    query: Mapping[str, Any]
    size: int
    start: int = 0
    same_set: bool = False
    filter: Body | None = None


def read_text_search(body: Mapping[str, Any], *, plan: FunnelPlan) -> TextSearch | None:
    """Read a search body as a search for a person, or say that it is none.

    Args:
        body: the request as the pipeline hands it over: normalised by the engine.
        plan: the plan that would upgrade it; it names the fields of type ``text``, and a page
            longer than its depth is not upgraded.

    Returns:
        ``None`` for everything that must pass through as it came.

    Example:
        >>> plan = FunnelPlan(alias="films", searched_fields=("title", "text"))
        >>> read_text_search({"query": {"match": {"text": {"query": "fox"}}}}, plan=plan).text
        'fox'
        >>> look_up = {"query": {"match": {"_id": {"query": "fox"}}}}
        >>> read_text_search(look_up, plan=plan) is None
        True
        >>> by_query_job = {"query": {"match": {"text": {"query": "fox"}}}, "sort": ["_doc"]}
        >>> read_text_search(by_query_job, plan=plan) is None
        True
    """
    found = search_or_reason(body, plan=plan)
    return None if isinstance(found, str) else found


def search_or_reason(body: Mapping[str, Any], *, plan: FunnelPlan) -> TextSearch | str:
    """Read a search body as ``read_text_search`` does, or say why it passes as it came.

    Args:
        body: the request as the pipeline hands it over.
        plan: the plan that would upgrade it.

    Returns:
        The search; or one line for a person, which quotes nothing of what was typed.

    Example:
        >>> plan = FunnelPlan(alias="films", searched_fields=("text",))
        >>> search_or_reason({"query": {"match_all": {}}}, plan=plan)
        'a match_all query is no text search'
    """
    for oddity in _oddities(body, plan=plan):
        return oddity
    fields = Fields(text=frozenset(plan.searched_fields), count=plan.mapped_fields)
    found = read_or_say_why(body.get("query"), fields=fields)
    if isinstance(found, Unread):
        return found.reason
    return _fitting(body, found, plan=plan, fields=fields)


def _oddities(body: Mapping[str, Any], *, plan: FunnelPlan) -> Iterator[str]:
    """Say what besides the query no search of a person has, one after the other."""
    if others := sorted(str(name) for name in body.keys() - _KEYS):
        yield f"it asks for {', '.join(others)}"
    size, start = body.get("size", DEFAULT_SIZE), body.get("from", 0)
    if not _is_whole(size) or not _is_whole(start):
        yield "its size or from is no whole number"
    if size == 0:
        yield "it wants no hits: size 0"
    if size > plan.depth:
        yield f"it wants more hits than the plan's depth of {plan.depth}"
    if size < 0 or start < 0:
        yield "its size or from is negative"
    if any(key not in _BY_SCORE for key in body.get("sort") or ()):
        yield "it is sorted by something else than the score"
    yield from _odd_output(body)


def _odd_output(body: Mapping[str, Any]) -> Iterator[str]:
    """Say what of that is in what a client wants to see of the hits, or to know of them."""
    if MARK in (body.get("aggregations") or {}):
        yield f"it has an aggregation {MARK} of its own"
    if not only_count(body.get("aggregations") or {}):
        yield "an aggregation looks at scores, keeps hits or runs a script"
    # The engine says so for every search template; true is a look inside.
    if body.get("explain", False) is not False:
        yield "it asks for explain"
    if len(body.get("docvalue_fields") or ()) > MAX_DOCVALUE_FIELDS:
        yield f"it asks for more than {MAX_DOCVALUE_FIELDS} docvalue_fields"
    if _shows_by_pattern([*(body.get("fields") or ()), *(body.get("docvalue_fields") or ())]):
        yield "it shows fields by a pattern that takes in funnel.id"


def _fitting(
    body: Mapping[str, Any], found: TextQuery, *, plan: FunnelPlan, fields: Fields
) -> TextSearch | str:
    """Return the search of a text query, or say why the plan cannot run it."""
    query, start = body["query"], body.get("from", 0)
    same_set = found.narrows or _keeps_the_set(body, plan=plan)
    if same_set and "bm25" not in plan.active_legs:
        # Without the lexical leg the client's own hits could not all come.
        return "it needs its own hits, which a plan without the lexical leg does not find"
    holds = dict(query) if same_set else _constraint(found.required, found.excluded)
    clauses = (
        clause_count(query, fields=fields)
        + plan.sparse.query_terms
        # The engine puts the constraint into every place of the hybrid query, empty ones too.
        + len(plan.weights) * (clause_count(holds, fields=fields) if holds else 0)
        + (PINNED_CLAUSES if start > 0 or plan.fusion.by_service else 0)
    )
    if clauses > MAX_CLAUSES:
        return f"all its legs together have more than {MAX_CLAUSES} clauses"
    size = body.get("size", DEFAULT_SIZE)
    return TextSearch(found.text, query, size, start=start, same_set=same_set, filter=holds)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _shows_by_pattern(fields: Sequence[Any]) -> bool:
    """Say whether a pattern among the fields to show takes the funnel's own in with the others."""
    names = (
        str(field.get("field", "") if isinstance(field, Mapping) else field) for field in fields
    )
    return any("*" in name and fnmatchcase("funnel.id", name) for name in names)


def _keeps_the_set(body: Mapping[str, Any], *, plan: FunnelPlan) -> bool:
    """Say whether a request counts the hits of its own query, by itself or by the plan."""
    if plan.matching != "auto":
        return plan.matching == "same_set"
    return bool(body.get("aggregations")) or _counts_exactly(body.get("track_total_hits"))


def _counts_exactly(track_total_hits: Any) -> bool:
    """Say whether a client wants totals beyond what everybody gets by default.

    The engine writes true as the largest int, and false, which asks for no total, as -1.
    """
    if isinstance(track_total_hits, bool):
        return track_total_hits
    return isinstance(track_total_hits, int) and track_total_hits > _DEFAULT_TOTALS


def _constraint(
    required: tuple[Mapping[str, Any], ...], excluded: tuple[Mapping[str, Any], ...]
) -> Body | None:
    conditions = {"filter": list(required), "must_not": list(excluded)}
    given = {name: queries for name, queries in conditions.items() if queries}
    return {"bool": given} if given else None
