"""Plans of migrations on a real node: what tests of planning share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import FunnelError, InputError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.flat_settings import flat_settings
from opensearch_funnel.migrating.migration import (
    Migration,
    find_migration,
    forget_migration,
    list_migrations,
)
from opensearch_funnel.migrating.planning import PlannedMigration, plan_migration, save_plan
from opensearch_funnel.migrating.target_body import left_out
from opensearch_funnel.settings import Settings
from tests.engine.migrations import films, make_source, stand_in
from tests.engine.other_answers import Change, other_answers

DOCUMENTS = 30
BY_PLUGINS = {"index.merge.policy.floor_segment", "index.merge.policy.max_merge_at_once"}
"""What the k-NN plugin sets on every index with vectors."""


def source_of_films(client: OpenSearch, alias: str) -> str:
    """Make an index with films behind an alias, and return its name."""
    name = make_source(client, alias)
    films(client, name, range(DOCUMENTS))
    client.indices.refresh(index=name)
    return name


def forget_all(client: OpenSearch, alias: str) -> None:
    """Delete the records of all migrations whose alias begins like this."""
    for one in list_migrations(client):
        if one.alias.startswith(alias):
            forget_migration(client, one.alias)


def planned(client: OpenSearch, alias: str, **options: Any) -> PlannedMigration:
    """Plan with an encoder that takes no time."""
    return plan_migration(client, alias, **{"encoder": stand_in(), **options})


def saved(client: OpenSearch, alias: str, **options: Any) -> Migration:
    """Plan without measuring, and store it."""
    found = planned(client, alias, **{"measured": False, **options})
    return save_plan(client, found.migration)


def refused(
    client: OpenSearch, alias: str, *, kind: type[FunnelError] = InputError, **options: Any
) -> str:
    """Return why a plan is refused, in one line, and see that nothing was stored."""
    with pytest.raises(kind) as caught:
        planned(client, alias, **options)
    reason = str(caught.value)
    assert "\n" not in reason
    assert find_migration(client, alias) is None
    return reason


@contextmanager
def proxied(node_url: str, changes: dict[str, Change]) -> Iterator[OpenSearch]:
    """Talk to a node through a proxy that gives some answers of its own."""
    with other_answers(node_url, changes) as url:
        made = connect(Settings(url=url))
        try:
            yield made
        finally:
            made.close()


def settings_of(client: OpenSearch, index: str) -> dict[str, Any]:
    """Read the settings that are not each index's own, by their full names."""
    found = flat_settings(client.indices.get_settings(index=index)[index]["settings"])
    return {n: v for n, v in found.items() if not left_out(n) and n not in BY_PLUGINS}


def mappings_of(client: OpenSearch, index: str) -> dict[str, Any]:
    """Read the mapping of one concrete index."""
    mappings: dict[str, Any] = client.indices.get_mapping(index=index)[index]["mappings"]
    return mappings
