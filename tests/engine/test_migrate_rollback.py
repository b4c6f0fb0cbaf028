"""The rollback: clients back where they were, with what they wrote since, or plainly without."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.engine.records import list_records
from opensearch_funnel.engine.source_bytes import decoded_source, without_funnel
from opensearch_funnel.migrating.block_clock import BlockTooLongError
from opensearch_funnel.migrating.migration import Migration, update_migration
from opensearch_funnel.migrating.recovering import put_right
from opensearch_funnel.migrating.snapshots import snapshot_differences
from opensearch_funnel.migrating.write_block import block_writes, lift_block, writes_blocked
from opensearch_funnel.settings import Settings
from tests.engine.ended_switches import seconds_until_writable, switches
from tests.engine.ending_proxy import Point
from tests.engine.migrations import film, films, whole
from tests.engine.switching import Migrated, migrated, writer

pytestmark = pytest.mark.engine

BLOCK, SWAP = "PUT .*/_block/write", "POST /_aliases"
SOON_S = 60.0
DOCUMENTS = 1000


@pytest.fixture
def moved(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> Iterator[Migrated]:
    """A small index that is cut over."""
    with migrated(client, engine_settings, index_name, letters=tmp_path) as made:
        made.cut_over()
        yield made


def _documents(client: OpenSearch, index: str) -> dict[tuple[str, str | None], bytes]:
    """Return what an index has, byte for byte, without the funnel's part."""
    return {key: without_funnel(one.source) for key, one in whole(client, index).items()}


def _is_as_it_was(made: Migrated) -> None:
    migration: Migration = made.migration
    assert migration.phase == "rolled_back"
    assert made.behind() == [made.source]
    index = migration.source
    assert snapshot_differences(made.client, index=index, snapshot=migration.snapshot) == []
    assert made.client.indices.get_mapping(index=index)[index]["mappings"] == (
        migration.snapshot.mappings
    )
    assert made.client.indices.get_settings(index=index)[index]["settings"] == (
        migration.snapshot.settings
    )
    assert made.client.indices.get_alias(index=index)[index]["aliases"] == (
        migration.snapshot.aliases
    )


def test_without_writes_everything_is_as_it_was(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    with migrated(client, engine_settings, index_name, letters=tmp_path, copied=False) as made:
        before = whole(client, made.source)
        made.run()
        made.cut_over()
        report = made.rollback()
        assert (report.written, report.deleted, report.untouched) == (0, 0, True)
        assert report.differences == ()
        assert report.aliases == (index_name,)
        assert 0 < report.rollback_ms < report.blocked_ms
        assert whole(client, made.source) == before
        _is_as_it_was(made)
        client.index(index=index_name, id="new", body=film(1))
        assert writes_blocked(client, index=made.target)
        with pytest.raises(InputError, match="is rolled back already: funnel migrate cleanup"):
            made.rollback()


def _write(client: OpenSearch, index: str) -> dict[str, dict[str, Any]]:
    """Make 500 writes of every kind, and return what the changed documents have to say."""
    changed: dict[str, dict[str, Any]] = {}
    for number in range(150):
        client.update(index=index, id=f"d{number}", body={"doc": {"price": -0.5}})
        changed[f"d{number}"] = {**film(number), "price": -0.5}
    for number in range(150, 300):
        body = film(number, edition=2)
        client.index(index=index, id=f"d{number}", body=body)
        changed[f"d{number}"] = body
    for number in range(DOCUMENTS, DOCUMENTS + 100):
        client.index(index=index, id=f"d{number}", body=film(number))
        changed[f"d{number}"] = film(number)
    for number in range(400, 500):
        client.delete(index=index, id=f"d{number}")
    return changed


def test_five_hundred_writes_since_the_cutover_come_along(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    with migrated(
        client, engine_settings, index_name, letters=tmp_path, documents=DOCUMENTS
    ) as made:
        made.cut_over()
        source = {
            key[0]: decoded_source(text) for key, text in _documents(client, made.source).items()
        }
        changed = _write(client, index_name)
        wanted = {
            doc_id: text
            for doc_id, text in {**source, **changed}.items()
            if doc_id not in {f"d{number}" for number in range(400, 500)}
        }
        counted = made.rollback(dry_run=True)
        assert (counted.written, counted.deleted, counted.dry_run) == (400, 100, True)
        assert made.behind() == [made.target]
        report = made.rollback()
        assert (report.written, report.deleted, report.untouched) == (400, 100, False)
        assert report.differences == ()
        found = whole(client, made.source)
        assert {key[0]: decoded_source(one.source) for key, one in found.items()} == wanted
        assert all(b'"funnel"' not in one.source for one in found.values())
        _is_as_it_was(made)


def test_discarded_writes_are_counted_and_left_behind(moved: Migrated) -> None:
    before = whole(moved.client, moved.source)
    for number in range(3):
        moved.client.update(index=moved.alias, id=f"d{number}", body={"doc": {"price": -1}})
    moved.client.index(index=moved.alias, id="new", body=film(1))
    moved.client.delete(index=moved.alias, id="d50")
    report = moved.rollback(discard_writes=True)
    assert (report.discarded, report.written, report.deleted) == (5, 0, 0)
    assert report.untouched
    assert whole(moved.client, moved.source) == before
    _is_as_it_was(moved)


def test_what_only_touched_the_funnel_is_not_written_back(moved: Migrated) -> None:
    found = moved.client.get(index=moved.target, id="d7")["_source"]
    found["funnel"]["sparse_a"] = {"other": 1.0}
    moved.client.index(index=moved.target, id="d7", body=found)
    report = moved.rollback()
    assert (report.unchanged, report.written, report.untouched) == (1, 0, True)
    _is_as_it_was(moved)


def test_a_document_under_another_id_with_all_that_it_had(moved: Migrated) -> None:
    # Its copy says that it comes from where the deleted one came from.
    found = moved.client.get(index=moved.target, id="d7")["_source"]
    moved.client.index(index=moved.alias, id="renamed", body=found)
    moved.client.delete(index=moved.alias, id="d7")
    # Deleted, and there again as it was; and one that is deleted after it was changed.
    moved.client.delete(index=moved.alias, id="d8")
    moved.client.index(index=moved.alias, id="d8", body=film(8))
    moved.client.update(index=moved.alias, id="d9", body={"doc": {"price": 1}})
    moved.client.delete(index=moved.alias, id="d9")
    report = moved.rollback()
    assert (report.written, report.deleted) == (1, 2)
    keys = {key[0] for key in whole(moved.client, moved.source)}
    assert {"renamed", "d8"} <= keys
    assert not {"d7", "d9"} & keys
    assert _documents(moved.client, moved.source) == _documents(moved.client, moved.target)


def test_routing_is_kept_and_the_sources_pipeline_does_not_run(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    body = {"processors": [{"set": {"field": "times", "value": 2}}]}
    client.ingest.put_pipeline(id=index_name, body=body)
    try:
        with migrated(
            client,
            engine_settings,
            index_name,
            letters=tmp_path,
            documents=5,
            properties={"times": {"type": "long"}},
        ) as made:
            made.cut_over()
            setting = {"index.default_pipeline": index_name}
            client.indices.put_settings(index=made.source, body=setting)
            client.index(index=index_name, id="r", body=film(9), params={"routing": "a"})
            client.index(index=index_name, id="d1", body={"title": "x", "price": 1.50})
            report = made.rollback()
            found = _documents(client, made.source)
            assert decoded_source(found["r", "a"]) == film(9)
            assert decoded_source(found["d1", None]) == {"title": "x", "price": 1.5}
            (difference,) = report.differences
            assert "index.default_pipeline" in difference
            client.indices.delete(index=f"{index_name}*")
    finally:
        client.indices.delete(index=f"{index_name}*", params={"ignore_unavailable": "true"})
        client.ingest.delete_pipeline(id=index_name)


def test_a_writer_that_tries_again_loses_nothing(
    moved: Migrated, engine_settings: Settings
) -> None:
    with writer(engine_settings, moved.alias, begin=120) as written:
        assert written.wrote.wait(SOON_S)
        report = moved.rollback()
        behind_it = written.operations
        deadline = time.monotonic() + SOON_S
        while written.operations < behind_it + 20:
            assert time.monotonic() < deadline, "nothing is written any more"
            time.sleep(0.02)
    found = {
        key[0]: decoded_source(one) for key, one in _documents(moved.client, moved.source).items()
    }
    assert found == written.documents()
    assert report.blocked_ms > 0
    _is_as_it_was(moved)


def test_before_a_cutover_there_is_nothing_to_roll_back(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    with (
        migrated(client, engine_settings, index_name, letters=tmp_path, documents=3) as made,
        pytest.raises(InputError, match="nothing to roll back: clients use"),
    ):
        made.rollback()


def test_writes_of_somebody_else_to_the_source_are_named(moved: Migrated) -> None:
    moved.client.update(index=moved.alias, id="d1", body={"doc": {"price": -1}})
    lift_block(moved.client, index=moved.source)
    moved.client.index(index=moved.source, id="foreign", body=film(1))
    moved.client.delete(index=moved.source, id="d2")
    with pytest.raises(InputError, match=r"2 operations, 1 documents that are there now.*--force"):
        moved.rollback()
    assert moved.behind() == [moved.target]
    assert moved.migration.phase == "cut_over"
    report = moved.rollback(force=True)
    assert (report.foreign, report.written) == (1, 1)
    assert len(report.forced) == 2
    keys = {key[0] for key in whole(moved.client, moved.source)}
    assert "foreign" in keys
    assert "d2" not in keys
    assert not report.untouched
    _is_as_it_was(moved)


def test_a_write_that_the_source_refuses_leaves_clients_where_they_are(moved: Migrated) -> None:
    body = {"properties": {"price": {"type": "float", "ignore_malformed": True}}}
    moved.client.indices.put_mapping(index=moved.target, body=body)
    moved.client.index(index=moved.alias, id="odd", body={"title": "odd", "price": "cheap"})
    with pytest.raises(InputError, match=r"refuses 1 documents .* 'odd' .*--discard-writes"):
        moved.rollback()
    assert moved.behind() == [moved.target]
    assert moved.migration.phase == "cut_over"
    assert writes_blocked(moved.client, index=moved.source)
    moved.client.index(index=moved.alias, id="odd", body={"title": "odd", "price": 1.5})
    assert moved.rollback().written == 1
    _is_as_it_was(moved)


def test_a_block_that_would_last_too_long_is_lifted(moved: Migrated) -> None:
    moved.client.update(index=moved.alias, id="d1", body={"doc": {"price": -1}})
    with pytest.raises(BlockTooLongError):
        moved.rollback(max_block_s=0.0)
    assert moved.behind() == [moved.target]
    assert moved.migration.phase == "cut_over"
    assert writes_blocked(moved.client, index=moved.source)
    moved.client.delete(index=moved.alias, id="d1")
    report = moved.rollback()
    assert (report.written, report.deleted, report.forced) == (0, 1, ())
    assert "d1" not in {key[0] for key in whole(moved.client, moved.source)}
    _is_as_it_was(moved)


def test_aliases_that_came_since_move_along_and_are_named(moved: Migrated) -> None:
    moved.client.indices.put_alias(index=moved.target, name=f"{moved.alias}-more")
    report = moved.rollback()
    assert set(report.aliases) == {moved.alias, f"{moved.alias}-more"}
    assert [line.partition(":")[0] for line in report.differences] == [f"alias {moved.alias}-more"]
    assert moved.behind(f"{moved.alias}-more") == [moved.source]


def test_an_alias_that_somebody_moved_is_refused(moved: Migrated) -> None:
    moved.client.indices.delete_alias(index=moved.target, name=moved.alias)
    with pytest.raises(InputError, match="somebody has moved it past this migration"):
        moved.rollback()


def test_a_source_that_was_blocked_before_is_blocked_again(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    with migrated(
        client, engine_settings, index_name, letters=tmp_path, documents=20, copied=False
    ) as made:
        block_writes(client, index=made.source)
        settings = client.indices.get_settings(index=made.source)[made.source]["settings"]
        update_migration(
            client,
            index_name,
            lambda now: replace(now, snapshot=replace(now.snapshot, settings=settings)),
        )
        made.run()
        made.cut_over()
        assert not writes_blocked(client, index=made.target)
        client.index(index=index_name, id="new", body=film(1))
        assert made.rollback().written == 1
        assert writes_blocked(client, index=made.source)
        assert "new" in {key[0] for key in whole(client, made.source)}
        _is_as_it_was(made)


_SEEDED = [
    Point(nth, handed_on)
    for nth, handed_on in zip(
        random.Random(11).sample(range(5, 90), 3),  # noqa: S311 - a schedule
        (True, False, True),
        strict=True,
    )
]


def test_a_rollback_that_is_killed_leaves_clients_writing_and_can_be_run_again(
    moved: Migrated,
) -> None:
    for number in range(30):
        moved.client.update(index=moved.alias, id=f"d{number}", body={"doc": {"price": -1}})
    moved.client.delete(index=moved.alias, id="d50")
    points = [
        Point(1, handed_on=True, where="POST .*/_bulk"),
        Point(1, handed_on=False, where=BLOCK),
        Point(1, handed_on=True, where=BLOCK),
        Point(2, handed_on=False, where=SWAP),
        *_SEEDED,
    ]
    with switches(moved) as started:
        for place, point in enumerate(points):
            happened, code = started.end("rollback", point)
            assert happened, point
            assert code == -signal.SIGKILL
            assert seconds_until_writable(moved, f"d{700 + place}") < SOON_S
            assert moved.behind() == [moved.target], point
            # What was carried already is written, changed and deleted again.
            moved.client.delete(index=moved.alias, id=f"d{place}")
            moved.client.update(index=moved.alias, id="d20", body={"doc": {"price": place}})
        started.run("rollback")
    assert _documents(moved.client, moved.source) == _documents(moved.client, moved.target)
    kind = f"carried:{moved.target}"
    assert list_records(moved.client, kind=kind) == []
    _is_as_it_was(moved)


def test_a_rollback_that_is_killed_behind_the_swap_is_finished_by_the_next_look(
    moved: Migrated,
) -> None:
    moved.client.update(index=moved.alias, id="d1", body={"doc": {"price": -1}})
    with switches(moved) as started:
        happened, code = started.end("rollback", Point(2, handed_on=True, where=SWAP))
    assert (happened, code) == (True, -signal.SIGKILL)
    assert moved.behind() == [moved.source]
    assert put_right(moved.client, moved.migration).phase == "rolled_back"
    assert writes_blocked(moved.client, index=moved.target)
    assert _documents(moved.client, moved.source) == _documents(moved.client, moved.target)
    _is_as_it_was(moved)


def test_an_interrupted_rollback_is_undone(moved: Migrated) -> None:
    films(moved.client, moved.alias, range(10), edition=1)
    with switches(moved) as started:
        happened, code = started.end(
            "rollback", Point(1, handed_on=True, where=BLOCK), number=signal.SIGINT
        )
    assert (happened, code) == (True, 130)
    assert moved.migration.phase == "cut_over"
    assert moved.behind() == [moved.target]
    assert not writes_blocked(moved.client, index=moved.target)
    assert writes_blocked(moved.client, index=moved.source)
    moved.rollback()
    _is_as_it_was(moved)


def test_what_was_never_copied_stays_in_the_source(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    with migrated(client, engine_settings, index_name, letters=tmp_path, documents=40) as made:
        # One that has no copy, and two whose copies are of what they were before.
        for doc_id in ("dead", "d3", "d4"):
            client.index(index=index_name, id=doc_id, body={"title": "x", "funnel": "my own"})
        made.run()
        made.cutover(force=True)
        assert "dead" not in {key[0] for key in whole(client, made.target)}
        client.delete(index=index_name, id="d1")
        client.delete(index=index_name, id="d4")
        assert made.rollback(dry_run=True).deleted == 2
        report = made.rollback()
        assert (report.written, report.deleted, report.forced) == (0, 2, ())
        found = {key[0] for key in whole(client, made.source)}
        assert found == {"dead", *(f"d{number}" for number in range(40))} - {"d1", "d4"}
        assert made.behind() == [made.source]


def test_without_deletes_what_was_never_copied_stays_too(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    with migrated(client, engine_settings, index_name, letters=tmp_path, documents=5) as made:
        client.index(index=index_name, id="dead", body={"title": "x", "funnel": "my own"})
        made.run()
        made.cutover(force=True)
        report = made.rollback()
        assert (report.deleted, report.forced, report.untouched) == (0, (), True)
        assert "dead" in {key[0] for key in whole(client, made.source)}
        assert made.behind() == [made.source]


@pytest.fixture
def counted(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> Iterator[Migrated]:
    """A small index that is cut over, with a final pipeline that counts how often it ran."""
    script = "ctx.times = (ctx.times == null ? 0 : ctx.times) + 1"
    client.ingest.put_pipeline(id=index_name, body={"processors": [{"script": {"source": script}}]})
    try:
        with migrated(
            client,
            engine_settings,
            index_name,
            letters=tmp_path,
            documents=20,
            properties={"times": {"type": "long"}},
            final_pipeline=index_name,
        ) as made:
            made.cut_over()
            yield made
    finally:
        client.indices.delete(index=f"{index_name}*", params={"ignore_unavailable": "true"})
        client.ingest.delete_pipeline(id=index_name)


def _times(made: Migrated, doc_id: str) -> int:
    times: int = made.client.get(index=made.source, id=doc_id)["_source"]["times"]
    return times


def test_a_final_pipeline_of_the_source_does_not_run_over_what_is_carried(
    counted: Migrated,
) -> None:
    counted.client.index(index=counted.alias, id="new", body=film(9))
    assert counted.rollback().written == 1
    assert (_times(counted, "new"), _times(counted, "d1")) == (1, 1)
    _is_as_it_was(counted)
    counted.client.index(index=counted.alias, id="later", body=film(10))
    assert _times(counted, "later") == 1


def test_a_final_pipeline_is_back_wherever_a_rollback_ends(counted: Migrated) -> None:
    def final() -> Any:
        found = counted.client.indices.get_settings(index=counted.source)[counted.source]
        return found["settings"]["index"]["final_pipeline"]

    counted.client.index(index=counted.alias, id="new", body=film(9))
    with pytest.raises(BlockTooLongError):
        counted.rollback(max_block_s=0.0)
    assert final() == counted.alias
    counted.client.index(index=counted.alias, id="new", body=film(10))
    with switches(counted) as started:
        happened, code = started.end("rollback", Point(1, handed_on=True, where="POST .*/_bulk"))
    assert (happened, code) == (True, -signal.SIGKILL)
    assert final() == "_none"
    put_right(counted.client, counted.migration)
    assert final() == counted.alias
    assert counted.rollback().forced == ()
    assert _times(counted, "new") == 1
    _is_as_it_was(counted)


def test_an_attempt_that_carried_only_deletes_does_not_stop_the_next(moved: Migrated) -> None:
    moved.client.delete(index=moved.alias, id="d50")
    with pytest.raises(BlockTooLongError):
        moved.rollback(max_block_s=0.0)
    assert moved.rollback().forced == ()
    assert "d50" not in {key[0] for key in whole(moved.client, moved.source)}
    _is_as_it_was(moved)


def test_an_index_that_gives_out_small_pages_only(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    with migrated(
        client,
        engine_settings,
        index_name,
        letters=tmp_path,
        documents=700,
        max_result_window=50,
    ) as made:
        for number in range(100, 200):
            client.delete(index=index_name, id=f"d{number}")
        made.run()
        films(client, index_name, range(60), edition=1)
        made.run()
        made.cut_over()
        for number in range(200, 330):
            client.delete(index=index_name, id=f"d{number}")
        films(client, index_name, range(400, 540), edition=2)
        report = made.rollback()
        assert (report.written, report.deleted, report.forced) == (140, 130, ())
        settings = {"index.max_result_window": None}
        for index in (made.source, made.target):
            client.indices.put_settings(index=index, body=settings)
        assert _documents(client, made.source) == _documents(client, made.target)
        assert len(_documents(client, made.source)) == 700 - 100 - 130
