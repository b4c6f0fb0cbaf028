"""The target of a migration on a real node: made as planned, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, InputError, InvalidPlanError
from opensearch_funnel.migrating.migration import (
    Migration,
    load_migration,
    update_migration,
)
from opensearch_funnel.migrating.target import (
    finish_target,
    follow_source,
    make_target,
    put_ingest_pipelines,
)
from opensearch_funnel.migrating.target_body import (
    loading_settings,
)
from tests.engine.migrations import films, make_source
from tests.engine.plans import forget_all, mappings_of, saved, settings_of

pytestmark = pytest.mark.engine


@pytest.fixture
def alias(client: OpenSearch, index_name: str) -> Iterator[str]:
    """A free alias; the record of its migration goes with it."""
    yield index_name
    forget_all(client, index_name)


@pytest.fixture
def migration(client: OpenSearch, alias: str) -> Migration:
    """A stored plan for an index with films."""
    films(client, make_source(client, alias), range(5))
    return saved(client, alias)


def test_while_loading_the_target_is_quiet_and_has_one_alias(
    client: OpenSearch, migration: Migration
) -> None:
    made = make_target(client, migration)
    assert settings_of(client, made.target) == loading_settings(made)
    found = client.indices.get_alias(index=made.target)[made.target]["aliases"]
    assert found == {made.writing_alias: {"is_write_index": True, "is_hidden": True}}
    assert (made.phase, made.log[-1]["event"]) == ("copying", "target made")
    assert load_migration(client, made.alias) == made


# Again, by others, and after a crash


def test_made_once_it_is_found_again(client: OpenSearch, migration: Migration) -> None:
    made = make_target(client, migration)
    assert make_target(client, made) == made
    finish_target(client, made)
    assert make_target(client, made) == made


def test_a_target_can_be_read_as_soon_as_it_is_made(client: OpenSearch, alias: str) -> None:
    """An index counts as yellow before its shards have started."""
    films(client, make_source(client, alias, shards=12), range(5))
    made = make_target(client, saved(client, alias))
    answer = client.mget(index=made.target, body={"ids": [f"d{n}" for n in range(60)]})
    assert [document["found"] for document in answer["docs"]] == [False] * 60
    assert client.cluster.health(index=made.target)["active_primary_shards"] == 12


def test_workers_that_start_together_make_one_target(
    client: OpenSearch, migration: Migration
) -> None:
    with ThreadPoolExecutor(max_workers=4) as pool:
        made = list(pool.map(lambda _: make_target(client, migration), range(4)))
    assert {one.target_uuid for one in made} == {
        load_migration(client, migration.alias).target_uuid
    }
    assert [entry["event"] for entry in load_migration(client, migration.alias).log] == [
        "planned",
        "target made",
    ]


def test_a_worker_with_an_old_record_takes_the_target_that_is_in_use(
    client: OpenSearch, migration: Migration
) -> None:
    made = make_target(client, migration)
    finish_target(client, made)
    again = make_target(client, migration)
    assert (again.target_uuid, again.phase) == (made.target_uuid, "copying")


def test_a_target_whose_maker_was_killed_is_taken_over(
    client: OpenSearch, migration: Migration
) -> None:
    made = make_target(client, migration)
    update_migration(client, made.alias, lambda _: migration)
    again = make_target(client, migration)
    assert again.target_uuid == made.target_uuid


def test_an_index_of_that_name_that_is_something_else_is_refused(
    client: OpenSearch, migration: Migration
) -> None:
    client.indices.create(index=migration.target)
    with pytest.raises(InputError, match="not what was planned"):
        make_target(client, migration)
    assert client.indices.exists(index=migration.target)


def test_growing_with_its_documents_is_no_change(client: OpenSearch, migration: Migration) -> None:
    made = make_target(client, migration)
    films(client, made.target, range(3))
    client.index(index=made.target, id="x", body={"brand_new": {"field": 1}})
    assert make_target(client, made) == made


def test_the_writing_alias_is_put_back(client: OpenSearch, migration: Migration) -> None:
    made = make_target(client, migration)
    client.indices.delete_alias(index=made.target, name=made.writing_alias)
    make_target(client, made)
    assert client.indices.exists_alias(index=made.target, name=made.writing_alias)


def test_a_setting_that_was_changed_is_named(client: OpenSearch, migration: Migration) -> None:
    made = make_target(client, migration)
    client.indices.put_settings(index=made.target, body={"index.max_result_window": 5})
    assert make_target(client, made) == made
    client.indices.put_settings(index=made.target, body={"index.number_of_replicas": 5})
    with pytest.raises(InputError, match=r"was changed .*\(setting index.number_of_replicas\)"):
        make_target(client, made)


def test_other_slots_in_the_meta_are_named(client: OpenSearch, migration: Migration) -> None:
    made = make_target(client, migration)
    client.indices.put_mapping(index=made.target, body={"_meta": {"funnel": {"slots": {}}}})
    with pytest.raises(InputError, match=r"_meta\.funnel\.slots"):
        make_target(client, made)


def test_a_target_that_is_gone_is_not_made_again(client: OpenSearch, migration: Migration) -> None:
    made = make_target(client, migration)
    client.indices.delete(index=made.target)
    with pytest.raises(InputError, match=rf"{made.target} is gone, with all that was copied"):
        make_target(client, made)
    client.indices.create(index=made.target)
    for step in (make_target, finish_target, put_ingest_pipelines):
        with pytest.raises(InputError, match="another index than the one that was made"):
            step(client, made)


def test_another_source_of_the_same_name_is_refused(
    client: OpenSearch, migration: Migration
) -> None:
    client.indices.delete(index=migration.source)
    with pytest.raises(InputError, match=f"{migration.source} is gone, or another index"):
        make_target(client, migration)
    make_source(client, migration.alias)
    with pytest.raises(InputError, match=f"{migration.source} is gone, or another index"):
        make_target(client, migration)


def test_a_plan_that_was_replaced_leaves_no_index(client: OpenSearch, migration: Migration) -> None:
    newer = replace(migration, target=f"{migration.alias}-newer")
    update_migration(client, migration.alias, lambda _: newer)
    with pytest.raises(InputError, match=f"planned anew, to {newer.target}"):
        make_target(client, migration)
    assert not client.indices.exists(index=migration.target)


# Templates


@pytest.mark.parametrize(
    ("template", "added"),
    [
        ({"settings": {"index.max_result_window": 77}}, "setting index.max_result_window"),
        ({"mappings": {"properties": {"tags": {"type": "keyword"}}}}, "field tags"),
        ({"aliases": {"test-everything": {}}}, "alias test-everything"),
    ],
)
def test_a_template_that_came_since_is_named_and_nothing_is_made(
    client: OpenSearch, migration: Migration, template: dict[str, Any], added: str
) -> None:
    name = migration.alias
    body = {"index_patterns": [f"{name}-*"], "template": template}
    client.indices.put_index_template(name=name, body=body)
    try:
        with pytest.raises(InvalidPlanError, match=rf"index template {name} would add .*{added}"):
            make_target(client, migration)
    finally:
        client.indices.delete_index_template(name=name)
    assert not client.indices.exists(index=migration.target)
    assert make_target(client, migration).target_uuid


def test_a_target_that_the_engine_refuses_leaves_nothing(
    client: OpenSearch, migration: Migration
) -> None:
    wrong = {**migration.snapshot.settings["index"], "nonsense": "1"}
    snapshot = replace(migration.snapshot, settings={"index": wrong})
    with pytest.raises(EngineError, match="nonsense"):
        make_target(client, replace(migration, snapshot=snapshot))
    assert not client.indices.exists(index=migration.target)


# In step with the source


def test_fields_that_are_new_in_the_source_get_its_types(
    client: OpenSearch, migration: Migration
) -> None:
    """A document of the target alone would make it a date."""
    made = make_target(client, migration)
    follow_source(client, made)
    client.index(index=made.source, id="a", body={"when": "any time", "in": {"side": 1}})
    follow_source(client, made)
    client.index(index=made.target, id="b", body={"when": "2026-11-21"})
    ours, theirs = (mappings_of(client, one)["properties"] for one in (made.target, made.source))
    assert ours["when"] == theirs["when"]
    assert ours["when"]["type"] == "text"
    assert ours["in"] == theirs["in"]
    assert "_meta" in mappings_of(client, made.target)
    assert make_target(client, made) == made


def test_a_mapping_that_the_target_cannot_follow_is_refused(
    client: OpenSearch, migration: Migration
) -> None:
    made = make_target(client, migration)
    client.index(index=made.target, id="b", body={"when": "2026-11-21"})
    client.index(index=made.source, id="a", body={"when": "any time"})
    with pytest.raises(InputError, match=f"{made.target} cannot follow .*funnel migrate cleanup"):
        follow_source(client, made)


# Finished


def test_replicas_and_refreshes_come_back(client: OpenSearch, alias: str) -> None:
    expand: dict[str, Any] = {"index.auto_expand_replicas": "0-1", "index.refresh_interval": "3s"}
    films(client, make_source(client, alias, **expand), range(3))
    made = make_target(client, saved(client, alias))
    assert settings_of(client, made.target)["index.auto_expand_replicas"] == "false"
    finish_target(client, made)
    finish_target(client, made)
    found = settings_of(client, made.target)
    assert found["index.auto_expand_replicas"] == "0-1"
    assert found["index.refresh_interval"] == "3s"


def test_a_target_need_not_be_better_than_the_source(client: OpenSearch, alias: str) -> None:
    """On one node a replica has no place, in neither of the two."""
    source = make_source(client, alias)
    films(client, source, range(3))
    client.indices.put_settings(index=source, body={"index.number_of_replicas": 1})
    made = make_target(client, saved(client, alias))
    finish_target(client, made)
    assert settings_of(client, made.target)["index.number_of_replicas"] == "1"


def test_waiting_for_replicas_ends(client: OpenSearch, migration: Migration) -> None:
    made = make_target(client, migration)
    more = {"index": {**migration.snapshot.settings["index"], "number_of_replicas": "1"}}
    unlike = replace(made, snapshot=replace(migration.snapshot, settings=more))
    with pytest.raises(EngineError, match="is not green after 0 s"):
        finish_target(client, unlike, timeout_s=0.1)
