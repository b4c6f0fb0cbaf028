"""Writes that clients made to the target, back into the source: for a rollback.

What was written since the cutover is behind the target's bounds of then. Only documents that say
something else than the source's are carried: one whose funnel fields were repaired is not. What
was deleted leaves nothing to be met, so the source is compared with the copies that nobody has
touched since, which are some of its documents and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any
from uuid import uuid4

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.funnel_object import FUNNEL, PENDING, READY, slot_fields
from opensearch_funnel.engine.bulk import bulk_write
from opensearch_funnel.engine.bulk.lines import Line, delete_line, line_of_bytes
from opensearch_funnel.engine.indices import count_documents, refresh_index
from opensearch_funnel.engine.records import delete_record, list_records, put_record
from opensearch_funnel.engine.scanning import StoredDocument, read_page, shard_states
from opensearch_funnel.engine.source_bytes import (
    funnel_of,
    source_hash,
    with_funnel,
    without_funnel,
)
from opensearch_funnel.migrating.differences import copies_of, difference, source_shard
from opensearch_funnel.migrating.guarding import still_planned
from opensearch_funnel.migrating.migration import Migration, seq_no_of, shard_of
from opensearch_funnel.migrating.present import Key, Present, present_documents
from opensearch_funnel.migrating.verifying import by_shard

_PAGE = 500
_IDS = 5_000
# The source's own pipeline ran on them when clients wrote them.
_PARAMS = {"pipeline": "_none"}


@dataclass(slots=True)
class Carried:
    """Which documents clients changed since the cutover.

    Attributes:
        written: those that were inserted or changed.
        deleted: those that are gone.
        unchanged: those of which only the funnel's fields were written.
        pending: of those written, the ones that wait for the source's own slots to be filled.
    """

    written: set[Key] = field(default_factory=set)
    deleted: set[Key] = field(default_factory=set)
    unchanged: set[Key] = field(default_factory=set)
    pending: set[Key] = field(default_factory=set)

    @property
    def writes(self) -> int:
        """How many documents clients changed."""
        return len(self.written) + len(self.deleted)


class Carrier:
    """Carries writes from the target to the source, as often as it is asked to.

    Args:
        client: made by ``connect``.
        migration: one that is cut over.
        open_source: called before the first write: has the source take writes.
        only_count: look, and write nothing.
    """

    def __init__(
        self,
        client: OpenSearch,
        migration: Migration,
        *,
        open_source: Callable[[], None],
        only_count: bool = False,
    ) -> None:
        self._client = client
        self._migration = migration
        self._open_source = open_source
        self._only_count = only_count
        self._reached = by_shard(migration.cutover["target_bounds"])
        self._source_bounds = by_shard(migration.cutover["source_bounds"])
        self._uncopied = _operations(migration, "missing")
        stale = _operations(migration, "stale")
        self._touched = {shard: set(stale.get(shard, ())) for shard in self._source_bounds}
        self._slots = _slots_of_source(migration)
        self._known = _written_down(client, migration)
        self.found = Carried()

    @property
    def untouched_before(self) -> bool:
        """Whether no rollback of this migration has ever carried anything."""
        return not self._known

    def foreign(self) -> list[Key]:
        """Name documents that somebody else wrote to the source since the cutover.

        The source has to be refreshed.
        """
        return [key for key in self._written_since() if key not in self._known]

    def carry(self, upto: Mapping[int, int]) -> int:
        """Carry what was inserted and changed since the last time.

        Args:
            upto: by shard of the target, the last operation; the target was refreshed since
                (``shard_bounds``).

        Returns:
            How many documents were read.

        Raises:
            InputError: the source refuses a document.
            EngineError: a shard did not answer, or the source takes no writes.
        """
        read = 0
        for shard, bound in sorted(upto.items()):
            while page := read_page(
                self._client,
                self._migration.target,
                shard=shard,
                after=self._reached.get(shard, -1),
                upto=bound,
                size=_PAGE,
            ):
                self._carry_page(page)
                self._reached[shard] = page[-1].seq_no
                read += len(page)
            self._reached[shard] = max(bound, self._reached.get(shard, -1))
        return read

    def carry_deletes(self, *, others: int = 0) -> int:
        """Delete from the source what is gone from the target; all else was carried.

        Args:
            others: how many documents of the source somebody else wrote.

        Returns:
            How many documents were deleted.

        Raises:
            EngineError: a shard did not answer, or the source takes no writes.
        """
        migration = self._migration
        here, there = (self._counted(name) for name in (migration.source, migration.target))
        if not (self._only_count or others) and here - self.uncopied() == there:
            # All that the target has is in the source by now: as many means the same.
            return 0
        suspects: dict[Key, None] = {}
        for shard, bound in sorted(self._source_bounds.items()):
            suspects |= dict.fromkeys(self._suspects(shard, bound=bound))
        suspects |= dict.fromkeys(key for key in self._written_since() if key in self._known)
        present = present_documents(self._client, index=self._migration.target, keys=suspects)
        gone = [key for key in suspects if key not in present]
        if not self._only_count:
            # A delete leaves nothing in the source by which the next attempt could know it.
            self._write_down(gone)
        self._write([delete_line(doc_id, routing=routing) for doc_id, routing in gone])
        self.found.deleted.update(gone)
        self.found.written.difference_update(gone)
        return len(gone)

    def uncopied(self) -> int:
        """Count the documents of the source that never were in the target, and are as they were.

        Those are of a cutover that was forced: clients could not delete what they did not have.
        """
        source = self._migration.source
        return sum(
            len(source_shard(self._client, source, shard=shard).read_at(operations))
            for shard, operations in self._uncopied.items()
        )

    def _counted(self, index: str) -> int:
        refresh_index(self._client, index=index)
        return count_documents(self._client, index=index)

    def forget(self) -> None:
        """Forget what was written down of earlier attempts."""
        forget_carried(self._client, self._migration)

    def _carry_page(self, page: Sequence[StoredDocument]) -> None:
        keys = [(document.doc_id, document.routing) for document in page]
        originals = present_documents(
            self._client, index=self._migration.source, keys=keys, with_source=True
        )
        lines: dict[Key, Line] = {}
        for document, key in zip(page, keys, strict=True):
            self._touch(document.source)
            if _says_the_same(document, originals.get(key)):
                self.found.unchanged.add(key)
                continue
            source, pending = _for_source(document.source, slots=self._slots)
            lines[key] = line_of_bytes(document.doc_id, source, routing=document.routing)
            if pending:
                self.found.pending.add(key)
        if lines and not self._only_count:
            self._write_down(lines)
        self._write(list(lines.values()))
        self.found.written.update(lines)
        self.found.unchanged.difference_update(lines)
        # It was deleted, and is there again.
        self.found.deleted.difference_update(lines)

    def _touch(self, source: bytes) -> None:
        origin = (funnel_of(source) or {}).get("origin")
        if isinstance(origin, int) and shard_of(origin) in self._touched:
            self._touched[shard_of(origin)].add(seq_no_of(origin))

    def _suspects(self, shard: int, *, bound: int) -> list[Key]:
        """Name documents of a source shard, as old as the cutover, that may be gone.

        A copy that somebody has written since is left out of the counts: it says where it came
        from, but the document that it was made of may have been carried, or be another one.
        """
        touched = frozenset(self._touched[shard])
        uncopied = self._uncopied.get(shard, frozenset())
        original = source_shard(self._client, self._migration.source, shard=shard)
        copies = copies_of(self._client, self._migration.target, shard=shard)
        found = difference(
            replace(original, without=touched | uncopied),
            replace(copies, without=touched),
            bound=bound,
        )
        placed = [*found.missing, *original.read_at(touched).values()]
        return [
            (one.doc_id, one.routing)
            for one in placed
            if one.at <= bound and one.at not in uncopied
        ]

    def _written_since(self) -> Iterator[Key]:
        """Read which documents were written to the source since the cutover."""
        source = self._migration.source
        for state in shard_states(self._client, source):
            after = self._source_bounds.get(state.shard, -1)
            while page := read_page(
                self._client,
                source,
                shard=state.shard,
                after=after,
                upto=state.highest,
                size=_IDS,
                include_source=False,
            ):
                yield from ((document.doc_id, document.routing) for document in page)
                after = page[-1].seq_no

    def _write_down(self, keys: Iterable[Key]) -> None:
        """Remember what is ours before it is written: all else that appears there is not."""
        fresh = [key for key in keys if key not in self._known]
        waiting = iter(fresh)
        while some := list(islice(waiting, _IDS)):
            name = f"{_kind(self._migration)}:{uuid4().hex}"
            record = {"kind": _kind(self._migration), "name": name, "keys": some}
            put_record(self._client, name, record)
        self._known.update(fresh)

    def _write(self, lines: Sequence[Line]) -> None:
        if not lines or self._only_count:
            return
        self._open_source()
        still_planned(self._client, self._migration)
        outcome = bulk_write(self._client, lines, index=self._migration.source, params=_PARAMS)
        if outcome.dead:
            first = outcome.dead[0]
            raise InputError(
                f"{self._migration.source} refuses {len(outcome.dead):,} documents that clients "
                f"wrote to {self._migration.target}, the first of them {first.doc_id!r} "
                f"({first.reason}): change or delete them, or roll back without the writes "
                "(--discard-writes)"
            )


def forget_carried(client: OpenSearch, migration: Migration) -> None:
    """Delete the records of what rollbacks of a migration have carried."""
    for record, _ in list_records(client, kind=_kind(migration)):
        delete_record(client, record["name"])


def _written_down(client: OpenSearch, migration: Migration) -> set[Key]:
    return {
        (doc_id, routing)
        for record, _ in list_records(client, kind=_kind(migration))
        for doc_id, routing in record["keys"]
    }


def _operations(migration: Migration, name: str) -> dict[int, frozenset[int]]:
    """Read operations that the cutover has written down, by shard; none for an older record."""
    stored: Mapping[str, Iterable[int]] = migration.cutover.get(name, {})
    return {int(shard): frozenset(operations) for shard, operations in stored.items()}


def _kind(migration: Migration) -> str:
    return f"carried:{migration.target}"


def _says_the_same(document: StoredDocument, original: Present | None) -> bool:
    if original is None or not original.source:
        return False
    return source_hash(document.source) == source_hash(original.source)


def _slots_of_source(migration: Migration) -> Mapping[str, Any]:
    """Return the slots that the source itself has; none for an index without funnel fields."""
    meta = migration.snapshot.mappings.get("_meta", {}).get(FUNNEL, {})
    slots: Mapping[str, Any] = meta.get("slots", {})
    return slots


def _for_source(source: bytes, *, slots: Mapping[str, Any]) -> tuple[bytes, bool]:
    """Return a document as the source gets it, and whether its fields have still to be made.

    A source without funnel fields gets none. One that has slots of its own gets those that the
    document has, and where one is missing, ``pending``: repair fills it.
    """
    if not slots:
        return without_funnel(source), False
    made = funnel_of(source)
    if made is None:
        return source, True
    wanted = [
        field
        for name, legs in slots.items()
        for leg, field in zip(("sparse", "dense"), slot_fields(name), strict=True)
        if leg in legs
    ]
    kept = {name: made[name] for name in wanted if name in made}
    complete = made.get("state") == READY and (len(kept) == len(wanted) or not _has_any(made))
    funnel = {
        "id": made.get("id"),
        "model": [leg["fingerprint"] for legs in slots.values() for leg in legs.values()],
        "hash": made.get("hash"),
        "state": READY if complete else PENDING,
        **kept,
    }
    plain = {name: value for name, value in funnel.items() if value is not None}
    return with_funnel(source, plain), not complete


def _has_any(made: Mapping[str, Any]) -> bool:
    """Say whether a document has fields of any slot: one without text has none."""
    return any(name.startswith(("sparse_", "dense_")) for name in made)
