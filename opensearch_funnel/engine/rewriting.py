"""What a search request becomes: the allow-list of what is upgraded, and the upgraded body.

The default pipeline of an index runs on **every** request to it, also on the searches inside
``_delete_by_query``, ``_update_by_query`` and ``_reindex``, where a wider query destroys data.
So only a request that is surely a search for a person is upgraded, and a request with anything
that is not on the list passes through as it came.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opensearch_funnel.core.plan import FunnelPlan, LegName
from opensearch_funnel.engine.queries import Body, hybrid

KEY_FIELDS = ("funnel.id", "funnel.hash")
"""What ``rank`` gets of each hit, glued together by the engine: the hash has a fixed length."""

MARK = "_funnel"
DEFAULT_SIZE = 10

_HARMLESS_KEYS = frozenset(
    {
        "query",
        "from",
        "size",
        "timeout",
        "_source",
        "fields",
        "docvalue_fields",
        "highlight",
        "track_total_hits",
        "include_named_queries_score",
    }
)
# What the engine writes out for every match, and what only weighs: not minimum_should_match,
# fuzziness or an analyzer of the client's, which say which documents may match.
_PLAIN_OPTIONS = frozenset(
    {
        "query",
        "fields",
        "type",
        "operator",
        "tie_breaker",
        "boost",
        "slop",
        "prefix_length",
        "max_expansions",
        "fuzzy_transpositions",
        "lenient",
        "zero_terms_query",
        "auto_generate_synonyms_phrase_query",
        "_name",
    }
)
_WORD_TYPES = frozenset({"best_fields", "most_fields", "cross_fields"})
_DEFAULT_TOTALS = 10_000

MAX_CLAUSES = 900
"""Clauses of all legs together: the engine fails the whole search at 1,024."""
_WORDS = re.compile(r"[0-9A-Za-z]+|[^\x00-\x7f]")


@dataclass(frozen=True, slots=True)
class TextSearch:
    """A request that may be upgraded.

    Attributes:
        text: what the user typed.
        query: the client's own query; it becomes the lexical leg.
        size: how many hits the client wants.
    """

    text: str
    query: Mapping[str, Any]
    size: int


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
    size = body.get("size", DEFAULT_SIZE)
    if (
        not body.keys() <= _HARMLESS_KEYS
        or body.get("from", 0) != 0
        or not isinstance(size, int)
        or not 0 < size <= plan.depth
        or _counts_exactly(body.get("track_total_hits"))
    ):
        return None
    query = body.get("query")
    read = _read_query(query)
    if read is None or not isinstance(query, Mapping):
        return None
    text, fields = read
    clauses = len(_WORDS.findall(text)) * len(fields) + plan.sparse.query_terms
    if not text.strip() or not fields <= set(plan.searched_fields) or clauses > MAX_CLAUSES:
        return None
    return TextSearch(text=text, query=query, size=size)


def _read_query(query: Any) -> tuple[str, set[str]] | None:
    """Return what was typed in a plain text query and the fields it is searched in.

    ``None`` for any other query, and for one that narrows: every word required, a phrase, a
    misspelling allowed. The other legs would not keep to that.
    """
    if not isinstance(query, Mapping) or len(query) != 1:
        return None
    ((kind, content),) = query.items()
    if not isinstance(content, Mapping):
        return None
    if kind == "match" and len(content) == 1:
        ((field, options),) = content.items()
        fields = {str(field)}
        options = {"query": options} if isinstance(options, str) else options
    elif kind == "multi_match":
        fields = {str(name).partition("^")[0] for name in content.get("fields") or ()}
        options = content
    else:
        return None
    if not isinstance(options, Mapping) or not fields or _narrows(options):
        return None
    text = options.get("query")
    return (text, fields) if isinstance(text, str) else None


def _narrows(options: Mapping[str, Any]) -> bool:
    """Say whether the options of a text query are more than its words and weights."""
    return (
        not options.keys() <= _PLAIN_OPTIONS
        or str(options.get("operator", "or")).lower() != "or"
        or str(options.get("type", "best_fields")).lower() not in _WORD_TYPES
        or str(options.get("zero_terms_query", "none")).lower() != "none"
    )


def _counts_exactly(track_total_hits: Any) -> bool:
    """Say whether a client wants totals that only its own query has, or none at all."""
    if track_total_hits is None:
        return False
    if isinstance(track_total_hits, bool) or not isinstance(track_total_hits, int):
        return True
    # The engine writes true as the largest int, and false as -1.
    return not 0 < track_total_hits <= _DEFAULT_TOTALS


def upgraded_body(
    body: Mapping[str, Any],
    search: TextSearch,
    *,
    plan: FunnelPlan,
    legs: Mapping[LegName, Body],
) -> Body:
    """Return the hybrid request that stands in for a text search.

    Everything the client asked to see stays; the funnel's own fields are kept out of what it
    gets back.

    Args:
        body: the client's request.
        search: what was read from it.
        plan: the plan that upgrades it.
        legs: the query of each leg.
    """
    rerank = plan.rerank.enabled
    upgraded: Body = {
        **body,
        "query": hybrid(legs, depth=plan.depth),
        "_source": without_funnel_fields(body.get("_source")),
        "from": 0,
        "size": min(max(search.size, plan.rerank.depth if rerank else 0), plan.depth),
    }
    if rerank:
        asked = list(body.get("docvalue_fields") or [])
        upgraded["docvalue_fields"] = [*asked, *({"field": field} for field in KEY_FIELDS)]
        upgraded["ext"] = {
            "rerank": {
                "query_context": {"query_text": rank_context(plan.plan_id, text=search.text)}
            }
        }
    if plan.trace != "off":
        upgraded["aggregations"] = {MARK: mark(plan.plan_id, rank=rerank)}
    return upgraded


def without_funnel_fields(source: Any) -> Any:
    """Add the funnel's fields to what ``_source`` leaves out, unless the client asked for them.

    Example:
        >>> without_funnel_fields(None)
        {'excludes': ['funnel']}
        >>> without_funnel_fields(False)
        False
        >>> without_funnel_fields({"includes": ["funnel.id"], "excludes": []})
        {'includes': ['funnel.id'], 'excludes': []}
    """
    if source is False:
        return False
    if isinstance(source, str):
        source = [source]
    if isinstance(source, Sequence):
        source = {"includes": list(source), "excludes": []}
    if not isinstance(source, Mapping):
        return {"excludes": ["funnel"]}
    includes = list(source.get("includes") or [])
    if any(str(name).split(".", 1)[0] == "funnel" for name in includes):
        return dict(source)
    return {**source, "excludes": [*(source.get("excludes") or []), "funnel"]}


def rank_context(plan_id: str, *, text: str) -> str:
    """Return what travels to ``rank`` with the hits: one JSON object, as text.

    The query is base64: the engine would fill in anything in it that looks like one of its
    placeholders, and fail where it cannot.

    Example:
        >>> rank_context("films.0a", text="${parameters.x}")
        '{"plan": "films.0a", "q": "JHtwYXJhbWV0ZXJzLnh9"}'
    """
    encoded = base64.b64encode(text.encode("utf-8", "surrogatepass")).decode()
    return json.dumps({"plan": plan_id, "q": encoded})


def read_rank_context(context: Mapping[str, Any]) -> str:
    """Return the query text of a rank context.

    Example:
        >>> read_rank_context({"plan": "films.0a", "q": "Zm94"})
        'fox'
    """
    return base64.b64decode(str(context["q"]), validate=True).decode("utf-8", "surrogatepass")


def mark(plan_id: str, *, rank: bool) -> Body:
    """Return the aggregation that says what an answer should have gone through.

    Its ``meta`` comes back with the answer, at the cost of an empty filter: absent, the
    rewrite did not happen.
    """
    return {"filter": {"match_none": {}}, "meta": {"plan": plan_id, "rank": rank}}
