"""Run a migration: copy what the source has, then what was written meanwhile, until it is even.

One pass: up to which operation does a search see everything (``shard_bounds``); write slices up
to there into the journal; copy slices until none is left, this worker's or another's; delete what
was deleted. The next pass begins where the journal ends. So a copy that was cut off, a copy that
goes on, and the last few writes before a cutover are all the same thing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import isinf
from pathlib import Path
from threading import Event

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.scanning import shard_bounds, shard_states
from opensearch_funnel.migrating.canary import Canary, canary_search
from opensearch_funnel.migrating.encoding import SlotEncoder
from opensearch_funnel.migrating.guarding import still_planned
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.passes import Worker, WorkOptions
from opensearch_funnel.migrating.patience import PATIENCE_S, Patience
from opensearch_funnel.migrating.run_report import Outcome, RunReport
from opensearch_funnel.migrating.target import follow_source, make_target
from opensearch_funnel.migrating.throttle import (
    FixedRate,
    ForegroundThrottle,
    Throttle,
    Unthrottled,
)

_LONG_PASS_S = 60.0
_SHRINKS, _STUCK = 0.7, 3
_FOLLOW_S = 2.0
_CATCH_UP_PATIENCE_S, _CATCH_UP_SENDERS = 30.0, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a migration is run.

    Attributes:
        follow: go on when the target is even with the source, until paused or stopped.
        documents_per_second: at most; infinity for as fast as it goes; ``None`` watches how
            long searches of the source take, and pauses while they take longer than before.
        patience_s: how long to wait for a cluster that does not answer or is too busy.
        work: how the worker works.
    """

    follow: bool = False
    documents_per_second: float | None = None
    patience_s: float = PATIENCE_S
    work: WorkOptions = field(default_factory=WorkOptions)


def run(  # noqa: PLR0913 - what it works on, how, and who hears of it
    client: OpenSearch,
    migration: Migration,
    *,
    encoder: SlotEncoder,
    options: RunOptions | None = None,
    progress: Progress = SILENT,
    stopped: Event | None = None,
) -> RunReport:
    """Copy until the target is even with the source, but for what is written at this moment.

    Any number of workers may do this at once, and any of them may be killed at any point: what
    is written down in the journal is in the target, and what is not is copied again.

    Args:
        client: made by ``connect``.
        migration: as planned; its target is made if it is not there.
        encoder: fills the slot (``open_slot_encoder``).
        options: how.
        progress: hears of every page, and what the work waits for.
        stopped: ends the work after the page that is being written.

    Returns:
        What was done.

    Raises:
        InputError: the migration is past copying, was ended or planned anew, or one of its indices
            is gone, replaced or changed.
        EngineError: the cluster was away for too long, or takes no documents any more.
        FunnelError: a model cannot be run.
    """
    options = options or RunOptions()
    stopped = stopped or Event()
    patience = Patience(seconds=options.patience_s, progress=progress, stopped=stopped)
    made = patience.call(lambda: make_target(client, migration))
    patience = Patience(
        seconds=options.patience_s,
        progress=progress,
        stopped=stopped,
        look=lambda: still_planned(client, made),
    )

    def may_go_on() -> bool:
        present = still_planned(client, made)
        if present.phase != "copying" and not present.paused:
            raise InputError(
                f"the migration of {present.alias} is {present.phase.replace('_', ' ')} by now"
            )
        return not present.paused

    start = time.monotonic()
    with _throttle(client, made, options=options, progress=progress) as throttle:
        worker = Worker(
            client,
            made,
            encoder=encoder,
            may_go_on=may_go_on,
            patience=patience,
            stopped=stopped,
            throttle=throttle,
            options=options.work,
            progress=progress,
        )
        running = _Running(client, made, worker=worker, patience=patience, options=options)
        ended = running.until_even(may_go_on=may_go_on, stopped=stopped)
        if not ended:
            outcome: Outcome = "stopped" if stopped.is_set() else "paused"
        else:
            outcome = "caught_up"
    return running.report(outcome, seconds=time.monotonic() - start)


def catch_up(  # noqa: PLR0913 - as run
    client: OpenSearch,
    migration: Migration,
    *,
    encoder: SlotEncoder,
    deadline_s: float | None = None,
    letters: Path | None = None,
    progress: Progress = SILENT,
) -> RunReport:
    """Copy all that is in the source, and delete what is not, once: for a source that rests.

    For the time of a write block: as fast as it goes, whatever is paused. Workers have to have
    stopped (``stop_workers``).

    Args:
        client: made by ``connect``.
        migration: whose source nobody writes to.
        encoder: fills the slot.
        deadline_s: how long it may take.
        letters: the folder for refused documents; below the settings' home if not given.
        progress: hears what is waited for.

    Returns:
        What was done; source and target are the same then, but for what is ``missing``.

    Raises:
        InputError: as ``run``.
        EngineError: there are writes under way; it took longer than it may; or as ``run``.
    """
    start = time.monotonic()
    stopped = Event()
    seconds = _CATCH_UP_PATIENCE_S if deadline_s is None else deadline_s
    patience = Patience(
        seconds=seconds,
        progress=progress,
        stopped=stopped,
        look=lambda: still_planned(client, migration),
    )

    def may_go_on() -> bool:
        if deadline_s is not None and time.monotonic() - start > deadline_s:
            raise EngineError(
                f"{migration.target} was not even with {migration.source} after {deadline_s:.1f} "
                "s: let it be copied further first (funnel migrate run)"
            )
        still_planned(client, migration)
        return True

    worker = Worker(
        client,
        migration,
        encoder=encoder,
        may_go_on=may_go_on,
        patience=patience,
        stopped=stopped,
        options=WorkOptions(letters=letters, senders=_CATCH_UP_SENDERS, yields=False),
        progress=progress,
    )
    bounds = patience.call(lambda: shard_bounds(client, migration.source, settled=True))
    patience.call(lambda: follow_source(client, migration))
    worker.behind(bounds)
    worker.copy(bounds)
    removal = worker.remove_deleted(bounds)
    worker.counts.passes = 1
    return RunReport(
        outcome="caught_up",
        counts=worker.counts,
        seconds=time.monotonic() - start,
        bounds=bounds,
        missing=removal.missing,
        dead_letters=worker.letters if worker.counts.dead else None,
    )


@dataclass(slots=True)
class _Running:
    """The passes of one run."""

    client: OpenSearch
    migration: Migration
    worker: Worker = field(kw_only=True)
    patience: Patience = field(kw_only=True)
    options: RunOptions = field(kw_only=True)
    bounds: dict[int, int] = field(default_factory=dict, init=False)
    missing: dict[int, tuple[str, ...]] = field(default_factory=dict, init=False)
    _compared: dict[int, int] = field(default_factory=dict, init=False)

    def until_even(self, *, may_go_on: Callable[[], bool], stopped: Event) -> bool:
        """Make passes until one had little to do; ``False`` where the work was to stop."""
        before, stuck, source = float("inf"), 0, self.migration.source
        while not stopped.is_set() and self.patience.call(may_go_on):
            begun = time.monotonic()
            self.bounds = self.patience.call(lambda: shard_bounds(self.client, source))
            self.patience.call(lambda: follow_source(self.client, self.migration))
            behind = self.worker.behind(self.bounds)
            little = behind < self.options.work.page
            if not self.worker.copy(self.bounds, label=None if little else "copying"):
                return False
            self.worker.counts.passes += 1
            # With writers that are as fast as the copying, no pass gets any shorter.
            stuck = stuck + 1 if behind > _SHRINKS * before else 0
            before = behind
            even = little or stuck >= _STUCK
            if even or time.monotonic() - begun < _LONG_PASS_S:
                self._compare()
            if even and not self.options.follow:
                return True
            if even and stopped.wait(_FOLLOW_S):
                return False
        return False

    def report(self, outcome: Outcome, *, seconds: float) -> RunReport:
        """Say what was done."""
        return RunReport(
            outcome=outcome,
            counts=self.worker.counts,
            seconds=seconds,
            throttled_s=self.worker.throttled_s,
            behind=self._behind(),
            bounds=self.bounds,
            missing=self.missing,
            dead_letters=self.worker.letters if self.worker.counts.dead else None,
        )

    def _compare(self) -> None:
        """Delete what is gone, unless nothing was written since the last time."""
        if self.bounds != self._compared:
            self.missing = dict(self.worker.remove_deleted(self.bounds).missing)
            self._compared = self.bounds

    def _behind(self) -> int:
        done = self.patience.call(self.worker.journal.done)
        states = self.patience.call(lambda: shard_states(self.client, self.migration.source))
        return sum(max(0, state.highest - done.get(state.shard, -1)) for state in states)


@contextmanager
def _throttle(
    client: OpenSearch, migration: Migration, *, options: RunOptions, progress: Progress
) -> Iterator[Throttle]:
    rate = options.documents_per_second
    if rate is not None:
        yield Unthrottled() if isinf(rate) else FixedRate(rate)
        return
    search = canary_search(client, migration.source, fields=migration.text_fields)
    if search is None:
        progress.say(f"no words in {migration.source} to watch searches with: not throttled")
        yield Unthrottled()
        return
    canary = Canary(search)
    with canary.watching():
        yield ForegroundThrottle(canary)
