"""The hidden index in which the cluster remembers the funnel: whole records under keys of theirs.

Records are read and written whole. A change that must not overwrite somebody else's names the
version that it was made from (https://docs.opensearch.org/latest/api-reference/document-apis/
index-document/, ``if_seq_no``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError
from opensearch_funnel.resources import mapping

STATE_INDEX = ".funnel-state-1"
_EXISTS = "resource_already_exists_exception"
_NOT_FOUND, _CONFLICT = 404, 409
_MOST = 10_000


class RecordChangedError(EngineError):
    """Somebody else wrote the record in the meantime, or made one of the same key."""


@dataclass(frozen=True, slots=True)
class Version:
    """What tells one state of a record from every other."""

    seq_no: int
    primary_term: int

    @property
    def condition(self) -> dict[str, str]:
        """The request parameters that let a write through only while this is the last version."""
        return {"if_seq_no": str(self.seq_no), "if_primary_term": str(self.primary_term)}


def put_record(client: OpenSearch, key: str, record: dict[str, Any]) -> None:
    """Write a record, whatever was there."""
    _write(client, key, record, condition={})


def create_record(client: OpenSearch, key: str, record: dict[str, Any]) -> Version:
    """Write a record under a key that is free.

    Raises:
        RecordChangedError: there is a record of that key.
    """
    return _write(client, key, record, condition={"op_type": "create"})


def replace_record(
    client: OpenSearch, key: str, record: dict[str, Any], *, version: Version
) -> Version:
    """Write a record over the version that was read, and no other.

    Raises:
        RecordChangedError: somebody else changed or deleted it in the meantime.
    """
    return _write(client, key, record, condition=version.condition)


def get_record(client: OpenSearch, key: str) -> dict[str, Any] | None:
    """Read a record, also one that was written just now; ``None`` where there is none."""
    found = get_versioned(client, key)
    return None if found is None else found[0]


def get_versioned(client: OpenSearch, key: str) -> tuple[dict[str, Any], Version] | None:
    """Read a record and its version; ``None`` where there is none."""
    try:
        found = client.get(index=STATE_INDEX, id=key)
    except IndexMissingError:
        return None
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise
        return None
    return found["_source"], Version(found["_seq_no"], found["_primary_term"])


def list_records(client: OpenSearch, *, kind: str) -> list[tuple[dict[str, Any], Version]]:
    """Read all records of a kind, in no order.

    One that is written meanwhile moves behind all others, and is read as it is then.
    """
    records: dict[str, tuple[dict[str, Any], Version]] = {}
    hits = _page(client, kind=kind, after=-1)
    while hits:
        for hit in hits:
            records[hit["_id"]] = (hit["_source"], Version(hit["_seq_no"], hit["_primary_term"]))
        hits = _page(client, kind=kind, after=hits[-1]["_seq_no"]) if len(hits) == _MOST else []
    return list(records.values())


def _page(client: OpenSearch, *, kind: str, after: int) -> list[dict[str, Any]]:
    try:
        found = client.search(
            index=STATE_INDEX,
            body={
                "query": {
                    "bool": {
                        "filter": [{"term": {"kind": kind}}, {"range": {"_seq_no": {"gt": after}}}]
                    }
                },
                "size": _MOST,
                "sort": [{"_seq_no": {"order": "asc", "unmapped_type": "long"}}],
                "seq_no_primary_term": True,
            },
            params={"search_pipeline": "_none"},
        )
    except IndexMissingError:
        return []
    hits: list[dict[str, Any]] = found["hits"]["hits"]
    return hits


def delete_record(client: OpenSearch, key: str) -> None:
    """Delete a record; none of that key is fine."""
    try:
        client.delete(index=STATE_INDEX, id=key, params={"refresh": "true"})
    except EngineError as error:
        if error.status != _NOT_FOUND:
            raise


def _write(
    client: OpenSearch, key: str, record: dict[str, Any], *, condition: dict[str, str]
) -> Version:
    _ensure_index(client)
    try:
        answer = client.index(
            index=STATE_INDEX, id=key, body=record, params={"refresh": "true", **condition}
        )
    except EngineError as error:
        if error.status != _CONFLICT or not condition:
            raise
        raise RecordChangedError(
            f"{key} was changed by somebody else in the meantime: look at it, and try again",
            status=error.status,
            kind=error.kind,
        ) from error
    return Version(answer["_seq_no"], answer["_primary_term"])


def _ensure_index(client: OpenSearch) -> None:
    try:
        if not client.indices.exists(index=STATE_INDEX):
            # Records are read back whole, never searched by what is in them.
            client.indices.create(index=STATE_INDEX, body=mapping("state-index.v1"))
    except EngineError as error:
        if error.kind != _EXISTS:  # somebody else was faster
            raise
