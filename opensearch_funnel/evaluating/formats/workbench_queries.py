"""Query sets of the Search Relevance Workbench: ndjson, or the body of its API; no judgments.

``{"queryText": "red dress", "referenceAnswer": "a dress, red"}``: everything beside the text is a
field of the query, as text.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.objects import read_objects
from opensearch_funnel.evaluating.formats.findings import Findings, Kind
from opensearch_funnel.evaluating.formats.model import (
    Collected,
    JudgedQuery,
    Judgments,
    ReadJudgments,
    made_id,
)
from opensearch_funnel.evaluating.formats.workbench import (
    checked_text,
    read_json,
    source_of,
    tell_others,
    titles,
)

_REFUSED = '"\\<>\n\r'
"""What the plugin refuses in the value of a query set."""
_MOST_CHARACTERS = 2000
_LIST = "querySetQueries"
_SAMPLING = "manual"
_KEPT = frozenset({"name", "description", "sampling", _LIST})


def read_workbench_queries(path: Path) -> ReadJudgments:
    """Read a query set.

    Raises:
        InputError: the file is missing, is not JSON or has another shape.
    """
    collected = Collected(Findings())
    body: dict[str, Any] = {}
    if is_ndjson(path):
        entries = list(read_objects(path))
    else:
        body = source_of(read_json(path), path=path)
        entries = list(enumerate(_entries(body, path=path), start=1))
        tell_others(body, kept=_KEPT, findings=collected.findings)
        if body.get("sampling", _SAMPLING) != _SAMPLING:
            collected.findings.add(Kind.NOT_KEPT, f"sampling {body['sampling']!r}")
    for number, entry in entries:
        text = entry.get("queryText") if isinstance(entry, dict) else None
        if not isinstance(text, str):
            raise InputError(f"{path}: query {number}: expected an object with queryText")
        query_id = made_id(text)
        if query_id in collected:
            collected.findings.add(Kind.REPEATED_QUERY, f"query {text!r}", line=number)
        fields = {n: v for n, v in entry.items() if n != "queryText" and v is not None}
        collected.query(query_id, text, fields=fields)
    return collected.read(
        made_ids=True, name=str(body.get("name", "")), description=str(body.get("description", ""))
    )


def workbench_queries_files(judgments: Judgments, path: Path) -> dict[Path, str]:
    """Return a query set: ndjson, or for ``.json`` the body of an import.

    Raises:
        InputError: a query has no text, or one that the Workbench refuses.
    """
    entries = [_entry(query) for query in judgments.queries]
    if is_ndjson(path):
        return {path: "".join(orjson.dumps(entry).decode() + "\n" for entry in entries)}
    body = {**titles(judgments, path), "sampling": _SAMPLING, _LIST: entries}
    return {path: orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n"}


def is_ndjson(path: Path) -> bool:
    """Say whether a query set is one object a line, by its name."""
    return path.name.removesuffix(".gz").endswith((".ndjson", ".jsonl", ".txt"))


def _entry(query: JudgedQuery) -> dict[str, str]:
    text = checked_text(query.text, query_id=query.query_id)
    fields = {
        name: value if isinstance(value, str) else orjson.dumps(value).decode()
        for name, value in query.fields.items()
    }
    if "queryText" in fields:
        raise InputError(f"query {text!r:.80} has a field 'queryText', whose name is taken")
    for value in (text, *fields.values()):
        length = len(value.encode("utf-16-le")) // 2
        if length > _MOST_CHARACTERS or any(mark in value for mark in _REFUSED):
            raise InputError(
                f"query {text!r:.80}: the Workbench refuses quotes, backslashes, angle brackets, "
                f"line ends and more than {_MOST_CHARACTERS} characters in a query set: change or "
                "remove the query"
            )
    return {"queryText": text, **fields}


def _entries(body: dict[str, Any], *, path: Path) -> list[Any]:
    entries = body.get(_LIST)
    if not isinstance(entries, list):
        raise InputError(f"{path}: expected a list {_LIST!r}")
    return entries
