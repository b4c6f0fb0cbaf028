"""Whether a target would fit, and be as planned: seen on a real node before it is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import (
    InvalidPlanError,
)
from opensearch_funnel.migrating.migration import (
    find_migration,
)
from tests.engine.migrations import films, make_source
from tests.engine.plans import (
    forget_all,
    planned,
    proxied,
    refused,
    source_of_films,
)

pytestmark = pytest.mark.engine


@pytest.fixture
def alias(client: OpenSearch, index_name: str) -> Iterator[str]:
    """A free alias; the record of its migration goes with it."""
    yield index_name
    forget_all(client, index_name)


@pytest.fixture
def source(client: OpenSearch, alias: str) -> str:
    """An index with films behind the alias."""
    return source_of_films(client, alias)


@contextmanager
def full_disks(client: OpenSearch) -> Iterator[None]:
    """Let disks count as full from 1 % on; nothing else follows from the low watermark here."""
    names = ("threshold_enabled", "watermark.low")
    disk = "cluster.routing.allocation.disk."
    before = client.cluster.get_settings(params={"flat_settings": "true"})["transient"]
    wanted = dict(zip(names, ("true", "1%"), strict=True))
    client.cluster.put_settings(body={"transient": {f"{disk}{n}": v for n, v in wanted.items()}})
    try:
        yield
    finally:
        back = {f"{disk}{name}": before.get(f"{disk}{name}") for name in names}
        client.cluster.put_settings(body={"transient": back})


def test_a_target_that_does_not_fit_is_refused_unless_forced(
    client: OpenSearch, alias: str, source: str
) -> None:
    del source
    with full_disks(client):
        reason = refused(client, alias)
        assert "0 bytes left below the watermark 1%" in reason
        assert planned(client, alias, force=True).report.sizes.free == 0
    assert planned(client, alias).report.sizes.free != 0


def _template(client: OpenSearch, name: str, template: dict[str, Any], **more: Any) -> None:
    body = {"index_patterns": [f"{name}-*"], "template": template, **more}
    client.indices.put_index_template(name=name, body=body)


@pytest.fixture
def templates(client: OpenSearch, alias: str) -> Iterator[Callable[..., None]]:
    yield lambda template, **more: _template(client, alias, template, **more)
    client.indices.delete_index_template(name=alias, params={"ignore": 404})


@pytest.mark.parametrize(
    ("template", "added"),
    [
        ({"settings": {"index.max_result_window": 77}}, "setting index.max_result_window"),
        ({"mappings": {"properties": {"tags": {"type": "keyword"}}}}, "field tags"),
        ({"mappings": {"_meta": {"team": "x"}}}, "_meta.team"),
        ({"aliases": {"test-everything": {}}}, "alias test-everything"),
    ],
)
@pytest.mark.usefixtures("source")
def test_a_template_that_adds_to_the_target_is_named(
    client: OpenSearch,
    alias: str,
    templates: Callable[..., None],
    template: dict[str, Any],
    added: str,
) -> None:
    templates(template)
    reason = refused(client, alias, kind=InvalidPlanError)
    assert reason.startswith(f"index template {alias} would add to the new index")
    assert added in reason
    assert planned(client, alias, target=f"{alias}elsewhere").report.templates == ()


def test_a_template_that_the_source_was_made_by_does_no_harm(
    client: OpenSearch, alias: str, templates: Callable[..., None]
) -> None:
    templates(
        {
            "settings": {"index.max_result_window": 77, "index.final_pipeline": "_none"},
            "mappings": {"properties": {"title": {"type": "text", "analyzer": "english"}}},
        }
    )
    name = make_source(client, alias)
    films(client, name, range(3))
    assert planned(client, alias).report.templates == (f"index template {alias}",)


def test_a_legacy_template_is_named_too(client: OpenSearch, alias: str, source: str) -> None:
    del source
    body = {
        "index_patterns": [f"{alias}-f*"],
        "mappings": {"properties": {"tags": {"type": "keyword"}}},
    }
    client.indices.put_template(name=alias, body=body)
    try:
        reason = refused(client, alias, kind=InvalidPlanError)
    finally:
        client.indices.delete_template(name=alias)
    assert reason.startswith(f"template {alias} would add to the new index")
    assert "field tags" in reason


def test_a_name_that_is_a_data_stream_s_is_refused(
    client: OpenSearch, alias: str, source: str, templates: Callable[..., None]
) -> None:
    del source
    templates({}, data_stream={})
    assert "a data stream in its place" in refused(client, alias, kind=InvalidPlanError)


def test_a_body_that_the_engine_would_not_take_is_refused(
    client: OpenSearch, node_url: str, alias: str, source: str
) -> None:
    """As of an index that an older version made with what this one has no more."""

    def older(_asked: Any, answer: Any) -> tuple[int, Any]:
        answer[source]["settings"]["index"]["gone_by_now"] = "1"
        return 200, answer

    with proxied(node_url, {f"GET /{source}": older}) as limited:
        reason = refused(limited, alias, kind=InvalidPlanError)
    assert "the engine would not make" in reason
    assert "unknown setting [index.gone_by_now]" in reason
    assert find_migration(client, alias) is None


def test_a_name_that_is_taken_or_none_at_all_is_refused(
    client: OpenSearch, alias: str, source: str
) -> None:
    assert "there is an index or alias" in refused(client, alias, target=source)
    assert "cannot be the name of an index" in refused(client, alias, target="Films")
    assert "cannot be the name of an index" in refused(client, alias, target="f" * 250)
