"""What the answer to a bulk request means for each of its documents."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from opensearch_funnel.core.errors import EngineDeniedError, EngineError
from opensearch_funnel.engine.bulk.batches import Batch
from opensearch_funnel.engine.bulk.lines import Line, Refused, refused

_WRITTEN = frozenset({200, 201})
_NOT_FOUND, _CONFLICT = 404, 409
_BUSY_NOW = frozenset({429, 502, 503, 504})
_BUSY_REQUEST = _BUSY_NOW | {500}
_ONE_IS_BAD = frozenset({400, 413})
_NOT_ALLOWED = "security_exception"
_OF_THE_INDEX = frozenset(
    {
        "cluster_block_exception",
        "index_closed_exception",
        "index_not_found_exception",
        _NOT_ALLOWED,
    }
)
"""Kinds of errors that every other document would meet, too."""
_FULL_DISK = re.compile(r"\[\w+/1[23]/")
"""Blocks 12 (of an index) and 13 (of the cluster): read-only, deletes of indices allowed."""
BUSY = 429
TOO_LARGE = 413
_REASON_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a batch."""

    indexed: int
    """Written, or deleted."""
    again: Batch = ()
    dead: tuple[Refused, ...] = ()
    reason: str = ""
    """Why the documents in ``again`` were not written."""
    kept: int = 0
    """How many documents the index has in a version that is not to be overwritten."""
    blocked: bool = False
    """Whether a full disk is why the documents in ``again`` were not written."""
    stop: EngineError | None = None
    """Why the load cannot go on."""


class Fate(Enum):
    """What to do with a batch whose request failed as a whole."""

    AGAIN = "send it again after a pause"
    HALVE = "send each half of it"
    STOP = "stop the load"


def fate(error: EngineError, *, wait_for_blocks: bool = False) -> Fate:
    """Decide what a failed request means; no status means that no usable answer came.

    Args:
        error: why it failed.
        wait_for_blocks: whether a full disk is waited for.

    Example:
        >>> fate(EngineError("busy", status=429)), fate(EngineError("no", status=401))
        (<Fate.AGAIN: 'send it again after a pause'>, <Fate.STOP: 'stop the load'>)
    """
    if error.status is None or error.status in _BUSY_REQUEST:
        return Fate.AGAIN
    if wait_for_blocks and is_full_disk(kind=error.kind, reason=str(error)):
        return Fate.AGAIN
    if error.kind in _OF_THE_INDEX:
        return Fate.STOP
    return Fate.HALVE if error.status in _ONE_IS_BAD else Fate.STOP


def is_full_disk(*, kind: str, reason: str) -> bool:
    """Say whether an error is the block that the cluster sets as a disk is full, and lifts again.

    Of other blocks (index.blocks.write) somebody else is the master.

    Example:
        >>> is_full_disk(kind="cluster_block_exception", reason="index [i] blocked by: "
        ...              "[TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage watermark];")
        True
        >>> is_full_disk(kind="cluster_block_exception",
        ...              reason="index [i] blocked by: [FORBIDDEN/8/index write (api)];")
        False
    """
    return kind == "cluster_block_exception" and bool(_FULL_DISK.search(reason))


def verdict(
    batch: Batch, answer: Any, *, keep_conflicts: bool = False, wait_for_blocks: bool = False
) -> Verdict:
    """Sort the documents of a batch by what the answer says of each.

    Args:
        batch: what was sent.
        answer: the body of a 200 answer.
        keep_conflicts: a version conflict means that the index has what it should have.
        wait_for_blocks: whether a full disk is waited for.

    Raises:
        EngineError: the answer is not about this batch; it has no status.
    """
    indexed, kept, again, dead = 0, 0, [], []
    why, blocked, stop = "", False, None
    for line, result in zip(batch, _results(batch, answer), strict=True):
        status = int(result.get("status", 0))
        if status in _WRITTEN or _deleted_nothing(line, status=status, result=result):
            indexed += 1
            continue
        kind, reason = _explained(result.get("error"))
        full = is_full_disk(kind=kind, reason=reason)
        if status == _CONFLICT and keep_conflicts:
            kept += 1
        elif status in _BUSY_NOW or (full and wait_for_blocks):
            again.append(line)
            why, blocked = why or reason, blocked or full
        elif kind in _OF_THE_INDEX or line.deletes:
            stop = _stopped(line, reason, status=status, kind=kind)
        else:
            dead.append(refused(line, status=status, reason=reason))
    return Verdict(indexed, tuple(again), tuple(dead), why, kept, blocked, stop)


def _deleted_nothing(line: Line, *, status: int, result: Mapping[str, Any]) -> bool:
    """Say whether a delete found no document, which is as good: 404, but no error."""
    return line.deletes and status == _NOT_FOUND and "error" not in result


def _stopped(line: Line, reason: str, *, status: int, kind: str) -> EngineError:
    if kind == _NOT_ALLOWED:
        return EngineDeniedError(
            f"the user may not write to the index: {reason}; give the user that right, or set "
            "FUNNEL_USERNAME and FUNNEL_PASSWORD to one that has it",
            status=status,
            kind=kind,
        )
    if kind in _OF_THE_INDEX:
        return EngineError(f"the index takes no documents: {reason}", status=status, kind=kind)
    # There is no document that a dead letter could keep for later.
    return EngineError(
        f"document {line.doc_id!r} could not be deleted: {reason}", status=status, kind=kind
    )


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
