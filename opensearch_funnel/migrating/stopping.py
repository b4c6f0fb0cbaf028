"""Ask the workers of a migration to stop, and wait until they have."""

from __future__ import annotations

import time
from dataclasses import replace

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.migrating.migration import Migration, update_migration
from opensearch_funnel.migrating.operating import workers_at_work

_LOOK_S = 0.2


def stop_workers(
    client: OpenSearch,
    migration: Migration,
    *,
    timeout_s: float = 120.0,
    progress: Progress = SILENT,
) -> Migration:
    """Pause a migration, and wait until no worker copies any more.

    A worker looks at the mark before it writes a page, and then gives its slice back. One that
    was killed is waited for until its lease is void, unless it ran on this machine.

    Args:
        client: the cluster.
        migration: whose workers.
        timeout_s: how long to wait.
        progress: hears who is waited for.

    Returns:
        The migration, paused.

    Raises:
        InputError: some worker was still at work then; the migration stays paused.
    """
    paused = update_migration(client, migration.alias, lambda now: replace(now, paused=True))
    end = time.monotonic() + timeout_s
    told = False
    while at_work := workers_at_work(client, paused):
        if time.monotonic() >= end:
            raise InputError(
                f"{' and '.join(at_work)} still copies after {timeout_s:.0f} s: stop that "
                "process, or wait for its page to end, and try again"
            )
        if not told:
            progress.say(f"waiting for {' and '.join(at_work)} to end a page")
            told = True
        time.sleep(_LOOK_S)
    return paused
