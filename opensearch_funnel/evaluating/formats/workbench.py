"""Judgments of OpenSearch's Search Relevance Workbench: what its API imports and gives back.

A query is named by its text, and a rating is a text such as ``"3.000"``, whose decimals are kept.
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import orjson

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.document import kind_of
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.evaluating.formats.findings import Findings, Kind
from opensearch_funnel.evaluating.formats.grades import with_places
from opensearch_funnel.evaluating.formats.model import (
    Collected,
    Judgments,
    ReadJudgments,
    made_id,
)

MOST_NAME = 50
"""The Workbench refuses a longer name."""
_TYPE = "IMPORT_JUDGMENT"
_KEPT = frozenset({"name", "description", "type", "judgmentRatings"})


def read_workbench(path: Path) -> ReadJudgments:
    """Read judgments: the body of an import, or the answer to ``GET …/judgments/<id>``.

    Raises:
        InputError: the file is missing, is not JSON or has another shape, said by its place in it.
    """
    body = source_of(read_json(path), path=path)
    collected = Collected(Findings())
    tell_others(body, kept=_KEPT, findings=collected.findings)
    if body.get("type", _TYPE) != _TYPE:
        collected.findings.add(Kind.NOT_KEPT, f"type {body['type']!r}")
    for place, entry in enumerate(_list(body, "judgmentRatings", at=f"{path}"), start=1):
        at = f"{path}: judgmentRatings[{place - 1}]"
        if not isinstance(entry, dict) or not isinstance(text := entry.get("query"), str):
            raise InputError(f"{at}: expected query and ratings")
        tell_others(entry, kept={"query", "ratings"}, findings=collected.findings)
        query_id = made_id(text)
        if query_id in collected:
            collected.findings.add(Kind.REPEATED_QUERY, f"query {text!r}")
        collected.query(query_id, text)
        for rating in _list(entry, "ratings", at=at):
            _judge(rating, query_id=query_id, at=at, collected=collected)
    return collected.read(
        made_ids=True, name=_said(body, "name"), description=_said(body, "description")
    )


def workbench_files(judgments: Judgments, path: Path) -> dict[Path, str]:
    """Return the body that ``PUT _plugins/_search_relevance/judgments`` takes.

    Raises:
        InputError: a query has no text.
    """
    ratings = [
        {
            "query": checked_text(query.text, query_id=query.query_id),
            "ratings": [
                {"docId": doc_id, "rating": with_places(grade)}
                for doc_id, grade in query.grades.items()
            ],
        }
        for query in judgments.queries
    ]
    body = {**titles(judgments, path), "type": _TYPE, "judgmentRatings": ratings}
    return {path: orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n"}


def tell_others(body: dict[str, Any], *, kept: Container[str], findings: Findings) -> None:
    """Tell fields of a body that are not kept."""
    for name in body:
        if name not in kept:
            findings.add(Kind.NOT_KEPT, f"field {name!r}")


def titles(judgments: Judgments, path: Path) -> dict[str, str]:
    """Return name and description, which the Workbench asks for."""
    return {
        "name": judgments.name or path.name.partition(".")[0][:MOST_NAME],
        "description": judgments.description or "Written by funnel judgments",
    }


def checked_text(text: str | None, *, query_id: str) -> str:
    """Return the text of a query.

    Raises:
        InputError: there is none.
    """
    if text is None:
        raise InputError(
            f"query {query_id!r} has no text, which the Workbench knows queries by: name the "
            "file with the texts (--queries)"
        )
    return text


def read_json(path: Path) -> Any:
    """Read one JSON value out of a file, plain or ``.gz``.

    Raises:
        InputError: the file cannot be read or is not JSON, by file and line.
    """
    text = "\n".join(line for _, line in numbered_lines(path))
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise InputError(
            f"{path}:{error.lineno}: not valid JSON: {error.msg} at column {error.colno}"
        ) from error


def source_of(body: Any, *, path: Path) -> dict[str, Any]:
    """Take what was imported out of an answer of the API, which wraps it as a hit.

    Raises:
        InputError: it is no object, or several of them.
    """
    if isinstance(body, dict) and isinstance(body.get("hits"), dict):
        hits = body["hits"].get("hits")
        if not isinstance(hits, list) or len(hits) != 1 or not isinstance(hits[0], dict):
            raise InputError(
                f"{path}: expected an answer with one list in it: ask for it by its id"
            )
        body = hits[0].get("_source")
    if not isinstance(body, dict):
        raise InputError(f"{path}: expected a JSON object, found {kind_of(body)}")
    return body


def _judge(rating: Any, *, query_id: str, at: str, collected: Collected) -> None:
    doc_id = rating.get("docId") if isinstance(rating, dict) else None
    if not isinstance(doc_id, str) or not doc_id:
        raise InputError(f"{at}: a rating without a docId: {rating!r:.60}")
    tell_others(rating, kept={"docId", "rating"}, findings=collected.findings)
    given = rating.get("rating")
    if given is None:
        collected.findings.add(Kind.UNRATED, f"document {doc_id!r} at {at}")
        return
    if isinstance(given, str):
        collected.findings.add(Kind.TEXT_GRADE, f"{given!r} for document {doc_id!r}")
    collected.judge(query_id, doc_id, str(given))


def _list(body: dict[str, Any], name: str, *, at: str) -> list[Any]:
    value = body.get(name)
    if not isinstance(value, list):
        raise InputError(f"{at}: expected a list {name!r}, found {kind_of(value)}")
    return value


def _said(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) else ""
