"""See, before a page is written, that everything is as the migration was planned."""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.migrating.migration import Migration, find_migration


def still_planned(client: OpenSearch, migration: Migration) -> Migration:
    """Read a migration anew, and make sure that it is the same one, between the same indices.

    A page that was read before this call is of the index that the migration was planned for.

    Args:
        client: the cluster.
        migration: as it was read; with its ``target_uuid``.

    Returns:
        The migration as it is stored now.

    Raises:
        InputError: it was ended or planned anew, or one of its indices is gone or another one.
        EngineError: the cluster does not say.
    """
    present = find_migration(client, migration.alias)
    if present is None or present.target != migration.target:
        raise InputError(
            f"the migration of {migration.alias} to {migration.target} was ended meanwhile: see "
            "funnel migrate status"
        )
    uuids = _uuids(client, migration.source, migration.target)
    for name, index, uuid in (
        ("source", migration.source, migration.source_uuid),
        ("target", migration.target, migration.target_uuid),
    ):
        if index not in uuids:
            problem = "is gone"
        elif uuids[index] != uuid:
            problem = "was deleted, and another index has its name"
        else:
            continue
        raise InputError(
            f"the {name} {index} {problem}: end this migration (funnel migrate cleanup "
            f"{migration.alias}) and plan it anew"
        )
    return present


def _uuids(client: OpenSearch, *indices: str) -> dict[str, str]:
    found = client.indices.get_settings(
        index=",".join(indices),
        params={"ignore_unavailable": "true", "filter_path": "*.settings.index.uuid"},
    )
    return {name: one["settings"]["index"]["uuid"] for name, one in found.items()}
