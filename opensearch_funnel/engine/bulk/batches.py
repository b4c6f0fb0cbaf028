"""Documents into bulk request bodies of a bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

import orjson

_WRITE = orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_APPEND_NEWLINE
_BAD_REQUEST = 400


class Indexable(Protocol):
    """Anything with an id and fields."""

    @property
    def doc_id(self) -> str:
        """The ``_id`` it is written under."""
        ...

    @property
    def source(self) -> Mapping[str, Any]:
        """Its fields: what JSON can say, and numpy arrays."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkLimits:
    """How large a request may be, and how long a load keeps trying.

    The pause before try ``n`` without progress is drawn evenly from 0 to
    ``min(longest_pause, first_pause * 2 ** (n - 1))`` seconds ("full jitter"), so that senders
    that were refused together do not come back together.
    """

    max_bytes: int = 5_000_000
    """Largest request body, unless one document alone is larger."""
    max_documents: int = 1000
    """Most documents in one request; fewer while the cluster says that it is busy."""
    senders: int = 2
    """Requests in flight at once."""
    max_tries: int = 20
    """Tries of one batch without any document accepted, before the load stops."""
    max_seconds: float = 120.0
    """Seconds of the same."""
    first_pause: float = 0.25
    """Seconds; see above."""
    longest_pause: float = 10.0
    """Seconds; see above."""


@dataclass(frozen=True, slots=True)
class Line:
    """One document as the bulk API reads it: the action, and the document, each on a line."""

    doc_id: str
    payload: bytes

    @property
    def body(self) -> Any:
        """The document, read back from what is sent."""
        return orjson.loads(self.payload.split(b"\n", 2)[1])


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that will not be written, and why."""

    doc_id: str
    body: Any
    status: int
    reason: str


Batch = tuple[Line, ...]


def line_of(document: Indexable) -> Line | Refused:
    r"""Write one document for the bulk API; one that JSON cannot say is refused here.

    Example:
        >>> from types import SimpleNamespace
        >>> line_of(SimpleNamespace(doc_id="7", source={"t": "Heat"})).payload
        b'{"index":{"_id":"7"}}\n{"t":"Heat"}\n'
    """
    try:
        action = orjson.dumps({"index": {"_id": document.doc_id}}, option=_WRITE)
        return Line(document.doc_id, action + orjson.dumps(document.source, option=_WRITE))
    except orjson.JSONEncodeError as error:
        plain = json.loads(json.dumps(dict(document.source), default=repr, skipkeys=True))
        return Refused(
            _readable(document.doc_id),
            _readable(plain),
            _BAD_REQUEST,
            f"cannot be written as JSON: {error}",
        )


def _readable(value: Any) -> Any:
    """Replace what UTF-8 cannot say (half of a surrogate pair) all through a JSON value."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, list):
        return [_readable(part) for part in value]
    if isinstance(value, dict):
        return {_readable(name): _readable(part) for name, part in value.items()}
    return value


class Pace:
    """How large a batch may be now: half as large after each refusal, then slowly larger again.

    Shared by the thread that makes batches and those that send them.
    """

    # Pauses are per request: with ever fewer documents in each, a load would only wait.
    _SMALLEST_SHARE = 8
    _FEWEST_BYTES = 100_000

    def __init__(self, limits: BulkLimits) -> None:
        self._limits = limits
        self._lock = Lock()
        self.documents = limits.max_documents
        self.bytes = limits.max_bytes

    def busy(self) -> None:
        """Say that documents were refused because the cluster is busy."""
        with self._lock:
            fewest = -(-self._limits.max_documents // self._SMALLEST_SHARE)
            self.documents = max(fewest, self.documents // 2)

    def too_large(self) -> None:
        """Say that a request was refused because of its size."""
        with self._lock:
            self.bytes = max(min(self._FEWEST_BYTES, self._limits.max_bytes), self.bytes // 2)

    def accepted(self) -> None:
        """Say that a whole batch was accepted at the first try."""
        with self._lock:
            self.documents = min(
                self._limits.max_documents, self.documents + max(1, self.documents // 8)
            )


def batches(lines: Iterable[Line], *, pace: Pace) -> Iterator[Batch]:
    """Group lines into batches that keep to the pace; order is kept and no line left out."""
    batch: list[Line] = []
    size = 0
    for line in lines:
        full = len(batch) >= pace.documents or size + len(line.payload) > pace.bytes
        if batch and full:
            yield tuple(batch)
            batch, size = [], 0
        batch.append(line)
        size += len(line.payload)
    if batch:
        yield tuple(batch)
