"""Planning a migration on a real node: what is found, decided, stored and printed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import (
    InputError,
)
from opensearch_funnel.engine.indices import write_funnel_meta
from opensearch_funnel.migrating.migration import (
    Migration,
    find_migration,
    forget_migration,
    load_migration,
    update_migration,
)
from opensearch_funnel.migrating.planning import save_plan
from opensearch_funnel.migrating.target import make_target
from tests.docs.cluster_state import OF_PLUGINS
from tests.engine.migrations import films, make_source, stand_in
from tests.engine.plans import (
    DOCUMENTS,
    forget_all,
    planned,
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


def metadata(client: OpenSearch) -> Any:
    """Read all that the cluster knows of indices, templates, pipelines and settings."""
    state = client.cluster.state(metric="metadata")["metadata"]
    # Plugins make indices of their own when they see fit.
    indices = {n: one for n, one in state["indices"].items() if not n.startswith(OF_PLUGINS)}
    named = {name: part for name, part in state.items() if name != "cluster_coordination"}
    return {**named, "indices": indices}


def written_to(client: OpenSearch, index: str) -> Any:
    return client.indices.stats(index=index)["_all"]["primaries"]["indexing"]["index_total"]


def test_a_plan_says_what_would_be_done(client: OpenSearch, alias: str, source: str) -> None:
    found = planned(client, alias)
    made, report = found.migration, found.report
    assert (made.alias, made.source) == (alias, source)
    assert made.source_uuid == client.indices.get(index=source)[source]["settings"]["index"]["uuid"]
    assert made.target.startswith(f"{alias}-funnel-2")
    assert made.text_fields == ("title", "text")
    assert made.slots == {"a": stand_in().slot.meta}
    assert (made.dimension, made.shards) == (4, 2)
    assert report.documents == DOCUMENTS
    assert report.texts.samples == DOCUMENTS
    assert report.times is not None
    assert report.times.rate > 0
    assert report.sizes.a_document is not None
    assert report.sizes.primaries_after is not None
    assert report.sizes.primaries_after > report.sizes.primaries_now > 0
    assert report.sizes.free is not None
    assert report.aliases == {alias: {}}
    assert report.next_command == f"funnel migrate run {alias}"
    assert json.loads(json.dumps(found.to_dict()))["target"] == made.target


def test_the_snapshot_is_what_the_cluster_says_of_the_source(
    client: OpenSearch, alias: str, source: str
) -> None:
    snapshot = planned(client, alias).migration.snapshot
    assert asdict(snapshot) == client.indices.get(index=source)[source]


def test_planning_and_a_dry_run_change_nothing(client: OpenSearch, alias: str, source: str) -> None:
    before = metadata(client), written_to(client, source)
    planned(client, alias)
    assert (metadata(client), written_to(client, source)) == before


def test_saving_writes_the_record_alone(client: OpenSearch, alias: str, source: str) -> None:
    del source
    save_plan(client, planned(client, alias).migration)
    before = metadata(client)
    forget_migration(client, alias)
    made = save_plan(client, planned(client, alias).migration)
    assert metadata(client) == before
    assert load_migration(client, alias) == made
    assert [entry["event"] for entry in made.log] == ["planned"]


def test_without_measuring_there_are_no_hours_and_no_bytes(
    client: OpenSearch, alias: str, source: str
) -> None:
    del source
    report = planned(client, alias, measured=False).report
    assert report.times is None
    assert report.sizes.primaries_after is None


def test_an_empty_index_can_be_planned(client: OpenSearch, alias: str) -> None:
    make_source(client, alias)
    found = planned(client, alias)
    assert found.migration.text_fields == ("title", "text")
    assert (found.report.times, found.report.texts.samples) == (None, 0)


def test_samples_come_from_all_over_the_index(client: OpenSearch, alias: str) -> None:
    name = make_source(client, alias, shards=3)
    films(client, name, range(400))
    report = planned(client, alias, sample=40).report
    assert 35 <= report.texts.samples <= 48


def test_the_same_documents_are_sampled_each_time(
    client: OpenSearch, alias: str, source: str
) -> None:
    del source
    first, second = (planned(client, alias, sample=10).report.texts for _ in range(2))
    assert first == second


# Others at work


def test_a_plan_of_which_nothing_was_done_is_replaced(
    client: OpenSearch, alias: str, source: str
) -> None:
    del source
    save_plan(client, planned(client, alias).migration)
    again = save_plan(client, planned(client, alias, text_fields=["text"]).migration)
    assert load_migration(client, alias) == again
    assert again.text_fields == ("text",)


def test_a_migration_under_way_is_not_planned_anew(
    client: OpenSearch, alias: str, source: str
) -> None:
    del source
    first = planned(client, alias).migration
    stored = save_plan(client, first)
    make_target(client, stored)
    with pytest.raises(InputError, match=rf"is copying already.*funnel migrate status {alias}"):
        planned(client, alias)
    with pytest.raises(InputError, match="is copying already"):
        save_plan(client, first)
    assert load_migration(client, alias).target == stored.target


def test_a_target_that_was_made_before_a_crash_is_under_way(
    client: OpenSearch, alias: str, source: str
) -> None:
    del source
    stored = make_target(client, save_plan(client, planned(client, alias).migration))
    update_migration(client, alias, lambda now: replace(now, phase="planned", target_uuid=""))
    with pytest.raises(InputError, match="is planned already"):
        planned(client, alias)
    assert client.indices.exists(index=stored.target)


def test_an_index_has_one_migration_by_whatever_alias(
    client: OpenSearch, alias: str, source: str
) -> None:
    client.indices.put_alias(index=source, name=f"{alias}-too")
    other = planned(client, f"{alias}-too").migration
    made = save_plan(client, planned(client, alias).migration)
    reason = rf"{source} is part of the migration of {alias} .*funnel migrate cleanup {alias}\)"
    with pytest.raises(InputError, match=reason):
        planned(client, f"{alias}-too")
    with pytest.raises(InputError, match=reason):
        save_plan(client, other)
    assert find_migration(client, f"{alias}-too") is None
    assert load_migration(client, alias) == made


def test_the_target_of_a_migration_is_not_planned_by_another_alias(
    client: OpenSearch, alias: str, source: str
) -> None:
    del source
    made = make_target(client, save_plan(client, planned(client, alias).migration))
    client.indices.put_alias(index=made.target, name=f"{alias}-too")
    client.indices.delete_alias(index=made.target, name=made.writing_alias)
    with pytest.raises(InputError, match=f"is part of the migration of {alias}"):
        planned(client, f"{alias}-too")


# Funnel indices


def test_a_funnel_index_keeps_its_slot_beside_the_new_one(
    client: OpenSearch, alias: str, source: str
) -> None:
    slot = stand_in().slot
    client.indices.put_mapping(
        index=source,
        body={"properties": {"funnel": {"properties": {"sparse_a": {"type": "rank_features"}}}}},
    )
    kept = {"sparse": slot.meta["sparse"]}
    write_funnel_meta(client, index=source, meta={"schema": 1, "slots": {"a": kept}})
    found = planned(client, alias, slot="b")
    assert found.migration.kept_slots == ("a",)
    assert found.migration.slots == {"a": kept, "b": stand_in("b").slot.meta}
    assert "fill another one (--slot b)" in refused(client, alias)


# The command


def _run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["migrate", "plan", *arguments]) == code
    written = capsys.readouterr()
    return written.out if code == 0 else written.err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, node_url: str) -> None:
    monkeypatch.setenv("FUNNEL_URL", node_url)
    monkeypatch.setenv("COLUMNS", "160")


@pytest.mark.model
@pytest.mark.usefixtures("command", "source")
def test_the_command_measures_with_the_real_models_and_stores_the_plan(
    client: OpenSearch, alias: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--dense-model", "none", "--max-tokens", "64", "--output", "json")
    dry = json.loads(_run(capsys, alias, *options, "--dry-run"))
    assert dry["saved"] is False
    assert find_migration(client, alias) is None
    told = json.loads(_run(capsys, alias, *options))
    assert told["saved"] is True
    assert told["texts"]["counted_by"] == "splade-tiny"
    assert told["times"]["documents"] == DOCUMENTS
    assert told["slots"]["a"].keys() == {"sparse"}
    made = load_migration(client, alias)
    assert (made.sparse_model, made.dense_model, made.max_tokens) == ("splade-tiny", "", 64)
    assert made.target == told["target"]


@pytest.mark.usefixtures("command", "source")
def test_the_command_prints_a_report_for_a_person(
    alias: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _run(capsys, alias, "--no-measure", "--fields", "title, text", "--shards", "3")
    for part in (f"{alias}-1: {DOCUMENTS} documents", "2 → 3", '+    "funnel": {', "index.knn"):
        assert part in told
    assert f"next: funnel migrate run {alias}" in told


@pytest.mark.usefixtures("command", "source")
def test_the_command_gives_a_refusal_in_one_line(
    alias: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _run(capsys, alias, "--no-measure", "--fields", "nope", code=1)
    assert "no field 'nope' in the mapping" in told
    both = _run(capsys, alias, "--sparse-model", "none", "--dense-model", "none", code=1)
    assert "a sparse or a dense model, or both" in both


def test_a_record_is_read_back_as_it_was_stored(
    client: OpenSearch, alias: str, source: str
) -> None:
    del source
    made = save_plan(client, planned(client, alias, shards=3).migration)
    assert Migration.from_dict(made.to_dict()) == made == load_migration(client, alias)
