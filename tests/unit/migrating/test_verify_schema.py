"""Whether mapping and settings of a target are those that were planned."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from opensearch_funnel.migrating.migration import Migration, Snapshot
from opensearch_funnel.migrating.target_body import (
    loading_settings,
    target_mappings,
    target_settings,
)
from opensearch_funnel.migrating.verifying.schema import check_mapping, check_settings

MAPPINGS = {"properties": {"title": {"type": "text"}, "year": {"type": "long"}}}
SETTINGS = {
    "index": {
        "number_of_shards": "2",
        "number_of_replicas": "1",
        "refresh_interval": "5s",
        "uuid": "u",
        "creation_date": "1",
        "provided_name": "films-1",
        "version": {"created": "1"},
        "default_pipeline": "theirs",
    }
}
MIGRATION = Migration(
    alias="films",
    source="films-1",
    source_uuid="u",
    target="films-2",
    snapshot=Snapshot(mappings=MAPPINGS, settings=SETTINGS, aliases={"films": {}}),
    text_fields=("title",),
    slots={
        "a": {
            "sparse": {"model": "s", "fingerprint": "f1"},
            "dense": {"model": "d", "fingerprint": "f2"},
        }
    },
    dimension=2,
    shards=2,
)
PLUGINS = {"index.merge.policy.floor_segment": "2mb"}


def _mapping() -> dict[str, Any]:
    """Return the target's mapping as the engine gives it back."""
    found = deepcopy(target_mappings(MIGRATION))
    dense = found["properties"]["funnel"]["properties"]["dense_a"]
    dense["method"]["space_type"] = dense["space_type"]
    return found


def test_the_planned_mapping_is_right() -> None:
    check = check_mapping(MIGRATION, source=MAPPINGS, target=_mapping())
    assert check.passed, check


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda m: m["properties"].update(mine={"type": "keyword"}), "properties.mine.type"),
        (lambda m: m["properties"].pop("year"), "properties.year.type"),
        (lambda m: m["properties"]["title"].update(analyzer="english"), "title.analyzer"),
        (lambda m: m.update(dynamic="strict"), "dynamic"),
        (lambda m: m["_meta"]["funnel"].update(slots={}), "_meta.funnel.slots"),
        (
            lambda m: m["properties"]["funnel"]["properties"]["dense_a"].update(space_type="l2"),
            "dense_a.space_type",
        ),
        (lambda m: m["properties"]["funnel"]["properties"].pop("origin"), "funnel.properties"),
    ],
)
def test_a_change_is_named(change: Any, named: str) -> None:
    target = _mapping()
    change(target)
    check = check_mapping(MIGRATION, source=MAPPINGS, target=target)
    assert not check.passed
    assert any(named in difference for difference in check.details["differences"])
    assert check.details["differences"][0] in check.summary


def test_a_field_that_is_new_in_the_source_need_not_be_in_the_target_yet() -> None:
    source = {"properties": {**MAPPINGS["properties"], "new": {"type": "long"}}}
    check = check_mapping(MIGRATION, source=source, target=_mapping())
    assert check.passed
    assert check.details["notes"] == [
        "properties.new.type: new in the source, and no copied document has it"
    ]
    target = _mapping()
    target["properties"]["new"] = {"type": "float"}
    check = check_mapping(MIGRATION, source=source, target=target)
    assert "'float' in the target, 'long' planned" in check.summary


@pytest.mark.parametrize("settings", [loading_settings(MIGRATION), target_settings(MIGRATION)])
def test_the_planned_settings_are_right_while_loading_and_after(settings: dict[str, Any]) -> None:
    target = {**settings, **PLUGINS, "index.uuid": "v", "index.creation_date": "2"}
    assert check_settings(MIGRATION, source=SETTINGS, target=target).passed


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("index.max_result_window", "5000"),
        ("index.number_of_replicas", "3"),
        ("index.default_pipeline", "mine"),
        ("index.blocks.write", "true"),
        ("index.knn", "false"),
    ],
)
def test_another_setting_is_named(name: str, value: str) -> None:
    target = {**target_settings(MIGRATION), name: value}
    check = check_settings(MIGRATION, source=SETTINGS, target=target)
    assert not check.passed
    assert name in check.summary


def test_a_setting_that_is_gone_is_named() -> None:
    target = target_settings(MIGRATION)
    del target["index.knn"]
    check = check_settings(MIGRATION, source=SETTINGS, target=target)
    assert check.summary == "index.knn: nothing in the target, 'true' planned"
