"""Tables with a header line: CSV and TSV."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.document import Document, checked_id, content_id
from opensearch_funnel.documents.lines import MAX_LINE_BYTES, numbered_lines


def read_csv(path: Path, *, id_field: str | None = None) -> Iterator[tuple[int, Document]]:
    """Read comma separated values with a header line; quoted fields may span lines.

    A header with more semicolons than commas, as spreadsheets of half of Europe write it, is
    read with semicolons. Every value stays text; empty ones are left out.

    Args:
        path: the file.
        id_field: the column with the id; without one ``_id`` or else ``id``, and where a table
            has neither, an id is made of the row's content.

    Yields:
        The number of the row's last line and the document.

    Raises:
        InputError: no header, a column twice or without a name, a row with too many or too few
            columns, an open quote, or no such id column.
    """
    return _rows(path, id_field=id_field, tabs=False)


def read_tsv(path: Path, *, id_field: str | None = None) -> Iterator[tuple[int, Document]]:
    """Read tab separated values with a header line; a quote is an ordinary character.

    Args, values and errors are those of ``read_csv``.
    """
    return _rows(path, id_field=id_field, tabs=True)


def _rows(path: Path, *, id_field: str | None, tabs: bool) -> Iterator[tuple[int, Document]]:
    # The module's own limit is 128 kB a field; there is no way to give it to one reader alone.
    csv.field_size_limit(MAX_LINE_BYTES)
    rows = _parsed(path, tabs=tabs)
    header = next(rows, None)
    if header is None:
        return
    columns = _columns(header[1], path=path)
    id_column = _id_column(columns, id_field=id_field, path=path)
    for number, row in rows:
        if not row:
            continue
        if len(row) != len(columns):
            raise InputError(
                f"{path}:{number}: {len(row)} columns where the header has {len(columns)}; "
                "fix or remove the line"
            )
        values = dict(zip(columns, row, strict=True))
        source: dict[str, Any] = {
            name: value for name, value in values.items() if value and name != "_id"
        }
        if id_column is None:
            if source:
                yield number, Document(content_id(source), source)
            continue
        try:
            doc_id = checked_id(values[id_column], field=id_column)
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
        yield number, Document(doc_id, source)


def _parsed(path: Path, *, tabs: bool) -> Iterator[tuple[int, list[str]]]:
    lines = numbered_lines(path)
    first = next(lines, None)
    if first is None:
        return
    semicolons = first[1].count(";") > first[1].count(",")

    def again() -> Iterator[str]:
        # The ends are put back: csv needs them inside quoted fields.
        yield first[1] + "\n"
        for _, text in lines:
            yield text + "\n"

    if tabs:
        reader = csv.reader(again(), delimiter="\t", quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(again(), delimiter=";" if semicolons else ",", strict=True)
    yield from valid_rows(reader, path=path)


def valid_rows(reader: Any, *, path: Path, before: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Read rows, each with the number of its last line.

    Args:
        reader: of the module ``csv``.
        path: of the file.
        before: lines of the file that the reader does not get.

    Raises:
        InputError: a row is broken, by file and line.
    """
    while True:
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}:{reader.line_num + before}: not a valid row: {error}; "
                "look for a quote that is not closed"
            ) from error
        yield reader.line_num + before, row


def _columns(header: Sequence[str], *, path: Path) -> list[str]:
    names = [name.strip() for name in header]
    if "" in names:
        raise InputError(f"{path}:1: column {names.index('') + 1} has no name in the header line")
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path}:1: the header has column {name!r} twice: rename one")
    return names


def _id_column(columns: Sequence[str], *, id_field: str | None, path: Path) -> str | None:
    if id_field is None:
        return next((name for name in ("_id", "id") if name in columns), None)
    if id_field not in columns:
        raise InputError(
            f"{path}:1: no column {id_field!r}; there are: {', '.join(columns)} (--id-field)"
        )
    return id_field
