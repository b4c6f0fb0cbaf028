"""Quepid's CSV exports of ratings: read the basic, the snapshot and the detailed one, write basic.

Both name a query by its text alone. The basic one, which Quepid also imports, has the columns
``query,docid,rating``; a query without ratings is a row of its own. The detailed one has the
columns ``Query Text``, ``Doc ID``, ``Rating`` among others. Where a query begins with a sign that a
spreadsheet would take for a formula, Quepid puts a space before it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.delimited import valid_rows
from opensearch_funnel.documents.lines import MAX_LINE_BYTES, numbered_lines
from opensearch_funnel.evaluating.formats.findings import Findings, Kind
from opensearch_funnel.evaluating.formats.grades import plain
from opensearch_funnel.evaluating.formats.model import (
    Collected,
    Judgments,
    ReadJudgments,
    made_id,
)

_HEADER = ("query", "docid", "rating")
_NAMES = {"query": "query", "querytext": "query", "docid": "docid", "rating": "rating"}
_SIGNS = ("-", "=", "+", "@")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Columns:
    query: int
    doc_id: int
    rating: int
    detailed: bool


def is_quepid_header(line: str) -> bool:
    """Say whether a line is the header of an export.

    Example:
        >>> is_quepid_header("query,docid,rating"), is_quepid_header("id,title")
        (True, False)
    """
    return {_NAMES.get(_plain_name(name)) for name in _split(line)} >= set(_HEADER)


def read_quepid(path: Path) -> ReadJudgments:
    """Read an export.

    Raises:
        InputError: the file is missing, its header has not the three columns, or a quote is open.
    """
    rows = _rows(path)
    header = next(rows, (1, []))[1]
    columns = _columns(header, path=path)
    collected = Collected(Findings())
    for place, name in enumerate(header):
        if place not in (columns.query, columns.doc_id, columns.rating):
            collected.findings.add(Kind.NOT_KEPT, f"column {name.strip()!r}", line=1)
    for number, row in rows:
        if not any(row):
            continue
        cells = [*row, *[""] * 3]
        text = _text(cells[columns.query], columns, number=number, findings=collected.findings)
        query_id = made_id(text)
        collected.query(query_id, text)
        doc_id = _cell(row, columns.doc_id)
        given = _cell(row, columns.rating)
        if given.strip():
            collected.judge(query_id, doc_id, given, line=number)
        elif doc_id:
            example = f"document {doc_id!r} of query {text!r}"
            collected.findings.add(Kind.UNRATED, example, line=number)
    return collected.read(made_ids=True)


def quepid_files(judgments: Judgments, path: Path) -> dict[Path, str]:
    """Return the basic form, which Quepid imports.

    Raises:
        InputError: a query has no text, or one that would not be read back as it is.
    """
    written = io.StringIO(newline="")
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(_HEADER)
    for query in judgments.queries:
        text = _checked(query.text, query_id=query.query_id)
        if not query.grades:
            writer.writerow((text, "", ""))
        for doc_id, grade in query.grades.items():
            if not doc_id or "\r" in doc_id:
                raise InputError(f"id {doc_id!r} is empty or has a carriage return in it")
            writer.writerow((text, doc_id, plain(grade)))
    return {path: written.getvalue()}


def _checked(text: str | None, *, query_id: str) -> str:
    if text is None:
        raise InputError(
            f"query {query_id!r} has no text, which Quepid knows queries by: name the file with "
            "the texts (--queries)"
        )
    if "\r" in text or _spaced(text):
        raise InputError(
            f"query {text!r} has a carriage return or a space before a sign, which does not "
            "survive Quepid's CSV: change the query or choose another format"
        )
    return text


def _spaced(text: str) -> bool:
    return text.startswith(" ") and text[1:].startswith(_SIGNS)


def _text(given: str, columns: _Columns, *, number: int, findings: Findings) -> str:
    if _spaced(given):
        findings.add(Kind.SPACE_BEFORE_SIGN, repr(given), line=number)
        given = given[1:]
    # The detailed export doubles quotes also where it writes none around the text.
    return given.replace('""', '"') if columns.detailed else given


def _cell(row: Sequence[str], place: int) -> str:
    return row[place] if place < len(row) else ""


def _columns(header: Sequence[str], *, path: Path) -> _Columns:
    names = [_NAMES.get(_plain_name(name), "") for name in header]
    for wanted in _HEADER:
        if wanted not in names:
            raise InputError(
                f"{path}:1: no column for {wanted!r}; expected {','.join(_HEADER)}, or Quepid's "
                "detailed export with Query Text, Doc ID and Rating"
            )
    return _Columns(
        query=names.index("query"),
        doc_id=names.index("docid"),
        rating=names.index("rating"),
        detailed=len(header) > len(_HEADER),
    )


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = numbered_lines(path)
    header = next(lines, (1, ""))[1]
    yield 1, _split(header)
    detailed = len(_split(header)) > len(_HEADER)
    reader = csv.reader(
        (f"{text}\n" for _, text in lines),
        delimiter=_delimiter(header),
        strict=not detailed,
        skipinitialspace=detailed,
    )
    yield from valid_rows(reader, path=path, before=1)


def _split(line: str) -> list[str]:
    return next(csv.reader([line], delimiter=_delimiter(line)), [])


def _delimiter(header: str) -> str:
    return ";" if header.count(";") > header.count(",") else ","


def _plain_name(name: str) -> str:
    return "".join(mark for mark in name.casefold() if mark.isalnum())
