"""The journal of a migration: which operations of each source shard are copied, and who is at it.

A slice is a range of a shard's operations (``_seq_no``). A worker leases one, copies it page by
page, and writes down after each page how far the slice is: only what the target has acknowledged.
A worker that is killed loses its lease after a while, and the next one goes on behind the last
page that was written down. Two that copy the same page do no harm: each document is written under
its own id with its own version.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.engine.records import (
    RecordChangedError,
    Version,
    create_record,
    delete_record,
    get_versioned,
    list_records,
    replace_record,
)

SLICE_OPERATIONS = 50_000
LEASE_S = 60.0


class LeaseLostError(FunnelError):
    """Another worker has taken the slice over: whoever hears of this stops working on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Operations of one source shard: those behind ``after``, up to and with ``upto``.

    Attributes:
        shard: number of the source shard.
        after: the last operation of the slice before it; -1 for the first one.
        upto: its own last operation.
        done: the last operation that is in the target for sure.
        owner: who copies it; empty for nobody.
        lease_until: when that is void, in seconds since 1970.
        written: documents that were written.
        kept: documents of which the target had this version or a later one.
        reused: of those written, how many had the fields of the target's older version.
        dead_at: the operations of documents that the target refused.
        rate: documents a second, of the last pages.
        note: what its owner waits for; empty for nothing.
    """

    shard: int
    after: int
    upto: int
    done: int
    owner: str = ""
    lease_until: float = 0.0
    written: int = 0
    kept: int = 0
    reused: int = 0
    dead_at: tuple[int, ...] = ()
    rate: float = 0.0
    note: str = ""

    @property
    def dead(self) -> int:
        """How many documents the target refused."""
        return len(self.dead_at)

    @property
    def finished(self) -> bool:
        """Whether all of it is in the target."""
        return self.done >= self.upto


@dataclass(frozen=True, slots=True)
class Lease:
    """A slice that one worker copies, at the version of the record that says so."""

    slice: Slice
    version: Version


def worker_name() -> str:
    """Return what tells this process from every other worker, on this machine and others."""
    return f"{socket.gethostname()}:{os.getpid()}:{_started(os.getpid())}"


class Journal:
    """The slices of one migration.

    Args:
        client: the cluster.
        target: the migration's target: what tells its slices from another's.
        lease_s: how long a worker may be silent before its slice is given to another one.
    """

    def __init__(self, client: OpenSearch, *, target: str, lease_s: float = LEASE_S) -> None:
        self._client = client
        self._target = target
        self._lease_s = lease_s

    def slices(self) -> list[Slice]:
        """Read all slices, in the order of shards and operations."""
        return [one for one, _ in self._read()]

    def done(self) -> dict[int, int]:
        """Return, by shard, up to which operation every one is copied; -1 for none.

        A slice that is not finished holds back all that come behind it, and so does one that is
        not there.
        """
        reached: dict[int, int] = {}
        open_shards: set[int] = set()
        for one in self.slices():
            if one.shard in open_shards:
                continue
            if one.after > reached.setdefault(one.shard, -1):
                open_shards.add(one.shard)
                continue
            reached[one.shard] = one.done
            if not one.finished:
                open_shards.add(one.shard)
        return reached

    def dead(self) -> dict[int, set[int]]:
        """Return, by shard, the operations of documents that the target refused."""
        found: dict[int, set[int]] = {}
        for one in self.slices():
            found.setdefault(one.shard, set()).update(one.dead_at)
        return found

    def extend(self, bounds: dict[int, int], *, operations: int = SLICE_OPERATIONS) -> int:
        """Add slices up to the given operation of each shard, behind those that there are.

        Args:
            bounds: by shard, the last operation that has to be copied.
            operations: most operations of a slice.

        Returns:
            How many operations were added.
        """
        last: dict[int, Lease] = {}
        for one, version in self._read():
            if one.shard not in last or one.upto > last[one.shard].slice.upto:
                last[one.shard] = Lease(one, version)
        added = 0
        for shard, bound in sorted(bounds.items()):
            end = last[shard].slice.upto if shard in last else -1
            if shard in last:
                longer = self._lengthen(last[shard], bound=bound, operations=operations)
                if longer is None:
                    continue
                added += longer - end
                end = longer
            for after in range(end, bound, operations):
                upto = min(after + operations, bound)
                fresh = Slice(shard=shard, after=after, upto=upto, done=after)
                try:
                    create_record(self._client, self._key(fresh), self._record(fresh))
                except RecordChangedError:
                    # Another worker added this part at the same time, perhaps with another end:
                    # what is missing behind it is added by the next pass.
                    break
                added += upto - after
        return added

    def _lengthen(self, last: Lease, *, bound: int, operations: int) -> int | None:
        """Make a shard's last slice longer if it is short and done, and return its end.

        Who follows a source for days would add a slice every second otherwise. ``None`` where
        another worker did it at the same time: the next pass adds what is still missing.
        """
        one = last.slice
        upto = min(one.after + operations, bound)
        if upto <= one.upto or one.owner or not one.finished:
            return one.upto
        try:
            self._replace(last, upto=upto)
        except LeaseLostError:
            return None
        return upto

    def claim(self, *, owner: str, shards: Iterable[int] | None = None) -> Lease | None:
        """Lease a slice that is not finished and that nobody copies; ``None`` if there is none.

        A slice of the same owner, or of a process of this machine that has ended, is free.
        """
        wanted = None if shards is None else set(shards)
        for one, version in self._read():
            if one.finished or (wanted is not None and one.shard not in wanted):
                continue
            held = one.owner and one.lease_until > time.time()
            if held and not surely_ended(one.owner, asking=owner):
                continue
            lease = Lease(one, version)
            try:
                return self._replace(lease, owner=owner, lease_until=time.time() + self._lease_s)
            except LeaseLostError:
                continue
        return None

    def checkpoint(
        self,
        lease: Lease,
        *,
        done: int,
        rate: float | None = None,
        dead_at: Iterable[int] = (),
        **counts: int,
    ) -> Lease:
        """Write down how far a slice is, and keep it for another while.

        Args:
            lease: the slice as last written down.
            done: its last operation that the target has acknowledged, all before it included.
            rate: documents a second; the last known if not given.
            dead_at: operations of documents that the target refused.
            counts: what to add to ``written``, ``kept`` and ``reused``.

        Raises:
            LeaseLostError: another worker has taken it over.
        """
        changes: dict[str, Any] = {
            name: getattr(lease.slice, name) + more for name, more in counts.items()
        }
        if rate is not None:
            changes["rate"] = rate
        changes["dead_at"] = tuple(sorted({*lease.slice.dead_at, *dead_at}))
        return self._kept(lease, done=done, **changes)

    def keep(self, lease: Lease, *, note: str = "") -> Lease:
        """Keep a slice for another while, and say what its owner waits for.

        Raises:
            LeaseLostError: another worker has taken it over.
        """
        return self._kept(lease, note=note)

    def release(self, lease: Lease) -> None:
        """Give a slice back; one that another worker has taken over already is its own."""
        with suppress(LeaseLostError):
            self._own(lease, lambda _: {"owner": "", "lease_until": 0.0, "rate": 0.0, "note": ""})

    def release_all(self, *, owner: str) -> None:
        """Give back all that a worker holds: also what it was given as it was interrupted."""
        for one, version in self._read():
            if one.owner == owner:
                self.release(Lease(one, version))

    def forget(self) -> None:
        """Delete the journal."""
        for one in self.slices():
            delete_record(self._client, self._key(one))

    def _kept(self, lease: Lease, **changes: Any) -> Lease:
        """Change a slice that is held, and keep it for another while."""
        until = {"lease_until": time.time() + self._lease_s}

        def unless_done(present: Slice) -> dict[str, Any]:
            return until if present.done > lease.slice.done else {**changes, **until}

        return self._own(lease, unless_done)

    def _own(self, lease: Lease, changes: Callable[[Slice], dict[str, Any]]) -> Lease:
        """Change a slice that is held; a write of our own whose answer got lost counts as done.

        Nobody else writes under our name: the record of another version that bears it is what we
        wrote ourselves, on a connection that broke, or in a thread that was interrupted, before
        the answer came.
        """
        try:
            return self._replace(lease, **changes(lease.slice))
        except LeaseLostError:
            found = get_versioned(self._client, self._key(lease.slice))
            if found is None:
                raise
            present = Lease(_slice(found[0]), found[1])
            if present.slice.owner != lease.slice.owner:
                raise
        return self._replace(present, **changes(present.slice))

    def _replace(self, lease: Lease, **changes: Any) -> Lease:
        changed = replace(lease.slice, **changes)
        try:
            version = replace_record(
                self._client, self._key(changed), self._record(changed), version=lease.version
            )
        except RecordChangedError as error:
            raise LeaseLostError(
                f"another worker copies shard {changed.shard} from operation {changed.after + 1} "
                "on: nothing is lost, this one stops there"
            ) from error
        return Lease(changed, version)

    def _read(self) -> list[tuple[Slice, Version]]:
        found = [
            (_slice(record), version)
            for record, version in list_records(self._client, kind=self._kind)
        ]
        return sorted(found, key=lambda pair: (pair[0].shard, pair[0].after))

    @property
    def _kind(self) -> str:
        return f"slice:{self._target}"

    def _key(self, one: Slice) -> str:
        return f"{self._kind}:{one.shard}:{one.after}"

    def _record(self, one: Slice) -> dict[str, Any]:
        return {"kind": self._kind, "slice": asdict(one)}


def _slice(record: dict[str, Any]) -> Slice:
    values = record["slice"]
    return Slice(**{**values, "dead_at": tuple(values["dead_at"])})


def surely_ended(owner: str, *, asking: str) -> bool:
    """Say whether an owner surely is no more: itself, or a process of this machine that ended."""
    if owner == asking:
        return True
    host, _, rest = owner.rpartition(":")[0].rpartition(":")
    started = owner.rpartition(":")[2]
    if host != socket.gethostname() or not rest.isdecimal():
        return False
    return _started(int(rest)) != started


def _started(process: int) -> str:
    """Return when a process of this machine started, in the kernel's words; empty for none.

    Together with the number it tells a process from a later one of the same number.
    """
    try:
        return Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[19].decode()
    except OSError:
        pass
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "?"
