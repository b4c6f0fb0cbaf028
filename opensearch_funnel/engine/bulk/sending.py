"""The bulk loop: batches out, documents settled one by one, with pauses when a cluster is busy."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.bulk.batches import Batch, BulkLimits, batches
from opensearch_funnel.engine.bulk.dead_letters import DeadLetters
from opensearch_funnel.engine.bulk.lines import Indexable, Line, Refused, line_of
from opensearch_funnel.engine.bulk.patience import BlockNotice
from opensearch_funnel.engine.bulk.sender import Sender, Tally, size_of

_DEFAULTS = BulkLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReport:
    """What a load did; ``indexed + kept + dead`` is the number of documents that came in."""

    indexed: int
    """Written, or deleted."""
    dead: int
    kept: int = 0
    """Not written because of a version conflict, which ``keep_conflicts`` settles. A write whose
    answer was lost conflicts with itself when it is sent again, and is counted here, too."""
    retried: int
    """How often a document was sent again."""
    bytes: int
    """Sent in all."""
    bytes_resent: int
    """Sent more than once."""
    longest_pause: float
    """Seconds."""
    seconds: float
    """From the first document to the last answer."""


def bulk_index(  # noqa: PLR0913 - each is a choice of the caller's
    client: OpenSearch,
    documents: Iterable[Indexable | Line],
    *,
    index: str,
    dead_letters: Path | None = None,
    limits: BulkLimits = _DEFAULTS,
    params: Mapping[str, str] | None = None,
    keep_conflicts: bool = False,
    progress: Progress = SILENT,
    total: int | None = None,
) -> BulkReport:
    """Write documents to an index; each is written, or in the dead letters, or this raises.

    Documents are read, encoded and sent at once: ``documents`` runs in the calling thread while
    ``limits.senders`` threads wait for the cluster. The order of writing is not kept.

    Args:
        client: made by ``connect`` with a pool of at least ``limits.senders``.
        documents: each with an id of its own; read once, never all in memory. Lines that were
            made already are sent as they are, deletes among them.
        index: the index or write alias; it must exist, or the cluster makes one up.
        dead_letters: where refused documents go; without it the first one stops the load.
        limits: sizes, pauses and how long to keep trying.
        params: parameters of every request. ``pipeline=_none`` keeps the index's default ingest
            pipeline out; with ``require_alias=true`` a target that is gone stops the load, and
            no index is made in its place.
        keep_conflicts: a document whose version conflicts is settled: the index has it, or a
            newer one. Without it that is a dead letter.
        progress: told of every settled document, and, from a sender's thread, of a wait for a
            full disk.
        total: how many documents there are, if that is known.

    Returns:
        The counts.

    Raises:
        EngineError: the load stopped midway (or a kind of it); says how many documents were
            written. Running it again is safe: ids are explicit.
    """
    start = time.monotonic()
    with (
        progress.task("loading", total=total) as advance,
        DeadLetters(dead_letters) as letters,
    ):
        sender = Sender(
            client,
            index=index,
            limits=limits,
            params=params or {},
            keep_conflicts=keep_conflicts,
            notice=BlockNotice(progress.say),
        )
        load = _Load(sender, letters=letters, limits=limits)
        try:
            for settled in load.run(documents):
                advance(settled)
        except EngineError as error:
            raise _midway(error, written=load.indexed) from error
    return BulkReport(
        indexed=load.indexed,
        kept=load.kept,
        dead=letters.count,
        retried=load.documents_sent - load.documents_out,
        bytes=load.bytes_sent,
        bytes_resent=load.bytes_sent - load.bytes_out,
        longest_pause=load.longest_pause,
        seconds=time.monotonic() - start,
    )


def _midway(error: EngineError, *, written: int) -> EngineError:
    return type(error)(
        f"{error}; {written:,} documents were written before that, and running the same load "
        "again is safe: nothing is doubled",
        status=error.status,
        kind=error.kind,
    )


class _Load:
    """One load under way: a bounded number of batches in flight, and the counts so far."""

    def __init__(self, sender: Sender, *, letters: DeadLetters, limits: BulkLimits) -> None:
        self._sender = sender
        self._letters = letters
        self._limits = limits
        self._in_flight: set[Future[Tally]] = set()
        self.indexed = 0
        self.kept = 0
        self.documents_out = 0
        self.bytes_out = 0
        self.documents_sent = 0
        self.bytes_sent = 0
        self.longest_pause = 0.0

    def run(self, documents: Iterable[Indexable | Line]) -> Iterator[int]:
        """Send everything; each number is how many more documents are settled."""
        pool = ThreadPoolExecutor(self._limits.senders, thread_name_prefix="bulk")
        try:
            for batch in batches(self._lines(documents), pace=self._sender.pace):
                # One batch more than there are senders: the next is ready when one is free.
                while len(self._in_flight) > self._limits.senders:
                    yield self._collect()
                self.documents_out += len(batch)
                self.bytes_out += size_of(batch)
                self._in_flight.add(pool.submit(self._settle, batch))
            while self._in_flight:
                yield self._collect()
        except BaseException:
            self._sender.stop.set()
            pool.shutdown(wait=True, cancel_futures=True)
            for future in self._in_flight:
                if not future.cancelled():
                    self._count(future.result())
            raise
        pool.shutdown()

    def _lines(self, documents: Iterable[Indexable | Line]) -> Iterator[Line]:
        for document in documents:
            line = document if isinstance(document, Line) else line_of(document)
            if isinstance(line, Refused):
                self._letters.add([line])
            else:
                yield line

    def _settle(self, batch: Batch) -> Tally:
        tally = self._sender.settle(batch)
        if tally.error is not None:
            self._sender.stop.set()
        return tally

    def _collect(self) -> int:
        done, self._in_flight = wait(self._in_flight, return_when=FIRST_COMPLETED)
        tallies = [future.result() for future in done]
        for tally in tallies:
            self._count(tally)
        for tally in tallies:
            self._letters.add(tally.dead)
        for tally in tallies:
            if tally.error is not None:
                raise tally.error
        return sum(tally.indexed + tally.kept + len(tally.dead) for tally in tallies)

    def _count(self, tally: Tally) -> None:
        self.indexed += tally.indexed
        self.kept += tally.kept
        self.documents_sent += tally.documents_sent
        self.bytes_sent += tally.bytes_sent
        self.longest_pause = max(self.longest_pause, tally.longest_pause)
