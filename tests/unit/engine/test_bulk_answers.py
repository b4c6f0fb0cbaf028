"""What an answer means for each document, without a server."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from opensearch_funnel.core.errors import EngineDeniedError, EngineError, EngineUnreachableError
from opensearch_funnel.engine.bulk.answers import Fate, fate, verdict
from opensearch_funnel.engine.bulk.batches import BulkLimits, Line, Pace, Refused, batches, line_of


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


def test_an_index_that_is_gone_stops_the_load() -> None:
    answer = _answer(a=404)
    answer["items"][0]["index"]["error"]["type"] = "index_not_found_exception"
    with pytest.raises(EngineError, match="takes no documents") as caught:
        verdict(_batch("a"), answer)
    assert fate(caught.value) is Fate.STOP


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
