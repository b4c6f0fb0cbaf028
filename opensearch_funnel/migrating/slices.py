"""Copy one slice: while a page is written, the next one is read and encoded."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from math import inf
from threading import Event

from opensearchpy import OpenSearch

from opensearch_funnel.engine.scanning import read_page
from opensearch_funnel.migrating.copying import Page, PageMaker
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.held_slice import HeldSlice
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.patience import Patience
from opensearch_funnel.migrating.priority import start_in_background
from opensearch_funnel.migrating.throttle import Throttle
from opensearch_funnel.migrating.writing import Writer, Written

PAGE = 500
_FIRST_PAGE = 50
_PAGE_BYTES = 8_000_000
_GIVE_UP_S = 30.0


@dataclass(slots=True)
class PageSize:
    """How many documents to read next: few at first, then as many as are not too much.

    Attributes:
        most: never more.
        documents: of the next page.

    Example:
        >>> size = PageSize(most=500)
        >>> size.after(documents=50, bytes_read=100_000, seconds=1.0)
        100
        >>> size.after(documents=100, bytes_read=32_000_000, seconds=2.0)
        25
        >>> size.after(documents=25, bytes_read=50_000, seconds=2.0, at_most_s=0.5)
        6
    """

    most: int = PAGE
    documents: int = field(init=False)

    def __post_init__(self) -> None:
        """Begin with a small page: nothing is known of the documents yet."""
        self.documents = min(_FIRST_PAGE, self.most)

    def after(
        self, *, documents: int, bytes_read: int, seconds: float, at_most_s: float = inf
    ) -> int:
        """Learn from a page, and return how many documents the next one has.

        Args:
            documents: of the page.
            bytes_read: of these.
            seconds: that it took to make.
            at_most_s: how long the next one may take.
        """
        if not documents:
            return self.documents
        by_bytes = _PAGE_BYTES * documents / max(1, bytes_read)
        by_time = at_most_s * documents / max(1e-3, seconds)
        self.documents = max(1, int(min(self.most, 2 * self.documents, by_bytes, by_time)))
        return self.documents


@dataclass(slots=True, kw_only=True)
class SliceCopier:
    """Copies slices of a migration, one after the other.

    Attributes:
        client: the cluster.
        migration: what is copied where.
        encoder: fills the slot.
        writer: writes to the target.
        patience: waits for a cluster that is away.
        throttle: pauses for other people's searches.
        size: how many documents a page has.
        may_go_on: asked before each page is written; ``False`` stops the work, and what it raises
            does, too.
        wrote: hears of every page that was written down.
        stopped: ends every waiting.
        yields: make pages when nobody else wants the core; not while writers are kept waiting.
    """

    client: OpenSearch
    migration: Migration
    encoder: SlotEncoder
    writer: Writer
    patience: Patience
    throttle: Throttle
    may_go_on: Callable[[], bool]
    wrote: Callable[[Page, Written], None]
    size: PageSize = field(default_factory=PageSize)
    stopped: Event = field(default_factory=Event)
    yields: bool = True
    paused_s: float = field(default=0.0, init=False)
    _owed: int = field(default=0, init=False)
    _pause_s: float = field(default=0.0, init=False)
    _begun: float = field(default=0.0, init=False)
    _wrote_at: float = field(default=0.0, init=False)
    _abandoned: Event = field(default_factory=Event, init=False)

    def copy(self, held: HeldSlice) -> bool:
        """Copy what is left of a slice.

        A page is written down as done when every document of it is in the target, or on disk
        among the dead letters; pages are done in order. Whatever ends this early, what was
        written down is true, and a page that was not is copied again by whoever comes next.

        Returns:
            Whether it is finished; ``False`` where the work was to stop.

        Raises:
            LeaseLostError: another worker has taken the slice over.
            EngineError: the cluster was away for too long, or takes no documents any more.
        """
        maker = PageMaker(
            client=self.client,
            migration=self.migration,
            encoder=self.encoder,
            shard=held.slice.shard,
        )
        ahead: Future[Page] | None = None
        self._abandoned = Event()
        self._wrote_at = time.monotonic()
        try:
            self._rest()
            ahead = self._start(maker, after=held.slice.done, upto=held.slice.upto)
            while ahead is not None:
                page = ahead.result()
                self._rest()
                more = page.done < held.slice.upto
                following = (
                    self._start(maker, after=page.done, upto=held.slice.upto) if more else None
                )
                ahead = following
                if self.stopped.is_set() or not self.patience.call(self.may_go_on):
                    return False
                self._write(held, page)
        except (KeyboardInterrupt, SystemExit):
            self.stopped.set()
            raise
        finally:
            self._abandoned.set()
            if ahead is not None:
                # Nobody wants it any more; a model at work is not torn down under it, though.
                wait([ahead], timeout=_GIVE_UP_S)
        return True

    def note(self) -> str:
        """Say what the work waits for; empty for nothing."""
        if self.patience.cause:
            return self.patience.cause
        if self._pause_s:
            return f"searches are slower than before: pauses {self._pause_s:.1f} s behind each page"
        return ""

    def _start(self, maker: PageMaker, *, after: int, upto: int) -> Future[Page]:
        return start_in_background(
            lambda: self._make(maker, after=after, upto=upto), yields=self.yields
        )

    def _make(self, maker: PageMaker, *, after: int, upto: int) -> Page:
        size, abandoned = self.size.documents, self._abandoned

        def read() -> Page:
            documents = read_page(
                self.client,
                self.migration.source,
                shard=maker.shard,
                after=after,
                upto=upto,
                size=size,
            )
            full = len(documents) == size
            return maker.make(documents, done=documents[-1].seq_no if full else upto)

        begun = time.monotonic()
        page = self.patience.call(read, stopped=abandoned)
        self.size.after(
            documents=page.documents,
            bytes_read=page.bytes,
            seconds=time.monotonic() - begun,
            at_most_s=self.throttle.page_s,
        )
        return page

    def _write(self, held: HeldSlice, page: Page) -> None:
        self.patience.call(held.require)
        written = self.patience.call(lambda: self.writer.write(page))
        seconds = max(1e-3, time.monotonic() - self._wrote_at)
        self._wrote_at = time.monotonic()
        self.patience.call(
            lambda: held.checkpoint(
                done=page.done,
                rate=round(page.documents / seconds, 1),
                written=written.written,
                kept=page.kept + written.kept,
                reused=page.reused,
                dead_at=written.dead_at,
            )
        )
        self._owed += page.documents
        self.wrote(page, written)

    def _rest(self) -> None:
        """Pause for as long as the last page asks for; nothing else goes on meanwhile."""
        if self._owed:
            seconds = time.monotonic() - self._begun
            self._pause_s = self.throttle.pause_after(documents=self._owed, seconds=seconds)
            if self._pause_s:
                with self.throttle.pausing():
                    self.stopped.wait(self._pause_s)
                self.paused_s += self._pause_s
            self._owed = 0
        self._begun = time.monotonic()
