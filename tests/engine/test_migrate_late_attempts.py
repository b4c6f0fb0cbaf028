"""An attempt that was cut off, or thought to be, while somebody else goes on: it does no harm."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.migrating.block_guard import Watch, guarded, let_go
from opensearch_funnel.migrating.migration import Migration, Phase, update_migration
from opensearch_funnel.migrating.recovering import settle, watched
from opensearch_funnel.migrating.swapping import aliases_of, fence_name, raise_fence
from opensearch_funnel.migrating.write_block import block_writes, writes_blocked
from opensearch_funnel.settings import Settings
from tests.engine.ended_switches import switches
from tests.engine.ending_proxy import Point, ending_proxy
from tests.engine.switching import Migrated, migrated

pytestmark = pytest.mark.engine

_SOON_S = 60.0


@pytest.fixture
def copy(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> Iterator[Migrated]:
    with migrated(client, engine_settings, index_name, letters=tmp_path, documents=40) as made:
        yield made


def _watch(made: Migrated) -> Watch:
    return Watch(
        alias=made.alias,
        blocked=made.source,
        moves_to=made.target,
        fenced=made.target,
        fence=fence_name(made.target),
        deadline_s=_SOON_S,
    )


@pytest.mark.parametrize("fenced", [False, True])
def test_the_guard_of_an_old_attempt_leaves_the_block_of_a_newer_one(
    copy: Migrated, fenced: bool
) -> None:
    old, new = _watch(copy), _watch(copy)
    update_migration(
        copy.client, copy.alias, lambda now: watched(replace(now, phase="cutting_over"), new)
    )
    raise_fence(copy.client, index=copy.target, fence=new.fence)
    if fenced:
        raise_fence(copy.client, index=copy.target, fence=old.fence)
    block_writes(copy.client, index=copy.source)
    assert let_go(copy.client, old)
    assert writes_blocked(copy.client, index=copy.source)
    assert old.fence not in aliases_of(copy.client, index=copy.target)
    assert new.fence in aliases_of(copy.client, index=copy.target)
    assert let_go(copy.client, new)
    assert not writes_blocked(copy.client, index=copy.source)


def test_settling_an_old_attempt_leaves_the_record_of_a_newer_one(copy: Migrated) -> None:
    old = watched(replace(copy.migration, phase="cutting_over"), _watch(copy))
    stored = update_migration(
        copy.client,
        copy.alias,
        lambda now: watched(replace(now, phase="cutting_over"), _watch(copy)),
    )
    block_writes(copy.client, index=copy.source)
    assert settle(copy.client, old) == stored
    assert copy.migration == stored
    assert writes_blocked(copy.client, index=copy.source)
    assert settle(copy.client, stored).phase == "copying"
    assert not writes_blocked(copy.client, index=copy.source)


def test_a_block_that_came_after_all_was_put_right_is_lifted(copy: Migrated) -> None:
    late = watched(replace(copy.migration, phase="cutting_over"), _watch(copy))
    block_writes(copy.client, index=copy.source)
    assert settle(copy.client, late) == copy.migration
    assert not writes_blocked(copy.client, index=copy.source)


def test_a_source_that_a_later_migration_has_left_stays_blocked(copy: Migrated) -> None:
    third = f"{copy.alias}-third"
    copy.client.indices.create(index=third)
    actions = [
        {"remove": {"index": copy.source, "alias": copy.alias}},
        {"add": {"index": third, "alias": copy.alias}},
    ]
    copy.client.indices.update_aliases(body={"actions": actions})
    block_writes(copy.client, index=copy.source)
    let_go(copy.client, _watch(copy))
    assert writes_blocked(copy.client, index=copy.source)


@pytest.mark.parametrize(("step", "undone"), [("cutover", "copying"), ("rollback", "cut_over")])
def test_who_was_put_right_in_the_meantime_moves_nothing(
    copy: Migrated, step: str, undone: Phase
) -> None:
    assert copy.verify().passed
    if step == "rollback":
        copy.cutover()
    before = copy.behind()

    def put_right_before_the_fence() -> None:
        def change(now: Migration) -> Migration:
            kept = {name: value for name, value in now.cutover.items() if name != "watch"}
            return replace(now, phase=undone, paused=False, cutover=kept)

        update_migration(copy.client, copy.alias, change)

    with switches(copy) as started:
        point = Point(1, handed_on=True, where="POST /_aliases")
        code, output = started.meanwhile(step, point, put_right_before_the_fence)
    assert code == 1
    assert "took this step" in output
    assert copy.behind() == before
    assert copy.migration.phase == undone
    assert not writes_blocked(copy.client, index=before[0])
    assert not any("-fence-" in name for name in aliases_of(copy.client, index=copy.target))
    if step == "rollback":
        assert writes_blocked(copy.client, index=copy.source)


def test_a_killed_rollback_does_not_leave_the_source_open(copy: Migrated) -> None:
    copy.cut_over()
    copy.client.update(index=copy.alias, id="d1", body={"doc": {"price": -1}})
    with switches(copy) as started:
        point = Point(1, handed_on=True, where="POST .*/_bulk")
        happened, code = started.end("rollback", point)
        assert (happened, code) == (True, -signal.SIGKILL)
        until = time.monotonic() + _SOON_S
        while not writes_blocked(copy.client, index=copy.source):
            assert time.monotonic() < until, "the source takes writes that nobody sees"
            time.sleep(0.05)
    assert copy.migration.phase == "rolling_back"
    assert not writes_blocked(copy.client, index=copy.target)
    assert copy.behind() == [copy.target]
    copy.rollback()
    assert copy.behind() == [copy.source]
    assert copy.client.get(index=copy.source, id="d1")["_source"]["price"] == -1


@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_no_guard_of_these_tests_outlives_its_proxy(
    copy: Migrated, engine_settings: Settings
) -> None:
    with ExitStack() as guards, ending_proxy(engine_settings.url) as (url, _):
        guard = guards.enter_context(guarded(_watch(copy), settings=Settings(url=url)))
    assert guard.exit_code == -signal.SIGKILL
