"""The searches that source and target are compared on, as a user wrote them into a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.engine.queries import multi_match

_KEPT = ("query", "post_filter", "min_score", "sort")
"""What decides which documents come in which order; the rest of a body is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeQuery:
    """One search.

    Attributes:
        query_id: what judgments call it; its line's number where the file does not say.
        body: what is sent, less the page and what is shown of the hits.
    """

    query_id: str
    body: dict[str, Any]


def read_queries(path: Path, *, text_fields: Sequence[str]) -> list[ProbeQuery]:
    """Read a file with one search a line: a search body, an object with a text, or a plain text.

    ``{"query": {"match": {…}}}`` is a body as clients send it. ``{"_id": "7", "text": "heat"}``,
    ``{"query": "heat"}`` and ``heat`` are texts: they are searched in the text fields, the best
    field wins. An object may name its query by ``_id``, ``id`` or ``query_id``.

    Args:
        path: the file, plain or .gz; empty lines are passed over.
        text_fields: where a plain text is searched.

    Raises:
        InputError: the file cannot be read, a line is neither, or there is none.
    """
    queries: list[ProbeQuery] = []
    known: set[str] = set()
    for number, text in numbered_lines(path):
        if not text.strip():
            continue
        place = f"{path}:{number}"
        query = _query(text.strip(), place=place, number=number, text_fields=text_fields)
        if query.query_id in known:
            raise InputError(f"{place}: another query is called {query.query_id!r}: rename one")
        known.add(query.query_id)
        queries.append(query)
    if not queries:
        raise InputError(f"{path} has no queries: one a line, as text or as a search body")
    return queries


def _query(text: str, *, place: str, number: int, text_fields: Sequence[str]) -> ProbeQuery:
    if not text.startswith("{"):
        return ProbeQuery(query_id=str(number), body={"query": _in(text_fields, text)})
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{place}: not valid JSON ({error}): one search body a line") from error
    given = [str(found[name]) for name in ("_id", "id", "query_id") if name in found]
    query_id = given[0] if given else str(number)
    asked = found.get("query", found.get("text"))
    if isinstance(asked, str) and asked.strip():
        return ProbeQuery(query_id=query_id, body={"query": _in(text_fields, asked)})
    if not isinstance(asked, dict):
        raise InputError(f"{place}: neither a text nor a search body with a query")
    return ProbeQuery(query_id=query_id, body={k: found[k] for k in _KEPT if k in found})


def _in(text_fields: Sequence[str], text: str) -> dict[str, Any]:
    return multi_match(text, fields=text_fields)
