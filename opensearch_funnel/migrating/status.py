"""How far a migration is, who is at it, and what it waits for."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.scanning import shard_states
from opensearch_funnel.migrating.journal import Journal, Slice
from opensearch_funnel.migrating.migration import Migration
from opensearch_funnel.migrating.operating import operator_at_work, workers_at_work
from opensearch_funnel.migrating.passes import documents_in

_BLOCKS = {
    "read_only_allow_delete": "takes no writes: a disk of the cluster is too full",
    "read_only": "takes no writes (index.blocks.read_only)",
    "write": "takes no writes (index.blocks.write)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardStatus:
    """How far the copying of a source shard is.

    Attributes:
        shard: its number.
        done: the operation up to which all is in the target; -1 for none.
        highest: its last operation.
    """

    shard: int
    done: int
    highest: int

    @property
    def behind(self) -> int:
        """Operations that are not copied yet."""
        return max(0, self.highest - self.done)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """A worker and the slice that it copies.

    Attributes:
        owner: host, process and when it was started.
        shard: of the source.
        lease_s: seconds until another worker may take the slice over.
        rate: documents a second, in its last page.
        note: what it waits for; empty for nothing.
    """

    owner: str
    shard: int
    lease_s: float
    rate: float
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationStatus:
    """How far a migration is.

    Attributes:
        migration: its record.
        shards: how far each shard of the source is; none where the source does not answer.
        slices: its journal.
        workers: who is at work.
        left: documents that are still to copy.
        waits: what keeps it from going on, one line each.
    """

    migration: Migration
    shards: tuple[ShardStatus, ...]
    slices: tuple[Slice, ...]
    workers: tuple[WorkerStatus, ...]
    left: int
    waits: tuple[str, ...]

    @property
    def behind(self) -> int:
        """Operations that are not copied yet."""
        return sum(one.behind for one in self.shards)

    @property
    def rate(self) -> float:
        """Documents a second, of all workers."""
        return sum(one.rate for one in self.workers)

    @property
    def seconds_left(self) -> float | None:
        """How long the rest will take at this rate; ``None`` where nobody is at work."""
        return self.left / self.rate if self.rate else None

    def to_dict(self) -> dict[str, Any]:
        """Return all of it for a program to read."""
        one = self.migration
        left = self.seconds_left
        return {
            "alias": one.alias,
            "source": one.source,
            "target": one.target,
            "phase": one.phase,
            "paused": one.paused,
            "slots": one.slots,
            "text_fields": list(one.text_fields),
            "written": sum(part.written for part in self.slices),
            "kept": sum(part.kept for part in self.slices),
            "reused": sum(part.reused for part in self.slices),
            "dead": sum(part.dead for part in self.slices),
            "deleted": one.deleted,
            "behind": self.behind,
            "left": self.left,
            "documents_per_second": round(self.rate, 1),
            "seconds_left": None if left is None else round(left),
            "shards": [{**asdict(part), "behind": part.behind} for part in self.shards],
            "workers": [asdict(part) for part in self.workers],
            "operator": one.operator if operator_at_work(one) else None,
            "waits": list(self.waits),
            "log": list(one.log),
        }


def migration_status(client: OpenSearch, migration: Migration) -> MigrationStatus:
    """Look how far a migration is; changes nothing, not even by a refresh.

    Args:
        client: the cluster.
        migration: as it is stored.

    Raises:
        EngineError: the cluster does not answer.
    """
    slices = tuple(Journal(client, target=migration.target).slices())
    waits: list[str] = []
    shards: tuple[ShardStatus, ...] = ()
    left = 0
    try:
        shards = _shards(client, migration)
        left = _left(client, migration, shards)
    except EngineError as error:
        if error.status is None:
            raise
        waits.append(f"the source {migration.source} does not answer: {error}")
    workers = _workers(client, migration, slices)
    # Later phases keep workers out in the same way, and nothing of theirs can be resumed.
    if migration.paused and migration.phase == "copying":
        waits.append(f"paused: funnel migrate resume {migration.alias}")
    waits += [f"{one.owner}: {one.note}" for one in workers if one.note]
    if migration.phase == "copying":
        waits += _blocks(client, "source", migration.source, ignored=("write",))
        waits += _blocks(client, "target", migration.target)
    return MigrationStatus(
        migration=migration,
        shards=shards,
        slices=slices,
        workers=workers,
        left=left,
        waits=tuple(waits),
    )


def _shards(client: OpenSearch, migration: Migration) -> tuple[ShardStatus, ...]:
    done = Journal(client, target=migration.target).done()
    return tuple(
        ShardStatus(shard=one.shard, done=done.get(one.shard, -1), highest=one.highest)
        for one in shard_states(client, migration.source)
    )


def _left(client: OpenSearch, migration: Migration, shards: Sequence[ShardStatus]) -> int:
    return sum(
        documents_in(client, migration.source, shard=one.shard, after=one.done, upto=one.highest)
        for one in shards
    )


def _workers(
    client: OpenSearch, migration: Migration, slices: Sequence[Slice]
) -> tuple[WorkerStatus, ...]:
    at_work = set(workers_at_work(client, migration))
    now = time.time()
    return tuple(
        WorkerStatus(
            owner=one.owner,
            shard=one.shard,
            lease_s=round(one.lease_until - now, 1),
            rate=one.rate,
            note=one.note,
        )
        for one in slices
        if one.owner in at_work and one.lease_until > now
    )


def _blocks(
    client: OpenSearch, what: str, index: str, *, ignored: tuple[str, ...] = ()
) -> list[str]:
    found = client.indices.get_settings(
        index=index, name="index.blocks.*", params={"ignore_unavailable": "true"}
    )
    if index not in found:
        exists = client.indices.exists(index=index)
        return [] if exists else [f"the {what} {index} is gone"]
    blocks = found[index]["settings"]["index"]["blocks"]
    return [
        f"the {what} {index} {says}"
        for block, says in _BLOCKS.items()
        if str(blocks.get(block)) == "true" and block not in ignored
    ]
