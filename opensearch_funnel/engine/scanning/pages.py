"""The documents of a shard in the order of their last writes, byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, InputError
from opensearch_funnel.engine.client import answer_text
from opensearch_funnel.engine.json_spans import array_elements, object_members
from opensearch_funnel.engine.scanning.asking import SEQ_NO, check_answered, search_params
from opensearch_funnel.engine.scanning.windows import ask_within_window

_FIRST_REACH, _WIDER = 2, 8
"""A page is looked for in twice as many operations as it may have documents, then in ever more."""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A document as it lies in a shard."""

    doc_id: str
    routing: str | None
    seq_no: int
    """The number of the operation that wrote it."""
    primary_term: int
    version: int
    source: bytes
    """The text of its ``_source``, as it was written; empty where it was not asked for."""
    place: int
    """What the page is in order of: the value of the field, which is ``seq_no`` by default."""


class _Shards(msgspec.Struct):
    total: int
    failed: int


class _Hit(msgspec.Struct):
    doc_id: str = msgspec.field(name="_id")
    seq_no: int = msgspec.field(name="_seq_no")
    primary_term: int = msgspec.field(name="_primary_term")
    version: int = msgspec.field(name="_version")
    sort: list[int]
    routing: str | None = msgspec.field(name="_routing", default=None)
    source: msgspec.Raw = msgspec.field(name="_source", default=msgspec.Raw())


class _Hits(msgspec.Struct):
    hits: list[_Hit]


class _Answer(msgspec.Struct):
    timed_out: bool
    shards: _Shards = msgspec.field(name="_shards")
    hits: _Hits


_ANSWER = msgspec.json.Decoder(_Answer)
_HIT = msgspec.json.Decoder(_Hit)


def read_page(  # noqa: PLR0913 - a field, a shard and a range
    client: OpenSearch,
    index: str,
    *,
    field: str = SEQ_NO,
    shard: int | None = None,
    after: int,
    upto: int,
    size: int,
    include_source: bool = True,
) -> list[StoredDocument]:
    """Read the next documents of a shard, in the order of the operations that wrote them.

    Inner documents of ``nested`` fields are not documents of their own. A document that is
    written while pages are read moves behind ``upto``, and is not met twice.

    Args:
        client: made by ``connect``.
        index: one concrete index, refreshed since ``upto`` was taken (``shard_bounds``).
        field: what ``after`` and ``upto`` are values of: ``_seq_no``, or a field of type long
            that has a value of its own in each document. Two documents with one value are never
            parted by the end of a page: that is then shorter (and ``size`` at least 2).
        shard: read the primary of this shard alone; ``None`` for all of them, for another field.
        after: above this.
        upto: at most this.
        size: most documents, at most 10,000; where ``index.max_result_window`` is less, a page
            of another field is shorter, and one in order of ``_seq_no`` takes several requests.
        include_source: ``False`` reads all but the documents' text.

    Returns:
        The documents, lowest first. None at all means that there are no more up to ``upto``.

    Raises:
        IndexMissingError: there is no such index.
        InputError: the index keeps no ``_source``.
        EngineError: the shard did not answer in full, or there is no such shard; more than
            ``size`` documents have one value of ``field``.
    """
    found: list[StoredDocument] = []
    reach = _FIRST_REACH * size
    full, most = False, size
    while after < upto and len(found) < size and (not full or field == SEQ_NO):
        # The engine collects all that a range holds before it sorts: 19 ms for a page out of
        # 200,000 documents where a narrow range takes 7, and ever more for a larger shard.
        end = min(upto, after + reach)
        body = _body(field=field, after=after, upto=end) | {"_source": include_source}
        wanted = min(most, size - len(found))
        answer, asked = ask_within_window(
            client,
            index,
            size=wanted,
            ask=partial(_asked, client, index, shard=shard, body=body),
        )
        found += [_document(hit, index=index, whole=include_source) for hit in answer.hits.hits]
        full = len(answer.hits.hits) == asked
        if asked < wanted:
            most = asked
        if full:
            after = found[-1].place
        else:
            after, reach = end, reach * _WIDER
    return found if field == SEQ_NO or not full else _without_torn(found, field=field)


def _asked(
    client: OpenSearch, index: str, size: int, *, shard: int | None, body: dict[str, Any]
) -> _Answer:
    text = answer_text(
        client,
        f"/{quote(index, safe='')}/_search",
        params=search_params(shard=shard),
        body={**body, "size": size},
    )
    answer = _read(text, index=index, body=body)
    check_answered(
        {"total": answer.shards.total, "failed": answer.shards.failed},
        answer.timed_out,
        index=index,
        shard=shard,
    )
    return answer


def _body(*, field: str, after: int, upto: int) -> dict[str, Any]:
    return {
        "query": {"range": {field: {"gt": after, "lte": upto}}},
        # An index that has had nothing but deletes does not even know its ``_seq_no``.
        "sort": [{field: {"order": "asc", "unmapped_type": "long"}}],
        "seq_no_primary_term": True,
        "version": True,
        # The engine answers a range of a field of type long by an estimate where the exact total is
        # not asked for, and counts deleted documents then: 439 of 500 came back (3.6.0). Not so
        # for _seq_no.
        "track_total_hits": field != SEQ_NO,
    }


def _read(text: str, *, index: str, body: dict[str, Any]) -> _Answer:
    try:
        return _ANSWER.decode(text)
    except (msgspec.DecodeError, RecursionError):
        # One document that a parser refuses and the engine stored (json_spans) is no reason to
        # lose the page. This way takes many times as long.
        pass
    try:
        return _read_by_spans(text.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, InputError, KeyError) as error:
        raise EngineError(
            f"a page of {index} cannot be read ({error}): look for a document whose _source is "
            f"not JSON with the query {body['query']}, and write it anew"
        ) from error


def _read_by_spans(text: bytes) -> _Answer:
    outer = {member.name: member for member in object_members(text)[0]}
    inner = {member.name: member for member in object_members(text, at=outer["hits"].value)[0]}
    hits = inner["hits"]
    answer = _ANSWER.decode(text[: hits.value] + b"[]" + text[hits.end :])
    answer.hits.hits = list(map(_hit_by_spans, _elements(text, at=hits.value)))
    return answer


def _elements(text: bytes, *, at: int) -> Iterator[bytes]:
    return (text[begin:end] for begin, end in array_elements(text, at=at))


def _hit_by_spans(text: bytes) -> _Hit:
    members = {member.name: member for member in object_members(text)[0]}
    source = members.get("_source")
    if source is None:
        return _HIT.decode(text)
    hit = _HIT.decode(text[: source.value] + b"{}" + text[source.end :])
    hit.source = msgspec.Raw(text[source.value : source.end])
    return hit


def _document(hit: _Hit, *, index: str, whole: bool) -> StoredDocument:
    source = bytes(hit.source)
    if whole and not source:
        raise InputError(
            f"document {hit.doc_id!r} of {index} has no _source: the index does not keep it, and "
            "nothing can be made of its documents"
        )
    return StoredDocument(
        doc_id=hit.doc_id,
        routing=hit.routing,
        seq_no=hit.seq_no,
        primary_term=hit.primary_term,
        version=hit.version,
        source=source,
        place=hit.sort[0],
    )


def _without_torn(found: list[StoredDocument], *, field: str) -> list[StoredDocument]:
    """Leave the last value out: the next page begins with all of its documents."""
    last = found[-1].place
    kept = [document for document in found if document.place < last]
    if not kept:
        raise EngineError(f"{len(found)} documents have {last} as their {field}: read larger pages")
    return kept
