"""One pass of a migration: copy all slices up to some operations, and delete what is gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.scanning import seq_no_histogram
from opensearch_funnel.migrating.copying import Page
from opensearch_funnel.migrating.deletes import Removal, remove_deleted
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.held_slice import HeldSlice
from opensearch_funnel.migrating.journal import (
    LEASE_S,
    SLICE_OPERATIONS,
    Journal,
    LeaseLostError,
    worker_name,
)
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.patience import Patience
from opensearch_funnel.migrating.run_report import Counts
from opensearch_funnel.migrating.slices import PAGE, PageSize, SliceCopier
from opensearch_funnel.migrating.throttle import Throttle, Unthrottled
from opensearch_funnel.migrating.writing import Writer, Written
from opensearch_funnel.settings import load_settings

_LOOK_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkOptions:
    """How a worker works.

    Attributes:
        page: most documents of a page: what is copied again if the worker is killed.
        senders: bulk requests at once; with one, searches always find another core of a node free.
        slice_operations: most operations of a slice: what one worker leases.
        lease_s: how long another worker waits for one that was killed on another machine.
        letters: the folder for refused documents; below the settings' home if not given.
        yields: make pages when nobody else wants the core; not while writers are kept waiting.
        owner: who the worker is; this process if not given.
    """

    page: int = PAGE
    senders: int = 1
    slice_operations: int = SLICE_OPERATIONS
    lease_s: float = LEASE_S
    letters: Path | None = None
    yields: bool = True
    owner: str = field(default_factory=worker_name)

    def letters_of(self, migration: Migration) -> Path:
        """Return the file for the documents that this worker finds refused."""
        folder = self.letters or load_settings().home / "migrations" / migration.target
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in self.owner)
        return folder / f"dead-{safe}.ndjson.gz"


class Worker:
    """Copies slices of a migration, and deletes what is gone.

    Args:
        client: the cluster.
        migration: what is copied where; its target is made.
        encoder: fills the slot.
        may_go_on: asked before each page and while others are waited for.
        patience: waits for a cluster that is away.
        stopped: ends every waiting.
        throttle: pauses for other people's searches.
        options: how to work.
        progress: hears of every page, and what the work waits for.
    """

    def __init__(  # noqa: PLR0913 - what a worker needs, each of another kind
        self,
        client: OpenSearch,
        migration: Migration,
        *,
        encoder: SlotEncoder,
        may_go_on: Callable[[], bool],
        patience: Patience,
        stopped: Event,
        throttle: Throttle | None = None,
        options: WorkOptions | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self._options = options or WorkOptions()
        self._client = client
        self._migration = migration
        self._may_go_on = may_go_on
        self._patience = patience
        self._stopped = stopped
        self._progress = progress
        self.counts = Counts()
        self.letters = self._options.letters_of(migration)
        self.journal = Journal(client, target=migration.target, lease_s=self._options.lease_s)
        self._writer = Writer(
            client=client,
            alias=migration.writing_alias,
            letters=self.letters,
            patience_s=patience.seconds,
            senders=self._options.senders,
            progress=progress,
        )
        self._advance: Callable[[int], None] = lambda _: None
        self._copier = SliceCopier(
            client=client,
            migration=migration,
            encoder=encoder,
            writer=self._writer,
            patience=patience,
            throttle=throttle or Unthrottled(),
            may_go_on=may_go_on,
            wrote=self._wrote,
            size=PageSize(most=self._options.page),
            stopped=stopped,
            yields=self._options.yields,
        )

    @property
    def throttled_s(self) -> float:
        """Seconds that were paused for other people's searches."""
        return self._copier.paused_s

    def behind(self, bounds: Mapping[int, int]) -> int:
        """Add slices up to some operations, and return how many operations are still to copy."""
        operations = self._options.slice_operations
        self._patience.call(lambda: self.journal.extend(dict(bounds), operations=operations))
        done = self._patience.call(self.journal.done)
        return sum(max(0, bound - done.get(shard, -1)) for shard, bound in bounds.items())

    def copy(self, bounds: Mapping[int, int], *, label: str | None = None) -> bool:
        """Copy slices until all up to some operations is in the target.

        What other workers copy is waited for; what they leave behind is taken over.

        Args:
            bounds: by shard of the source.
            label: what the progress is called; it is not reported without.

        Returns:
            Whether all is there; ``False`` where the work was to stop.

        Raises:
            EngineError: the cluster was away for too long, or takes no documents any more.
        """
        task = (
            self._progress.task(label, total=self._left(bounds)) if label else nullcontext(_forget)
        )
        try:
            with task as advance:
                self._advance = advance
                return self._copy(bounds)
        except BaseException:
            # Whoever is interrupted may have been given a slice that he does not know of yet.
            with suppress(EngineError):
                self.journal.release_all(owner=self._options.owner)
            raise

    def remove_deleted(self, bounds: Mapping[int, int]) -> Removal:
        """Delete the copies of documents that are gone; all up to the bounds was copied."""
        removal = self._patience.call(
            lambda: remove_deleted(self._client, self._migration, bounds, writer=self._writer)
        )
        self.counts.deleted += removal.deleted
        return removal

    def _copy(self, bounds: Mapping[int, int]) -> bool:
        told = ""
        while True:
            lease = self._patience.call(lambda: self.journal.claim(owner=self._options.owner))
            if lease is not None:
                held = HeldSlice(
                    self.journal,
                    lease,
                    lease_s=self._options.lease_s,
                    note=self._copier.note,
                )
                try:
                    with held:
                        if not self._copier.copy(held):
                            return False
                except LeaseLostError as error:
                    self._progress.say(str(error))
                continue
            if self.behind(bounds) == 0:
                return True
            others = self._others()
            if others and others != told:
                self._progress.say(f"waiting for what {others} copies")
                told = others
            if self._stopped.wait(_LOOK_S) or not self._patience.call(self._may_go_on):
                return False

    def _others(self) -> str:
        slices = self._patience.call(self.journal.slices)
        now = time.time()
        return " and ".join(
            sorted({one.owner for one in slices if one.owner and one.lease_until > now})
        )

    def _left(self, bounds: Mapping[int, int]) -> int:
        """Count the documents that are still to copy."""
        done = self._patience.call(self.journal.done)
        ranges = [(shard, done.get(shard, -1), bound) for shard, bound in bounds.items()]
        return self._patience.call(lambda: sum(self._documents_in(*one) for one in ranges))

    def _documents_in(self, shard: int, after: int, upto: int) -> int:
        return documents_in(
            self._client, self._migration.source, shard=shard, after=after, upto=upto
        )

    def _wrote(self, page: Page, written: Written) -> None:
        self.counts.add(page, written)
        self._advance(page.documents)


def documents_in(client: OpenSearch, index: str, *, shard: int, after: int, upto: int) -> int:
    """Count the documents of a shard that were last written by some operations."""
    if upto <= after:
        return 0
    counts = seq_no_histogram(
        client, index, shard=shard, after=after, upto=upto, interval=upto - after
    )
    return sum(counts.values())


def _forget(documents: int) -> None:
    del documents
