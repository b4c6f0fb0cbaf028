"""Delete from the target what was deleted from the source, and see what has no copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from opensearchpy import OpenSearch

from opensearch_funnel.engine.indices import refresh_index
from opensearch_funnel.migrating.differences import (
    Placed,
    copies_of,
    difference,
    source_shard,
)
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import Migration, update_migration
from opensearch_funnel.migrating.present import present_documents
from opensearch_funnel.migrating.writing import Deletion, Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What the comparison of a source and its target led to.

    Attributes:
        deleted: copies that were deleted.
        missing: by shard of the source, the ids of documents without a copy of their last
            version: dead letters, and those that were written after the copying.
    """

    deleted: int
    missing: Mapping[int, tuple[str, ...]]


def remove_deleted(
    client: OpenSearch, migration: Migration, bounds: Mapping[int, int], *, writer: Writer
) -> Removal:
    """Delete the copies of documents that the source does not have any more.

    Deletes leave nothing behind in the source that could be read, so the two are compared: a copy
    whose document is not there, neither in the compared part nor when the source is asked for it
    by id at this moment, was deleted. A document that comes back later comes back under a higher
    version than that of the deletion, and so gets past it.

    Args:
        client: the cluster.
        migration: between which indices.
        bounds: by shard of the source, up to which operation everything was copied; the source
            was refreshed since (``shard_bounds``).
        writer: deletes.

    Raises:
        EngineError: a shard did not answer, or the target takes no writes.
    """
    refresh_index(client, index=migration.target)
    dead = Journal(client, target=migration.target).dead()
    deleted = 0
    missing: dict[int, tuple[str, ...]] = {}
    for shard, bound in sorted(bounds.items()):
        found = difference(
            source_shard(client, migration.source, shard=shard, without=dead.get(shard, ())),
            copies_of(client, migration.target, shard=shard),
            bound=bound,
        )
        gone = _gone(client, migration.source, found.extra)
        deleted += writer.delete(
            [Deletion(doc_id=one.doc_id, routing=one.routing, version=bound + 1) for one in gone]
        )
        missing[shard] = tuple(one.doc_id for one in found.missing)
    if deleted:
        update_migration(
            client, migration.alias, lambda now: replace(now, deleted=now.deleted + deleted)
        )
    return Removal(deleted=deleted, missing=missing)


def _gone(client: OpenSearch, source: str, extra: tuple[Placed, ...]) -> list[Placed]:
    keys = [(one.doc_id, one.routing) for one in extra]
    present = present_documents(client, index=source, keys=keys)
    return [one for one, key in zip(extra, keys, strict=True) if key not in present]
