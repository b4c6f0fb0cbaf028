"""Documents as they are at this moment, by id: also what was written just now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import quote

import msgspec
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.client import answer_text

_MOST = 500
Key = tuple[str, str | None]
"""A document's id and its routing: one id may be there once for each routing."""


@dataclass(frozen=True, slots=True)
class Present:
    """A document as it is now."""

    seq_no: int
    version: int
    source: bytes
    """The text of its ``_source``; empty where it was not asked for, or no parser here reads it."""


class _Found(msgspec.Struct):
    doc_id: str = msgspec.field(name="_id")
    found: bool = False
    seq_no: int = msgspec.field(name="_seq_no", default=-1)
    version: int = msgspec.field(name="_version", default=-1)
    error: Any = None
    source: msgspec.Raw = msgspec.field(name="_source", default=msgspec.Raw())


class _Answer(msgspec.Struct):
    docs: list[_Found]


_DECODER = msgspec.json.Decoder(_Answer)


def present_documents(
    client: OpenSearch, *, index: str, keys: Iterable[Key], with_source: bool = False
) -> dict[Key, Present]:
    """Read those of the documents that there are; no refresh is needed.

    Args:
        client: made by ``connect``.
        index: one concrete index.
        keys: which.
        with_source: read their text, too.

    Raises:
        EngineError: a shard did not answer.
    """
    found: dict[Key, Present] = {}
    for some in _parts(keys):
        for key, document in zip(some, _asked(client, index, some, with_source), strict=True):
            if document.error is not None:
                raise EngineError(
                    f"document {key[0]!r} of {index} cannot be read ({document.error}): see GET "
                    "_cluster/health"
                )
            if document.found:
                found[key] = Present(document.seq_no, document.version, bytes(document.source))
    return found


def _asked(client: OpenSearch, index: str, keys: list[Key], with_source: bool) -> list[_Found]:
    docs = [
        {"_id": doc_id, "_source": with_source} | ({"routing": routing} if routing else {})
        for doc_id, routing in keys
    ]
    path = f"/{quote(index, safe='')}/_mget"
    try:
        return _DECODER.decode(answer_text(client, path, params={}, body={"docs": docs})).docs
    except msgspec.DecodeError:
        if not with_source:
            raise
        # The engine stores what parsers refuse (json_spans): such a document is read without its
        # text, and so is taken to differ from every other.
        bare = [{**one, "_source": False} for one in docs]
        return _DECODER.decode(answer_text(client, path, params={}, body={"docs": bare})).docs


def _parts(keys: Iterable[Key]) -> Iterator[list[Key]]:
    waiting = iter(keys)
    while some := list(islice(waiting, _MOST)):
        yield some
