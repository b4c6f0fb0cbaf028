"""The bulk loop: batches out, documents settled one by one, with pauses when a cluster is busy."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.bulk.answers import (
    BUSY,
    TOO_LARGE,
    Fate,
    Verdict,
    fate,
    refused,
    verdict,
)
from opensearch_funnel.engine.bulk.batches import (
    Batch,
    BulkLimits,
    Indexable,
    Line,
    Pace,
    Refused,
    batches,
    line_of,
)
from opensearch_funnel.engine.bulk.dead_letters import DeadLetters

_ANSWER_PATHS = "errors,items.*._id,items.*.status,items.*.error"
_DEFAULTS = BulkLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReport:
    """What a load did; ``indexed + dead`` is the number of documents that came in."""

    indexed: int
    dead: int
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


@dataclass(slots=True)
class _Tally:
    """What became of one batch."""

    indexed: int = 0
    dead: list[Refused] = field(default_factory=list)
    documents_sent: int = 0
    bytes_sent: int = 0
    longest_pause: float = 0.0
    error: EngineError | None = None
    """Why the load cannot go on."""


def bulk_index(  # noqa: PLR0913 - each is a choice of the caller's
    client: OpenSearch,
    documents: Iterable[Indexable],
    *,
    index: str,
    dead_letters: Path | None = None,
    limits: BulkLimits = _DEFAULTS,
    progress: Progress = SILENT,
    total: int | None = None,
) -> BulkReport:
    """Write documents to an index; each is written, or in the dead letters, or this raises.

    Documents are read, encoded and sent at once: ``documents`` runs in the calling thread while
    ``limits.senders`` threads wait for the cluster. The order of writing is not kept.

    Args:
        client: made by ``connect`` with a pool of at least ``limits.senders``.
        documents: each with an id of its own; read once, never all in memory.
        index: the index or write alias; it must exist, or the cluster makes one up.
        dead_letters: where refused documents go; without it the first one stops the load.
        limits: sizes, pauses and how long to keep trying.
        progress: told of every settled document.
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
        load = _Load(_Sender(client, index=index, limits=limits), letters=letters, limits=limits)
        try:
            for settled in load.run(documents):
                advance(settled)
        except EngineError as error:
            raise _midway(error, written=load.indexed) from error
    return BulkReport(
        indexed=load.indexed,
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

    def __init__(self, sender: _Sender, *, letters: DeadLetters, limits: BulkLimits) -> None:
        self._sender = sender
        self._letters = letters
        self._limits = limits
        self._in_flight: set[Future[_Tally]] = set()
        self.indexed = 0
        self.documents_out = 0
        self.bytes_out = 0
        self.documents_sent = 0
        self.bytes_sent = 0
        self.longest_pause = 0.0

    def run(self, documents: Iterable[Indexable]) -> Iterator[int]:
        """Send everything; each number is how many more documents are settled."""
        pool = ThreadPoolExecutor(self._limits.senders, thread_name_prefix="bulk")
        try:
            for batch in batches(self._lines(documents), pace=self._sender.pace):
                # One batch more than there are senders: the next is ready when one is free.
                while len(self._in_flight) > self._limits.senders:
                    yield self._collect()
                self.documents_out += len(batch)
                self.bytes_out += _size(batch)
                self._in_flight.add(pool.submit(self._sender.settle, batch))
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

    def _lines(self, documents: Iterable[Indexable]) -> Iterator[Line]:
        for document in documents:
            line = line_of(document)
            if isinstance(line, Refused):
                self._letters.add([line])
            else:
                yield line

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
        return sum(tally.indexed + len(tally.dead) for tally in tallies)

    def _count(self, tally: _Tally) -> None:
        self.indexed += tally.indexed
        self.documents_sent += tally.documents_sent
        self.bytes_sent += tally.bytes_sent
        self.longest_pause = max(self.longest_pause, tally.longest_pause)


class _Sender:
    """Sends one batch until each of its documents is settled; used by several threads."""

    def __init__(self, client: OpenSearch, *, index: str, limits: BulkLimits) -> None:
        self._client = client
        self._index = index
        self._limits = limits
        self.pace = Pace(limits)
        self.stop = Event()

    def settle(self, batch: Batch) -> _Tally:
        """Send a batch, and what is left of it again, until nothing is left.

        Returns:
            The counts; with an error where the cluster took nothing for too long or never will.
        """
        tally = _Tally()
        try:
            self._settle(batch, tally=tally)
        except EngineError as error:
            tally.error = error
            self.stop.set()
        return tally

    def _settle(self, batch: Batch, *, tally: _Tally) -> None:
        patience = _Patience(self._limits)
        todo = [batch]
        while todo and not self.stop.is_set():
            part = todo.pop()
            try:
                outcome = verdict(part, self._ask(part, tally=tally))
                cause = EngineError(f"OpenSearch takes no more: {outcome.reason}", status=BUSY)
            except EngineError as error:
                if fate(error) is Fate.STOP:
                    raise
                if fate(error) is Fate.HALVE:
                    todo += self._halves(part, error, tally=tally)
                    continue
                outcome, cause = Verdict(0, again=part), error
            tally.indexed += outcome.indexed
            tally.dead += outcome.dead
            if not outcome.again:
                if part is batch:
                    self.pace.accepted()
                continue
            todo.append(outcome.again)
            self.pace.busy()
            if len(outcome.again) < len(part):
                patience = _Patience(self._limits)
            pause = patience.next_pause(cause)
            tally.longest_pause = max(tally.longest_pause, pause)
            self.stop.wait(pause)

    def _ask(self, part: Batch, *, tally: _Tally) -> Any:
        tally.documents_sent += len(part)
        tally.bytes_sent += _size(part)
        return self._client.bulk(
            body=b"".join(line.payload for line in part),
            index=self._index,
            params={"filter_path": _ANSWER_PATHS},
            headers={"content-type": "application/x-ndjson"},
        )

    def _halves(self, part: Batch, error: EngineError, *, tally: _Tally) -> list[Batch]:
        """Close in on the document that makes a whole request fail."""
        if error.status == TOO_LARGE:
            self.pace.too_large()
        if len(part) == 1:
            tally.dead.append(refused(part[0], status=error.status or 0, reason=str(error)))
            return []
        middle = len(part) // 2
        return [part[middle:], part[:middle]]


class _Patience:
    """How long to go on with a batch of which nothing is accepted."""

    def __init__(self, limits: BulkLimits) -> None:
        self._limits = limits
        self._since = time.monotonic()
        self._tries = 0

    def next_pause(self, cause: EngineError) -> float:
        """Draw the seconds to wait before the next try; raise the cause when it is enough."""
        self._tries += 1
        spent = time.monotonic() - self._since
        if self._tries >= self._limits.max_tries or spent >= self._limits.max_seconds:
            raise type(cause)(
                f"{cause} (gave up after {self._tries} tries in {spent:.0f} s)",
                status=cause.status,
                kind=cause.kind,
            )
        ceiling = min(self._limits.longest_pause, self._limits.first_pause * 2 ** (self._tries - 1))
        return random.uniform(0.0, ceiling)  # noqa: S311 - jitter keeps no secret


def _size(batch: Batch) -> int:
    return sum(len(line.payload) for line in batch)
