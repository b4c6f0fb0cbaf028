"""Store a plan, unless a migration of the same index is under way."""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.indices import index_exists
from opensearch_funnel.migrating.migration import (
    Migration,
    create_migration,
    find_migration,
    forget_migration,
    list_migrations,
    update_migration,
)


def refuse_under_way(client: OpenSearch, alias: str, *, source: str) -> Migration | None:
    """Refuse a second migration of an alias or of an index.

    A plan of which nothing was done yet may be replaced.

    Returns:
        That plan; ``None`` where there is none.

    Raises:
        InputError: names the migration that is under way.
    """
    for other in list_migrations(client):
        if other.alias != alias and source in {other.source, other.target}:
            raise InputError(
                f"{source} is part of the migration of {other.alias} to {other.target}, which is "
                f"{other.phase}: end that first (funnel migrate cleanup {other.alias})"
            )
    present = find_migration(client, alias)
    if present is not None:
        _refuse_begun(client, present)
    return present


def save_plan(client: OpenSearch, migration: Migration) -> Migration:
    """Store a plan for ``run``, in place of one of which nothing was done yet.

    Raises:
        InputError: a migration of the alias or of the index is under way.
    """
    migration = migration.logged("planned", target=migration.target)
    if find_migration(client, migration.alias) is None:
        stored = create_migration(client, migration)
    else:

        def put(present: Migration) -> Migration:
            _refuse_begun(client, present)
            return migration

        stored = update_migration(client, migration.alias, put)
    try:
        # Two that plan the same index by two aliases at the same moment both find the other here.
        refuse_under_way(client, migration.alias, source=migration.source)
    except InputError:
        forget_migration(client, migration.alias)
        raise
    return stored


def _refuse_begun(client: OpenSearch, present: Migration) -> None:
    begun = present.phase != "planned" or present.target_uuid or present.operator
    if begun or index_exists(client, index=present.target):
        raise InputError(
            f"a migration of {present.alias} to {present.target} is {present.phase} already: go "
            f"on with it (funnel migrate status {present.alias}) or end it (funnel migrate cleanup "
            f"{present.alias})"
        )
