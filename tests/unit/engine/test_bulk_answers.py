"""What an answer means for each document, without a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.core.errors import EngineDeniedError, EngineError, EngineUnreachableError
from opensearch_funnel.engine.bulk.answers import Fate, fate, verdict
from opensearch_funnel.engine.bulk.batches import BulkLimits, Pace, batches
from opensearch_funnel.engine.bulk.lines import (
    Line,
    Refused,
    delete_line,
    line_of,
    line_of_bytes,
    refused,
)


def _batch(*ids: str) -> tuple[Line, ...]:
    lines = [line_of(SimpleNamespace(doc_id=doc_id, source={"t": doc_id})) for doc_id in ids]
    return tuple(line for line in lines if isinstance(line, Line))


def _answer(**statuses: int) -> dict[str, Any]:
    error = {"type": "kind", "reason": "why", "caused_by": {"reason": "deep"}}
    return {
        "items": [
            {
                "index": {
                    "_id": doc_id,
                    "status": status,
                    **({"error": error} if status > 299 else {}),
                }
            }
            for doc_id, status in statuses.items()
        ]
    }


def test_each_document_is_sorted_by_its_status() -> None:
    batch = _batch("a", "b", "c", "d", "e")
    result = verdict(batch, _answer(a=200, b=201, c=429, d=400, e=503))
    assert result.indexed == 2
    assert result.again == (batch[2], batch[4])
    assert result.dead == (Refused("d", {"t": "d"}, 400, "kind: why (deep)"),)
    assert result.indexed + len(result.again) + len(result.dead) == len(batch)


@pytest.mark.parametrize("status", [409, 500, 405, 0])
def test_a_status_without_a_rule_is_a_dead_letter(status: int) -> None:
    assert [refused.status for refused in verdict(_batch("a"), _answer(a=status)).dead] == [status]


@pytest.mark.parametrize(
    "answer",
    [{}, {"items": []}, {"items": [{}]}, [], "", None, _answer(x=200), _answer(a=200, b=200)],
)
def test_an_answer_about_other_documents_is_not_believed(answer: Any) -> None:
    with pytest.raises(EngineError) as caught:
        verdict(_batch("a"), answer)
    assert fate(caught.value) is Fate.AGAIN


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, "index_not_found_exception"),
        (403, "cluster_block_exception"),
        (400, "index_closed_exception"),
        (403, "security_exception"),
    ],
)
def test_what_every_document_would_meet_stops_the_load(status: int, kind: str) -> None:
    answer = _answer(a=201, b=status)
    answer["items"][1]["index"]["error"]["type"] = kind
    result = verdict(_batch("a", "b"), answer)
    assert (result.indexed, result.dead, result.again) == (1, (), ())
    assert result.stop is not None
    assert (result.stop.status, result.stop.kind) == (status, kind)
    assert "why (deep)" in str(result.stop)
    assert fate(result.stop) is Fate.STOP
    assert isinstance(result.stop, EngineDeniedError) == (kind == "security_exception")


FULL = "index [i] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];"
READ_ONLY = "blocked by: [FORBIDDEN/13/cluster read-only / allow delete (api)];"


@pytest.mark.parametrize(("status", "reason"), [(429, FULL), (403, FULL), (403, READ_ONLY)])
def test_a_full_disk_is_waited_for_only_where_that_is_asked_for(status: int, reason: str) -> None:
    answer = _answer(a=status)
    answer["items"][0]["index"]["error"] = {"type": "cluster_block_exception", "reason": reason}
    batch = _batch("a")
    waiting = verdict(batch, answer, wait_for_blocks=True)
    assert (waiting.again, waiting.blocked, waiting.stop) == (batch, True, None)
    otherwise = verdict(batch, answer)
    assert (otherwise.again == batch) == (status == 429)
    assert (otherwise.stop is not None) == (status == 403)
    whole = EngineError(f"OpenSearch refused: {reason}", status=403, kind="cluster_block_exception")
    assert fate(whole) is Fate.STOP
    assert fate(whole, wait_for_blocks=True) is Fate.AGAIN


def test_a_conflict_is_settled_where_that_is_asked_for() -> None:
    answer = _answer(a=409, b=201)
    kept = verdict(_batch("a", "b"), answer, keep_conflicts=True)
    assert (kept.indexed, kept.kept, kept.dead) == (1, 1, ())
    dead = verdict(_batch("a", "b"), answer)
    assert (dead.indexed, dead.kept, len(dead.dead)) == (1, 0, 1)


def test_a_delete_of_nothing_is_settled_and_a_refused_one_stops_the_load() -> None:
    batch = (delete_line("a"), delete_line("b"))
    first, second = {"_id": "a", "status": 200}, {"_id": "b", "status": 404}
    result = verdict(batch, {"items": [{"delete": first}, {"delete": second}]})
    assert (result.indexed, result.stop) == (2, None)
    error = {"type": "kind", "reason": "why"}
    refusal = {"_id": "b", "status": 404, "error": error}
    result = verdict(batch, {"items": [{"delete": first}, {"delete": refusal}]})
    assert result.indexed == 1
    assert str(result.stop) == "document 'b' could not be deleted: kind: why"


def test_a_missing_document_is_an_error_for_what_is_no_delete() -> None:
    answer = {"items": [{"index": {"_id": "a", "status": 404}}]}
    assert [one.status for one in verdict(_batch("a"), answer).dead] == [404]


def test_a_failed_request_has_one_fate() -> None:
    assert fate(EngineUnreachableError("gone")) is Fate.AGAIN
    assert fate(EngineDeniedError("no", status=401)) is Fate.STOP
    fates = {status: fate(EngineError("", status=status)) for status in (400, 413, 429, 500, 404)}
    assert fates == {
        400: Fate.HALVE,
        413: Fate.HALVE,
        429: Fate.AGAIN,
        500: Fate.AGAIN,
        404: Fate.STOP,
    }


def test_a_line_holds_action_and_document() -> None:
    vector = np.asarray([0.1, -2.0], dtype=np.float32)
    line = line_of(SimpleNamespace(doc_id='a"\n', source={"v": vector, "t": "é\n"}))
    assert isinstance(line, Line)
    assert line.payload.count(b"\n") == 2
    assert line.payload.startswith(b'{"index":{"_id":"a\\"\\n"}}\n')
    assert line.body == {"v": [0.1, -2.0], "t": "é\n"}


def test_a_line_of_bytes_holds_them_as_they_are() -> None:
    source = b'{"price": 1.50, "big": 123456789012345678901, "cut": "\\ud83d"}'
    line = line_of_bytes("7", source, routing="a", external_version=3)
    action = b'{"index":{"_id":"7","routing":"a","version":3,"version_type":"external"}}'
    assert line.payload == action + b"\n" + source + b"\n"
    assert line.text == source
    line = line_of_bytes("7", source, if_seq_no=0, if_primary_term=1)
    assert line.payload.startswith(b'{"index":{"_id":"7","if_seq_no":0,"if_primary_term":1}}\n')


@pytest.mark.parametrize(
    ("source", "sent"),
    [
        (b'{\n  "a": 1,\r\n  "b": "\\n"\n}', b'{   "a": 1,    "b": "\\n" }'),
        (b'{"a": 1 // "b": 2,\n}', b'{"a": 1   }'),
        (b'{"a": 1 /* one\ntwo */}', b'{"a": 1  }'),
        (b'{"a": "http://x", /* kept */ "b": 1}', b'{"a": "http://x", /* kept */ "b": 1}'),
    ],
)
def test_a_document_on_several_lines_is_sent_on_one(source: bytes, sent: bytes) -> None:
    line = line_of_bytes("7", source)
    assert line.payload == b'{"index":{"_id":"7"}}\n' + sent + b"\n"


def test_a_delete_names_its_version_or_the_operation_it_undoes() -> None:
    assert delete_line("7", if_seq_no=4, if_primary_term=2).payload == (
        b'{"delete":{"_id":"7","if_seq_no":4,"if_primary_term":2}}\n'
    )
    conditions: tuple[dict[str, Any], ...] = (
        {"if_seq_no": 1},
        {"if_primary_term": 1},
        {"external_version": 1, "if_seq_no": 1, "if_primary_term": 1},
    )
    for condition in conditions:
        with pytest.raises(ValueError, match=r"together|not both"):
            delete_line("7", **condition)
        with pytest.raises(ValueError, match=r"together|not both"):
            line_of_bytes("7", b"{}", **condition)


def test_a_document_with_a_routing_is_sent_there() -> None:
    line = line_of(SimpleNamespace(doc_id="7", source={}, routing="a"))
    assert isinstance(line, Line)
    assert line.payload == b'{"index":{"_id":"7","routing":"a"}}\n{}\n'
    assert refused(line, status=400, reason="no").routing == "a"


@pytest.mark.parametrize(
    ("source", "body", "text"),
    [
        (b'{"t": "cut \\ud83d"}', {"t": "cut \ufffd"}, b'{"t": "cut \\ufffd"}'),
        (b'{"t": 1.50 /* one */}', {"t": 1.5}, b'{"t": 1.50  }'),
        (b'{"t": 1e400}', '{"t": 1e400}', b""),
    ],
)
def test_what_parsers_refuse_is_readable_in_a_dead_letter(
    source: bytes, body: Any, text: bytes
) -> None:
    letter = refused(line_of_bytes("7", source), status=400, reason="no")
    assert (letter.body, letter.text) == (body, text)


def test_batches_keep_order_and_limits() -> None:
    lines = _batch(*(f"d{number:03}" for number in range(100)))
    size = len(lines[0].payload)
    limits = BulkLimits(max_documents=7, max_bytes=5 * size)
    made = list(batches(lines, pace=Pace(limits)))
    assert [line for batch in made for line in batch] == list(lines)
    assert {len(batch) for batch in made} == {5}


def test_the_pace_slows_down_and_comes_back() -> None:
    pace = Pace(BulkLimits(max_documents=100, max_bytes=1_000_000))
    for _ in range(10):
        pace.busy()
        pace.too_large()
    assert (pace.documents, pace.bytes) == (13, 100_000)
    for _ in range(100):
        pace.accepted()
    assert pace.documents == 100
