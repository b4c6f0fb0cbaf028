"""The end of a migration: what is deleted, what is kept, and when it is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.indices import index_exists
from opensearch_funnel.engine.state import (
    AppliedPipeline,
    forget_pipeline,
    forget_plan,
    save_pipeline,
    save_plan,
)
from opensearch_funnel.migrating.cleanup import CleanupReport, cleanup, examine_cleanup
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import find_migration, update_migration
from opensearch_funnel.settings import Settings
from tests.engine.migrations import whole
from tests.engine.switching import Migrated, migrated

pytestmark = pytest.mark.engine


@pytest.fixture
def copy(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> Iterator[Migrated]:
    with migrated(client, engine_settings, index_name, letters=tmp_path, documents=30) as made:
        yield made


def _end(made: Migrated, *, confirmed: str | None = None, keep: bool = False) -> CleanupReport:
    migration = made.migration
    report = examine_cleanup(made.client, migration, letters=made.letters, keep_index=keep)
    return cleanup(
        made.client,
        migration,
        confirmed=report.index if confirmed is None else confirmed,
        letters=made.letters,
        keep_index=keep,
    )


def _nothing_is_left(made: Migrated, target: str) -> bool:
    journal = Journal(made.client, target=target).slices()
    return find_migration(made.client, made.alias) is None and journal == []


def test_after_a_cutover_the_old_source_goes(copy: Migrated) -> None:
    copy.cut_over()
    source, target = copy.source, copy.target
    (copy.letters / "dead-me.ndjson.gz").write_bytes(b"")
    report = examine_cleanup(copy.client, copy.migration, letters=copy.letters)
    assert (report.index, report.kept, report.documents) == (source, target, 30)
    assert report.bytes > 0
    assert index_exists(copy.client, index=source)
    done = _end(copy)
    assert done.deleted
    assert [path.name for path in done.dead_letters] == ["dead-me.ndjson.gz"]
    assert done.dead_letters[0].exists()
    assert not index_exists(copy.client, index=source)
    assert copy.behind() == [target]
    assert _nothing_is_left(copy, target)


def test_before_a_cutover_and_after_a_rollback_the_target_goes(copy: Migrated) -> None:
    source, target = copy.source, copy.target
    before = whole(copy.client, source)
    copy.cut_over()
    copy.rollback()
    assert _end(copy).index == target
    assert not index_exists(copy.client, index=target)
    assert whole(copy.client, source) == before
    assert copy.behind() == [source]
    assert _nothing_is_left(copy, target)


def test_a_copy_that_was_not_cut_over_is_deleted(copy: Migrated) -> None:
    source, target = copy.source, copy.target
    assert _end(copy).deleted
    assert not index_exists(copy.client, index=target)
    assert copy.behind() == [source]


def test_a_plan_of_which_nothing_was_made_is_forgotten(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    with migrated(
        client, engine_settings, index_name, letters=tmp_path, documents=3, copied=False
    ) as made:
        source = made.source
        report = _end(made)
        assert (report.index, report.deleted) == ("", False)
        assert made.behind() == [source]
        assert find_migration(client, index_name) is None


def test_both_indices_can_be_kept(copy: Migrated) -> None:
    copy.cut_over()
    source, target = copy.source, copy.target
    report = _end(copy, confirmed="", keep=True)
    assert not report.deleted
    assert index_exists(copy.client, index=source)
    assert copy.behind() == [target]
    assert _nothing_is_left(copy, target)


def test_another_name_than_the_exact_one_deletes_nothing(copy: Migrated) -> None:
    copy.cut_over()
    for typed in (copy.target, "", copy.alias, f"{copy.source}*"):
        with pytest.raises(InputError, match="nothing was deleted; type its name"):
            _end(copy, confirmed=typed)
    assert index_exists(copy.client, index=copy.source)
    assert copy.migration.phase == "cut_over"


def test_an_index_that_somebody_uses_is_refused(copy: Migrated) -> None:
    copy.cut_over()
    copy.client.indices.put_alias(index=copy.source, name=f"{copy.alias}-old")
    with pytest.raises(InputError, match=r"is used by the alias .*-old: move it to"):
        _end(copy)
    copy.client.indices.delete_alias(index=copy.source, name=f"{copy.alias}-old")
    copy.client.indices.delete_alias(index=copy.target, name=copy.alias)
    with pytest.raises(InputError, match=r"is no alias of .*clients would be left with nothing"):
        _end(copy)
    assert index_exists(copy.client, index=copy.source)


def test_an_index_that_a_pipeline_was_applied_to_is_refused(copy: Migrated) -> None:
    copy.cut_over()
    plan = FunnelPlan(alias=copy.source)
    save_plan(copy.client, plan)
    applied = AppliedPipeline(name=f"p-{copy.alias}", plan_id=plan.plan_id, service_url="http://s")
    save_pipeline(copy.client, applied)
    try:
        with pytest.raises(InputError, match="funnel pipeline remove"):
            _end(copy)
    finally:
        forget_pipeline(copy.client, applied.name)
        forget_plan(copy.client, plan.plan_id)
    assert _end(copy).deleted


def test_another_index_of_the_same_name_is_refused(copy: Migrated) -> None:
    target = copy.target
    copy.client.indices.delete(index=target)
    copy.client.indices.create(index=target)
    with pytest.raises(InputError, match="is another index than the migration's by now"):
        _end(copy)
    assert not _end(copy, confirmed="", keep=True).deleted
    assert index_exists(copy.client, index=target)
    assert _nothing_is_left(copy, target)


def test_it_is_refused_while_somebody_is_at_work(copy: Migrated) -> None:
    journal = Journal(copy.client, target=copy.target)
    journal.extend({0: 1000})
    assert journal.claim(owner="elsewhere:1:2") is not None
    with pytest.raises(InputError, match=r"elsewhere:1:2 copies documents of .*pause"):
        _end(copy)
    update_migration(
        copy.client,
        copy.alias,
        lambda now: replace(now, operator="elsewhere:1:3", operator_until=time.time() + 3600),
    )
    with pytest.raises(InputError, match="elsewhere:1:3 is at a step"):
        _end(copy)
    assert index_exists(copy.client, index=copy.target)


def test_one_that_was_cut_off_can_be_run_again(copy: Migrated) -> None:
    # The index was deleted, and the journal and the record are left.
    copy.cut_over()
    source, target = copy.source, copy.target
    copy.client.indices.delete(index=source)
    report = _end(copy)
    assert (report.index, report.deleted) == ("", False)
    assert copy.behind() == [target]
    assert _nothing_is_left(copy, target)
