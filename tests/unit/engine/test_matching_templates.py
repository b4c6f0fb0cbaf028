"""What templates would add to an index."""

from __future__ import annotations

from typing import Any

from opensearch_funnel.engine.matching_templates import TemplateEffect, additions

BODY: dict[str, Any] = {
    "settings": {"index.codec": "default"},
    "aliases": {"mine": {}},
    "mappings": {
        "dynamic": "true",
        "_meta": {"owner": "ann"},
        "dynamic_templates": [{"s": {}}],
        "properties": {"title": {"type": "text"}, "cast": {"properties": {"name": {}}}},
    },
}


def _added(*, deep: bool = True, **mappings: Any) -> list[str]:
    return additions(TemplateEffect(mappings=mappings, deep=deep), BODY)


def test_what_the_body_has_too_is_not_added() -> None:
    effect = TemplateEffect(
        settings={"index.codec": "best_compression"},
        aliases={"mine": {"filter": {}}},
        mappings={"dynamic": "strict", "_meta": {"owner": "bob"}, "dynamic_templates": [{"s": {}}]},
    )
    assert additions(effect, BODY) == []
    assert _added(properties={"title": {"type": "keyword", "analyzer": "x"}}) == []


def test_settings_and_aliases_are_added() -> None:
    effect = TemplateEffect(settings={"index.hidden": "true"}, aliases={"all": {}})
    assert additions(effect, BODY) == ["alias all", "setting index.hidden"]


def test_members_of_the_mapping_are_added() -> None:
    assert _added(date_detection=False, _meta={"team": "x"}) == [
        "_meta.team",
        "mapping date_detection",
    ]


def test_fields_are_added_inside_of_objects_by_index_templates_only() -> None:
    inner: dict[str, Any] = {"cast": {"properties": {"role": {}}}, "tags": {}}
    assert _added(properties=inner) == ["field cast.role", "field tags"]
    assert _added(properties=inner, deep=False) == ["field tags"]


def test_dynamic_templates_are_added_by_index_templates_only() -> None:
    assert _added(dynamic_templates=[{"x": {}}]) == ["dynamic template x"]
    assert _added(dynamic_templates=[{"x": {}}], deep=False) == []
