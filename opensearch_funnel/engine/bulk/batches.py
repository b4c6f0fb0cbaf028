"""Lines into bulk requests of a bounded size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from threading import Lock

from opensearch_funnel.engine.bulk.lines import Line, line_of


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
    wait_for_blocks: float = 0.0
    """Seconds to wait for a block to go that the cluster set as a disk was full, and lifts when
    there is room again. It counts neither as tries nor as their seconds. 0 treats it as any
    refusal of a busy cluster."""


Batch = tuple[Line, ...]

__all__ = ["Batch", "BulkLimits", "Line", "Pace", "batches", "line_of"]


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
