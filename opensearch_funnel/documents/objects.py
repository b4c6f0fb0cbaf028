"""One JSON object a line: ndjson, BEIR's ``corpus.jsonl``, and this package's dead letters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.document import Document, checked_id, content_id, kind_of
from opensearch_funnel.documents.lines import numbered_lines

Object = dict[str, Any]
_BEIR_FIELDS = ("title", "text", "metadata")


def read_objects(path: Path) -> Iterator[tuple[int, Object]]:
    """Read a file of JSON objects, one a line; empty lines are passed over.

    Yields:
        The line's number, from 1, and the object.

    Raises:
        InputError: a line is not one JSON object; says which line, why and what to do.
    """
    for number, text in numbered_lines(path):
        if not text.strip():
            continue
        try:
            value = orjson.loads(text)
        except orjson.JSONDecodeError as error:
            raise InputError(
                f"{path}:{number}: not valid JSON: {error.msg} at column {error.colno}; "
                "fix or remove the line"
            ) from error
        if not isinstance(value, dict):
            raise InputError(
                f"{path}:{number}: expected a JSON object, found {kind_of(value)}; "
                "fix or remove the line"
            )
        yield number, value


def read_ndjson(path: Path, *, id_field: str | None = None) -> Iterator[tuple[int, Document]]:
    """Read ndjson: any JSON object is a document.

    The id is what ``id_field`` holds; without one, what ``_id`` or else ``id`` holds; a line
    with neither gets an id made of its content. Lines that wrap the document in ``_source``, as
    exports of an index do, are unwrapped.

    Args:
        path: the file.
        id_field: the field with the id; it stays in the document, unless it is ``_id``.

    Yields:
        The line's number and the document.

    Raises:
        InputError: a line cannot be used.
    """

    def document(line: Object) -> Document:
        wrapped = line.get("_source")
        source: Object = wrapped if isinstance(wrapped, dict) else line
        for name in (id_field,) if id_field else ("_id", "id"):
            value = source.get(name, line.get(name))
            if value is None and id_field is None:
                continue
            if value is None:
                raise InputError(f"no field {id_field!r}: fix the line, or name another --id-field")
            return Document(checked_id(value, field=name), _without_id(source))
        source = _without_id(source)
        return Document(content_id(source), source)

    return _documents(path, document)


def read_beir(path: Path) -> Iterator[tuple[int, Document]]:
    """Read the ``corpus.jsonl`` of a BEIR data set: ``_id``, ``title``, ``text``, ``metadata``.

    Yields:
        The line's number and the document; an empty ``title`` or ``metadata`` is left out.

    Raises:
        InputError: a line has no ``_id`` or no ``text``, or cannot be used otherwise.
    """

    def document(line: Object) -> Document:
        for name in ("_id", "text"):
            if line.get(name) is None:
                raise InputError(f"no {name!r}: a BEIR corpus has _id, title and text on each line")
        source = {name: line[name] for name in _BEIR_FIELDS if line.get(name)}
        for name in ("title", "text"):
            if not isinstance(source.get(name, ""), str):
                raise InputError(f"{name!r} must be text, not {kind_of(source[name])}")
        return Document(checked_id(line["_id"], field="_id"), source)

    return _documents(path, document)


def read_dead_letters(path: Path) -> Iterator[tuple[int, Document]]:
    """Read the documents that an earlier load could not write, to try them again.

    Yields:
        The line's number and the document.

    Raises:
        InputError: a line is not a dead letter.
    """

    def document(line: Object) -> Document:
        body = line.get("body")
        if not isinstance(body, dict) or "_id" not in line:
            raise InputError("not a dead letter: expected _id and body")
        routing = line.get("routing")
        if routing is not None and not isinstance(routing, str):
            raise InputError(f"routing must be text, not {kind_of(routing)}")
        return Document(checked_id(line["_id"], field="_id"), body, routing)

    return _documents(path, document)


def _documents(
    path: Path, document: Callable[[Object], Document]
) -> Iterator[tuple[int, Document]]:
    """Turn lines into documents, and put the place before what is wrong with one."""
    for number, line in read_objects(path):
        try:
            read = document(line)
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
        yield number, read


def _without_id(source: Object) -> Object:
    # `_id` is the engine's own: inside a document it is refused.
    return {name: value for name, value in source.items() if name != "_id"}
