"""The records of the hidden index, more of them than one answer holds."""

from __future__ import annotations

import uuid

import orjson
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.engine.records import (
    STATE_INDEX,
    delete_record,
    list_records,
    put_record,
)

pytestmark = pytest.mark.engine

MANY = 10_003


def test_more_records_than_an_answer_holds_are_all_read(client: OpenSearch) -> None:
    kind = f"test-{uuid.uuid4().hex[:12]}"
    put_record(client, kind, {"kind": f"{kind}-first"})
    lines = [
        part
        for number in range(MANY)
        for part in ({"index": {"_id": f"{kind}:{number}"}}, {"kind": kind, "number": number})
    ]
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    try:
        answer = client.bulk(index=STATE_INDEX, body=body, params={"refresh": "true"})
        assert not answer["errors"]
        numbers = [record["number"] for record, _ in list_records(client, kind=kind)]
        assert sorted(numbers) == list(range(MANY))
    finally:
        delete_record(client, kind)
        client.delete_by_query(
            index=STATE_INDEX,
            body={"query": {"term": {"kind": kind}}},
            params={"refresh": "true", "conflicts": "proceed"},
        )
