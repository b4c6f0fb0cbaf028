"""Write some lines in the calling thread: for whoever writes down what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from threading import Event

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.bulk.batches import BulkLimits, batches
from opensearch_funnel.engine.bulk.lines import Line, Refused
from opensearch_funnel.engine.bulk.patience import BlockNotice
from opensearch_funnel.engine.bulk.sender import Sender, size_of

_DEFAULTS = BulkLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkOutcome:
    """What became of some lines; ``indexed + kept + len(dead)`` is how many there were."""

    indexed: int = 0
    """Written, or deleted."""
    kept: int = 0
    """Settled by a version conflict; see ``BulkReport``."""
    dead: tuple[Refused, ...] = ()
    """Refused, and why; they are written nowhere yet (``DeadLetters``)."""
    retried: int = 0
    """How often a document was sent again."""
    bytes_resent: int = 0
    """Sent more than once."""
    longest_pause: float = 0.0
    """Seconds."""


def bulk_write(  # noqa: PLR0913 - each is a choice of the caller's
    client: OpenSearch,
    lines: Iterable[Line],
    *,
    index: str,
    limits: BulkLimits = _DEFAULTS,
    params: Mapping[str, str] | None = None,
    keep_conflicts: bool = False,
    progress: Progress = SILENT,
    stopped: Event | None = None,
) -> BulkOutcome:
    """Write lines to an index, one request after the other; each is settled, or this raises.

    Args:
        client: made by ``connect``.
        lines: what is written; few enough that the refused ones may all be in memory.
        index: the index or alias.
        limits: sizes, pauses and how long to keep trying; ``senders`` does not count here.
        params: see ``bulk_index``.
        keep_conflicts: see ``bulk_index``.
        progress: told of a wait for a full disk.
        stopped: ends a pause at once, and then this raises.

    Returns:
        What became of them.

    Raises:
        EngineError: some lines may not have been written. Writing all of them again is safe.
    """
    sender = Sender(
        client,
        index=index,
        limits=limits,
        params=params or {},
        keep_conflicts=keep_conflicts,
        notice=BlockNotice(progress.say),
        stop=stopped,
    )
    outcome = BulkOutcome()
    for batch in batches(lines, pace=sender.pace):
        tally = sender.settle(batch)
        if tally.error is not None:
            raise tally.error
        if tally.indexed + tally.kept + len(tally.dead) < len(batch):
            raise EngineError("writing was stopped before all was written: write it again")
        outcome = BulkOutcome(
            indexed=outcome.indexed + tally.indexed,
            kept=outcome.kept + tally.kept,
            dead=(*outcome.dead, *tally.dead),
            retried=outcome.retried + tally.documents_sent - len(batch),
            bytes_resent=outcome.bytes_resent + tally.bytes_sent - size_of(batch),
            longest_pause=max(outcome.longest_pause, tally.longest_pause),
        )
    return outcome
