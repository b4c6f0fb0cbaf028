"""The lock of the steps of a migration that only one may be at: cutover, rollback, cleanup."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from threading import Event, Thread

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, FunnelError, InputError
from opensearch_funnel.migrating.journal import Journal, surely_ended, worker_name
from opensearch_funnel.migrating.migration import Migration, find_migration, update_migration

HOLD_S = 60.0
"""How long a lock is good for; it is renewed while the step goes on."""


def operator_at_work(migration: Migration) -> bool:
    """Say whether somebody is at a step that only one may be at, this process aside.

    One of this machine that was killed is not: its lock is void at once. One of another machine
    is thought to be at work until its lock runs out.
    """
    if not migration.operator or migration.operator_until <= time.time():
        return False
    return not surely_ended(migration.operator, asking=worker_name())


def workers_at_work(client: OpenSearch, migration: Migration) -> list[str]:
    """Name the workers that copy a slice of the migration right now."""
    asking = worker_name()
    owners = {
        one.owner
        for one in Journal(client, target=migration.target).slices()
        if one.owner
        and one.owner != asking
        and one.lease_until > time.time()
        and not surely_ended(one.owner, asking=asking)
    }
    return sorted(owners)


@contextmanager
def operating(
    client: OpenSearch, migration: Migration, *, step: str, hold_s: float = HOLD_S
) -> Iterator[Migration]:
    """Be the only one at a step of a migration while the context is open.

    Args:
        client: the cluster.
        migration: as it was read; one that was planned anew in the meantime is refused.
        step: what is done, for whoever finds the lock taken.
        hold_s: how long the lock is good for if this process dies on another machine than the
            one that asks for it; renewed three times in that time.

    Yields:
        The migration as it is stored.

    Raises:
        InputError: somebody else is at such a step, or the migration is another one by now.
    """
    own = worker_name()

    def take(present: Migration) -> Migration:
        if present.target != migration.target:
            raise InputError(
                f"the migration of {migration.alias} is another one by now: see funnel migrate "
                f"status {migration.alias}"
            )
        if operator_at_work(present):
            left = present.operator_until - time.time()
            raise InputError(
                f"{step} of {present.alias} has to wait: {present.operator} is at a step that "
                f"only one may be at; if that process is gone, this frees itself in {left:.0f} s"
            )
        return replace(present, operator=own, operator_until=time.time() + hold_s)

    stored = update_migration(client, migration.alias, take)
    stopped = Event()
    beat = Thread(
        target=_keep,
        kwargs={"client": client, "migration": stored, "hold_s": hold_s, "stopped": stopped},
        name=f"lock of {migration.alias}",
        daemon=True,
    )
    beat.start()
    try:
        yield stored
    finally:
        stopped.set()
        beat.join()
        _give_back(client, stored, own=own)


def _keep(*, client: OpenSearch, migration: Migration, hold_s: float, stopped: Event) -> None:
    """Renew the lock until told to stop; a cluster that does not answer now may do so later."""
    while not stopped.wait(hold_s / 3):
        try:
            update_migration(client, migration.alias, lambda now: _renewed(now, migration, hold_s))
        except FunnelError:
            continue


def _renewed(present: Migration, migration: Migration, hold_s: float) -> Migration:
    if (present.target, present.operator) != (migration.target, migration.operator):
        return present
    return replace(present, operator_until=time.time() + hold_s)


def _give_back(client: OpenSearch, migration: Migration, *, own: str) -> None:
    """Free the lock, if there still is one of ours: a cleanup takes the record away with it."""

    def free(present: Migration) -> Migration:
        if (present.target, present.operator) != (migration.target, own):
            return present
        return replace(present, operator="", operator_until=0.0)

    try:
        if find_migration(client, migration.alias) is not None:
            update_migration(client, migration.alias, free)
    except (EngineError, InputError):
        # Void as soon as this process has ended, or when it runs out.
        return
