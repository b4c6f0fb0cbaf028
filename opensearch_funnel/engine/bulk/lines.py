"""Single writes as the bulk API reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from opensearch_funnel.engine.json_spans import on_one_line, strict_json

_WRITE = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
_BAD_REQUEST = 400


class Indexable(Protocol):
    """Anything with an id and fields; where it has a ``routing`` that is used, too."""

    @property
    def doc_id(self) -> str:
        """The ``_id`` it is written under."""
        ...

    @property
    def source(self) -> Mapping[str, Any]:
        """Its fields: what JSON can say, and numpy arrays."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One write: the action, and the document behind it, each on a line; a delete has none."""

    doc_id: str
    payload: bytes
    routing: str | None = None
    deletes: bool = False

    @property
    def text(self) -> bytes:
        """The document as it is sent; empty for a delete."""
        return self.payload.split(b"\n", 2)[1]

    @property
    def body(self) -> Any:
        """The document, read back from what is sent."""
        return orjson.loads(self.text)


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that will not be written, and why."""

    doc_id: str
    body: Any
    status: int
    reason: str
    routing: str | None = None
    text: bytes = field(default=b"", compare=False)
    """The document's JSON, where there is some that parsers take: no number of it is rewritten."""


def refused(line: Line, *, status: int, reason: str) -> Refused:
    """Make a dead letter of a line.

    Example:
        >>> refused(line_of_bytes("7", b'{"t": 1.50}'), status=400, reason="no").body
        {'t': 1.5}
    """
    # The engine takes more than parsers do (json_spans), and may refuse it for another reason.
    for text in (line.text, strict_json(line.text)):
        try:
            body = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        return Refused(line.doc_id, body, status, reason, line.routing, text)
    readable = line.text.decode("utf-8", "replace")
    return Refused(line.doc_id, readable, status, reason, line.routing)


def line_of(document: Indexable) -> Line | Refused:
    r"""Write one document for the bulk API; one that JSON cannot say is refused here.

    Example:
        >>> from types import SimpleNamespace
        >>> line_of(SimpleNamespace(doc_id="7", source={"t": "Heat"})).payload
        b'{"index":{"_id":"7"}}\n{"t":"Heat"}\n'
    """
    routing: str | None = getattr(document, "routing", None)
    try:
        action = _action("index", document.doc_id, routing=routing)
        payload = action + orjson.dumps(document.source, option=_WRITE)
    except orjson.JSONEncodeError as error:
        plain = json.loads(json.dumps(dict(document.source), default=repr, skipkeys=True))
        return Refused(
            _readable(document.doc_id),
            _readable(plain),
            _BAD_REQUEST,
            f"cannot be written as JSON: {error}",
            _readable(routing),
        )
    return Line(document.doc_id, payload, routing)


def line_of_bytes(  # noqa: PLR0913 - each is a part of the action
    doc_id: str,
    source: bytes,
    *,
    routing: str | None = None,
    external_version: int | None = None,
    if_seq_no: int | None = None,
    if_primary_term: int | None = None,
) -> Line:
    r"""Write a document whose text is there already; only line breaks and comments may go.

    Args:
        doc_id: what it is written under.
        source: one JSON object.
        routing: the value that its shard is found by, where that is not the id.
        external_version: the version it gets; it is not written where the index has that one or
            a higher one already, be it of a document or of its deletion.
        if_seq_no: it is not written unless the document in the index was last written by this
            operation,
        if_primary_term: in this term; the two go together.

    Raises:
        ValueError: a version and an operation were both given, or half of the second.

    Example:
        >>> line_of_bytes("7", b'{\n"price": 1.50}', external_version=3).payload
        b'{"index":{"_id":"7","version":3,"version_type":"external"}}\n{ "price": 1.50}\n'
    """
    action = _action(
        "index",
        doc_id,
        routing=routing,
        **_condition(external_version, if_seq_no=if_seq_no, if_primary_term=if_primary_term),
    )
    # A line is a write, so a document that was sent alone, over several lines, has to lose them.
    text = on_one_line(source) if b"\n" in source else source
    return Line(doc_id, action + text + b"\n", routing)


def delete_line(
    doc_id: str,
    *,
    routing: str | None = None,
    external_version: int | None = None,
    if_seq_no: int | None = None,
    if_primary_term: int | None = None,
) -> Line:
    r"""Delete a document; one that is not there is fine.

    Args:
        doc_id: what it was written under.
        routing: the value it was written with.
        external_version: see ``line_of_bytes``; the engine remembers it for
            ``index.gc_deletes``, a minute by default, against older writes that come late.
        if_seq_no: see ``line_of_bytes``.
        if_primary_term: see ``line_of_bytes``.

    Raises:
        ValueError: a version and an operation were both given, or half of the second.

    Example:
        >>> delete_line("7", routing="a", external_version=4).payload
        b'{"delete":{"_id":"7","routing":"a","version":4,"version_type":"external"}}\n'
    """
    condition = _condition(external_version, if_seq_no=if_seq_no, if_primary_term=if_primary_term)
    payload = _action("delete", doc_id, routing=routing, **condition)
    return Line(doc_id, payload, routing, deletes=True)


def _action(name: str, doc_id: str, *, routing: str | None, **condition: Any) -> bytes:
    where = {"_id": doc_id} if routing is None else {"_id": doc_id, "routing": routing}
    return orjson.dumps({name: {**where, **condition}}, option=_WRITE)


def _condition(
    external_version: int | None, *, if_seq_no: int | None, if_primary_term: int | None
) -> dict[str, Any]:
    if (if_seq_no is None) != (if_primary_term is None):
        raise ValueError("if_seq_no and if_primary_term go together")
    if external_version is None:
        if if_seq_no is None:
            return {}
        return {"if_seq_no": if_seq_no, "if_primary_term": if_primary_term}
    if if_seq_no is not None:
        raise ValueError("a write has an external version or if_seq_no, not both")
    return {"version": external_version, "version_type": "external"}


def _readable(value: Any) -> Any:
    """Replace what UTF-8 cannot say (half of a surrogate pair) all through a JSON value."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_readable(part) for part in value]
    if isinstance(value, dict):
        return {_readable(name): _readable(part) for name, part in value.items()}
    return value
