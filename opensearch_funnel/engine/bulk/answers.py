"""What the answer to a bulk request means for each of its documents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.bulk.batches import Batch, Line, Refused

_INDEXED = frozenset({200, 201})
_BUSY_NOW = frozenset({429, 502, 503, 504})
_BUSY_REQUEST = _BUSY_NOW | {500}
_ONE_IS_BAD = frozenset({400, 413})
_STOPS = frozenset({403, 404})
BUSY = 429
TOO_LARGE = 413
_REASON_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a batch."""

    indexed: int
    again: Batch = ()
    dead: tuple[Refused, ...] = ()
    reason: str = ""
    """Why the documents in ``again`` were not written."""


class Fate(Enum):
    """What to do with a batch whose request failed as a whole."""

    AGAIN = "send it again after a pause"
    HALVE = "send each half of it"
    STOP = "stop the load"


def fate(error: EngineError) -> Fate:
    """Decide what a failed request means; no status means that no usable answer came.

    Example:
        >>> fate(EngineError("busy", status=429)), fate(EngineError("no", status=401))
        (<Fate.AGAIN: 'send it again after a pause'>, <Fate.STOP: 'stop the load'>)
    """
    if error.status is None or error.status in _BUSY_REQUEST:
        return Fate.AGAIN
    return Fate.HALVE if error.status in _ONE_IS_BAD else Fate.STOP


def verdict(batch: Batch, answer: Any) -> Verdict:
    """Sort the documents of a batch by what the answer says of each.

    Args:
        batch: what was sent.
        answer: the body of a 200 answer.

    Raises:
        EngineError: without a status, the answer is not about this batch; with one, the whole
            index cannot be written to.
    """
    results = _results(batch, answer)
    indexed, again, dead, why = 0, [], [], ""
    for line, result in zip(batch, results, strict=True):
        status = int(result.get("status", 0))
        if status in _INDEXED:
            indexed += 1
            continue
        kind, reason = _explained(result.get("error"))
        if status in _BUSY_NOW:
            again.append(line)
            why = why or reason
        elif status in _STOPS and kind in {"cluster_block_exception", "index_not_found_exception"}:
            raise EngineError(f"the index takes no documents: {reason}", status=status, kind=kind)
        else:
            dead.append(refused(line, status=status, reason=reason))
    return Verdict(indexed, tuple(again), tuple(dead), why)


def refused(line: Line, *, status: int, reason: str) -> Refused:
    """Make a dead letter of a line."""
    return Refused(line.doc_id, line.body, status, reason)


def _results(batch: Batch, answer: Any) -> list[Mapping[str, Any]]:
    found = answer.get("items") if isinstance(answer, dict) else None
    if not isinstance(found, list) or len(found) != len(batch):
        count = len(found) if isinstance(found, list) else "no"
        raise EngineError(f"a bulk request of {len(batch)} documents got {count} results back")
    results: list[Mapping[str, Any]] = [next(iter(entry.values()), {}) for entry in found]
    # A proxy that mixes answers up would make us count another batch's documents as written.
    if any(result.get("_id") != line.doc_id for line, result in zip(batch, results, strict=True)):
        raise EngineError("a bulk request got the results of other documents back")
    return results


def _explained(error: Any) -> tuple[str, str]:
    if not isinstance(error, dict):
        return "", " ".join(str(error or "no reason given").split())[:_REASON_LENGTH]
    kind, reason = str(error.get("type", "")), str(error.get("reason", ""))
    cause = error.get("caused_by")
    deeper = str(cause.get("reason", "")) if isinstance(cause, dict) else ""
    whole = f"{kind}: {reason}" + (f" ({deeper})" if deeper and deeper not in reason else "")
    return kind, " ".join(whole.split())[:_REASON_LENGTH]
