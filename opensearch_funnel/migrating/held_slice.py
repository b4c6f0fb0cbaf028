"""A slice in the hands of a worker: its lease is renewed while a page takes its time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.migrating.journal import LEASE_S, Journal, Lease, LeaseLostError, Slice

_BEATS = 6
_ENDS_S = 5.0


class HeldSlice:
    """The lease of a slice while the context is open; given back at its end.

    A page may take longer than a lease lasts: a large model on a small machine, a disk that is
    full. So a thread renews it. A worker that is stopped as a whole (SIGSTOP, a virtual machine
    that is paused) does not renew it, and hears of that before it writes again.

    Args:
        journal: where the slice is written down.
        lease: as it was claimed.
        lease_s: how long a lease lasts; it is renewed six times in that.
        note: says what the worker waits for; written down with each renewal.
    """

    def __init__(
        self,
        journal: Journal,
        lease: Lease,
        *,
        lease_s: float = LEASE_S,
        note: Callable[[], str] = str,
    ) -> None:
        self._journal = journal
        self._lease = lease
        self._lease_s = lease_s
        self._lock = Lock()
        self._stop = Event()
        self._lost: LeaseLostError | None = None
        self._thread = Thread(target=self._beat, name="lease", daemon=True)
        self._note = note

    @property
    def slice(self) -> Slice:
        """The slice as last written down."""
        return self._lease.slice

    def require(self) -> None:
        """Make sure that the slice still is this worker's.

        Raises:
            LeaseLostError: another worker has taken it over.
            EngineError: the lease is void, and cannot be renewed.
        """
        if self._lost is not None:
            raise self._lost
        if time.time() >= self._lease.slice.lease_until:
            self._keep()

    def checkpoint(
        self,
        *,
        done: int,
        rate: float | None = None,
        dead_at: Iterable[int] = (),
        **counts: int,
    ) -> None:
        """Write down how far the slice is; as ``Journal.checkpoint``.

        Raises:
            LeaseLostError: another worker has taken it over.
        """
        with self._lock:
            self._lease = self._journal.checkpoint(
                self._lease, done=done, rate=rate, dead_at=dead_at, **counts
            )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(_ENDS_S)
        # A cluster that is away keeps the lease; it is void when this process has ended.
        with suppress(EngineError):
            self._journal.release(self._lease)

    def _keep(self) -> None:
        with self._lock:
            self._lease = self._journal.keep(self._lease, note=self._note())

    def _beat(self) -> None:
        while not self._stop.wait(self._lease_s / _BEATS):
            try:
                self._keep()
            except LeaseLostError as error:
                self._lost = error
                return
            except EngineError:
                continue
