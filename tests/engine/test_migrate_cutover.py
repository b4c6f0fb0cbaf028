"""The cutover: with proof, in one moment, and whole or not at all."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import inf
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from opensearchpy import OpenSearch
from pydantic import SecretStr

from opensearch_funnel.core.errors import EngineError, InputError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.indices import index_uuid
from opensearch_funnel.engine.source_bytes import decoded_source, without_funnel
from opensearch_funnel.migrating.block_clock import BlockTooLongError
from opensearch_funnel.migrating.block_guard import Watch, guarded, let_go
from opensearch_funnel.migrating.migration import update_migration
from opensearch_funnel.migrating.operating import operating
from opensearch_funnel.migrating.passes import WorkOptions
from opensearch_funnel.migrating.recovering import put_right, watched
from opensearch_funnel.migrating.running import RunOptions, run
from opensearch_funnel.migrating.swapping import (
    aliases_of,
    call_off,
    called_off,
    fence_name,
    raise_fence,
    swap_aliases,
)
from opensearch_funnel.migrating.write_block import block_writes, lift_block, writes_blocked
from opensearch_funnel.settings import Settings
from tests.engine.ended_switches import seconds_until_writable, switches
from tests.engine.ending_proxy import Point
from tests.engine.migrations import EVEN, compared, film, films, whole
from tests.engine.switching import Migrated, migrated, writer

pytestmark = pytest.mark.engine

BLOCK, SWAP = "PUT .*/_block/write", "POST /_aliases"
SOON_S = 60.0


@pytest.fixture
def copy(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> Iterator[Migrated]:
    with migrated(client, engine_settings, index_name, letters=tmp_path) as made:
        yield made


def _refused(client: OpenSearch, index: str) -> bool:
    try:
        client.index(index=index, id="probe", body={"title": "probe"})
    except EngineError as error:
        if error.kind != "cluster_block_exception":
            raise
        return True
    return False


def _hits(client: OpenSearch, index: str) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = client.search(index=index, body={"size": 50})["hits"]["hits"]
    return hits


def test_all_aliases_move_with_all_that_they_are(copy: Migrated) -> None:
    client, source = copy.client, copy.source
    aliases: dict[str, Any] = {
        f"{copy.alias}-few": {
            "filter": {"range": {"price": {"lt": 10}}},
            "index_routing": "a",
            "search_routing": "a,b",
        },
        f"{copy.alias}-in": {"is_write_index": True},
        f"{copy.alias}-out": {"is_hidden": True},
    }
    for name, properties in aliases.items():
        client.indices.put_alias(index=source, name=name, body=properties)
    before = aliases_of(client, index=source)
    few = {hit["_id"] for hit in _hits(client, f"{copy.alias}-few")}
    report = copy.cut_over()
    assert set(report.aliases) == {copy.alias, *aliases}
    assert aliases_of(client, index=copy.target) == before
    assert aliases_of(client, index=source) == {}
    assert copy.migration.phase == "cut_over"
    assert (report.late, report.forced) == (0, ())
    assert 0 < report.cutover_ms < report.blocked_ms
    assert copy.migration.cutover["aliases"] == before
    # Whoever writes by the old name hears of it; whoever uses the alias notices nothing.
    assert _refused(client, source)
    assert not _refused(client, copy.alias)
    hits = _hits(client, f"{copy.alias}-few")
    assert {hit["_id"] for hit in hits} == few
    assert few
    assert {hit["_index"] for hit in hits} == {copy.target}
    assert client.get(index=copy.target, id="probe")["found"]
    settings = client.indices.get_settings(index=copy.target)[copy.target]["settings"]["index"]
    assert "refresh_interval" not in settings


def test_what_was_written_since_the_proof_comes_along(copy: Migrated) -> None:
    assert copy.verify().passed
    films(copy.client, copy.source, range(30), edition=1)
    films(copy.client, copy.source, range(500, 510))
    for number in range(40, 50):
        copy.client.delete(index=copy.source, id=f"d{number}")
    report = copy.cutover()
    assert report.compared == 40
    assert compared(copy.client, copy.migration, encoder=copy.encoder) == EVEN


def test_ingest_pipelines_run_on_clients_writes_and_not_on_copies(
    client: OpenSearch, engine_settings: Settings, index_name: str, tmp_path: Path
) -> None:
    body = {"processors": [{"set": {"field": "seen", "value": True}}]}
    client.ingest.put_pipeline(id=index_name, body=body)
    try:
        with migrated(
            client,
            engine_settings,
            index_name,
            letters=tmp_path,
            documents=5,
            default_pipeline=index_name,
        ) as made:
            made.cut_over()
            assert compared(client, made.migration, encoder=made.encoder) == EVEN
            client.index(index=made.alias, id="new", body={"title": "new"})
            assert client.get(index=made.target, id="new")["_source"]["seen"] is True
            client.indices.delete(index=made.target)
    finally:
        client.indices.delete(index=f"{index_name}*")
        client.ingest.delete_pipeline(id=index_name)


def test_without_a_proof_it_is_refused_and_force_says_so(copy: Migrated) -> None:
    with pytest.raises(InputError, match=r"was not verified: funnel migrate verify .*--force"):
        copy.cutover()
    copy.client.delete(index=copy.target, id="d7")
    assert not copy.verify().passed
    with pytest.raises(InputError, match=r"the verification of .* failed \(counts, documents\)"):
        copy.cutover()
    assert copy.behind() == [copy.source]
    report = copy.cutover(force=True)
    assert len(report.forced) >= 2
    assert any("failed (counts, documents)" in line for line in copy.heard.lines)
    assert "1 documents without a copy of their last version (d7)" in " ".join(report.forced)
    assert copy.migration.log[-1]["event"] == "cut over"
    assert copy.migration.log[-2]["forced"]


@pytest.mark.parametrize("by", ["update", "index", "delete", "setting", "mapping"])
def test_a_target_that_somebody_changed_since_the_proof_is_refused(copy: Migrated, by: str) -> None:
    assert copy.verify().passed
    client, target = copy.client, copy.target
    if by == "update":
        client.update(index=target, id="d7", body={"doc": {"price": 0}})
    elif by == "index":
        client.index(index=target, id="mine", body={"title": "mine"})
    elif by == "delete":
        client.delete(index=target, id="d7")
    elif by == "setting":
        client.indices.put_settings(index=target, body={"index.max_result_window": 5000})
    else:
        client.indices.put_mapping(index=target, body={"properties": {"x": {"type": "long"}}})
    with pytest.raises(InputError, match=r"d7|mine|max_result_window|properties\.x"):
        copy.cutover()
    assert copy.behind() == [copy.source]
    assert copy.migration.phase == "copying"
    assert not copy.migration.paused
    assert not writes_blocked(client, index=copy.source)


def test_a_dry_run_changes_nothing(copy: Migrated) -> None:
    assert copy.verify().passed
    films(copy.client, copy.source, range(500, 507))
    before = copy.migration
    report = copy.cutover(dry_run=True)
    assert (report.dry_run, report.behind, report.aliases) == (True, 7, (copy.alias,))
    assert copy.migration == before
    assert copy.behind() == [copy.source]


def test_a_block_that_would_last_too_long_is_lifted(copy: Migrated) -> None:
    assert copy.verify().passed
    with pytest.raises(BlockTooLongError, match="operations were left: the block was lifted"):
        copy.cutover(max_block_s=0.0)
    assert copy.behind() == [copy.source]
    assert not _refused(copy.client, copy.alias)
    assert (copy.migration.phase, copy.migration.paused) == ("copying", False)
    assert list(aliases_of(copy.client, index=copy.target)) == [copy.migration.writing_alias]
    copy.run()
    copy.cut_over()
    assert copy.behind() == [copy.target]
    assert compared(copy.client, copy.migration, encoder=copy.encoder) == EVEN


def test_it_is_refused_at_the_wrong_time(copy: Migrated) -> None:
    update_migration(copy.client, copy.alias, lambda now: replace(now, paused=True))
    with pytest.raises(InputError, match="is paused: funnel migrate resume"):
        copy.cutover()
    update_migration(copy.client, copy.alias, lambda now: replace(now, paused=False))
    copy.cut_over()
    with pytest.raises(InputError, match="is cut over already"):
        copy.cutover()
    with pytest.raises(InputError, match="nothing left to prove"):
        copy.verify()


def test_an_alias_that_is_gone_or_an_index_is_refused(copy: Migrated) -> None:
    assert copy.verify().passed
    copy.client.indices.delete_alias(index=copy.source, name=copy.alias)
    with pytest.raises(InputError, match="is no alias of"):
        copy.cutover()
    copy.client.indices.create(index=copy.alias)
    with pytest.raises(InputError, match="is no alias of"):
        copy.cutover()


def test_only_one_may_be_at_it(copy: Migrated) -> None:
    assert copy.verify().passed

    def taken(until: float) -> None:
        update_migration(
            copy.client,
            copy.alias,
            lambda now: replace(now, operator="elsewhere:1:2", operator_until=until),
        )

    taken(time.time() + 3600)
    with pytest.raises(InputError, match=r"cutover of .* has to wait: elsewhere:1:2 is at a step"):
        copy.cutover()
    taken(time.time() - 1)
    assert copy.cutover().aliases == (copy.alias,)
    assert copy.migration.operator == ""


def test_the_lock_is_kept_while_a_step_goes_on(copy: Migrated) -> None:
    with operating(copy.client, copy.migration, step="a test", hold_s=0.3):
        first = copy.migration.operator_until
        deadline = time.monotonic() + SOON_S
        while copy.migration.operator_until <= first:
            assert time.monotonic() < deadline, "the lock is not renewed"
            time.sleep(0.05)
    assert copy.migration.operator == ""


def test_a_writer_that_tries_again_loses_nothing(copy: Migrated, engine_settings: Settings) -> None:
    with writer(engine_settings, copy.alias, begin=120) as written:
        assert written.wrote.wait(SOON_S)
        copy.run()
        report = copy.cut_over()
        behind_it = written.operations
        deadline = time.monotonic() + SOON_S
        while written.operations < behind_it + 20:
            assert time.monotonic() < deadline, "nothing is written any more"
            time.sleep(0.02)
    found = {
        key[0]: decoded_source(without_funnel(document.source))
        for key, document in whole(copy.client, copy.target).items()
    }
    assert found == written.documents()
    assert report.late == 0
    assert report.blocked_ms > 0


def test_a_hundred_swaps_under_twenty_readers(
    client: OpenSearch, engine_settings: Settings, index_name: str
) -> None:
    indices = [f"{index_name}-{n}" for n in (1, 2)]
    for name in indices:
        client.indices.create(index=name, body={"settings": {"number_of_replicas": 0}})
        films(client, name, range(40))
        client.indices.refresh(index=name)
    client.indices.put_alias(index=indices[0], name=index_name)
    stop = Event()
    pages: list[set[str]] = []
    errors: list[BaseException] = []

    def read() -> None:
        reader = connect(engine_settings)
        try:
            while not stop.is_set():
                answer = reader.search(index=index_name, body={"size": 40})["hits"]
                assert answer["total"]["value"] == 40
                assert len(answer["hits"]) == 40
                pages.append({hit["_index"] for hit in answer["hits"]})
        except BaseException as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    scroll = client.search(index=index_name, body={"size": 10}, params={"scroll": "5m"})
    readers = [Thread(target=read) for _ in range(20)]
    for reader in readers:
        reader.start()
    milliseconds = []
    try:
        old, new = indices
        for _ in range(100):
            fence = fence_name(new)
            raise_fence(client, index=new, fence=fence)
            begun = time.monotonic()
            swap_aliases(client, aliases_of(client, index=old), old=old, new=new, gone={fence: new})
            milliseconds.append((time.monotonic() - begun) * 1000)
            old, new = new, old
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert errors == []
    assert all(len(page) == 1 for page in pages)
    assert {name for page in pages for name in page} == set(indices)
    assert len(milliseconds) == 100
    # A page that was begun before goes on where it was.
    seen = len(scroll["hits"]["hits"])
    while hits := client.scroll(
        body={"scroll_id": scroll["_scroll_id"], "scroll": "5m"},
    )["hits"]["hits"]:
        assert {hit["_index"] for hit in hits} == {indices[0]}
        seen += len(hits)
    assert seen == 40
    client.clear_scroll(body={"scroll_id": [scroll["_scroll_id"]]})


def test_a_swap_and_the_one_who_calls_it_off_cannot_both_win(
    client: OpenSearch, index_name: str
) -> None:
    old, new = f"{index_name}-1", f"{index_name}-2"
    for name in (old, new):
        client.indices.create(index=name, body={"settings": {"number_of_replicas": 0}})
    for turn in range(10):
        client.indices.put_alias(index=old, name=index_name)
        fence = fence_name(new)
        raise_fence(client, index=new, fence=fence)
        with ThreadPoolExecutor(2) as pool:
            steps = [
                pool.submit(_swapped, client, index_name, old=old, new=new, fence=fence),
                pool.submit(call_off, client, index=new, fence=fence),
            ]
        swapped, stopped = (step.result() for step in steps)
        assert stopped is not swapped, turn
        assert sorted(client.indices.get_alias(name=index_name)) == [new if swapped else old]
        client.indices.delete_alias(index="_all", name=index_name)


def _swapped(client: OpenSearch, alias: str, *, old: str, new: str, fence: str) -> bool:
    try:
        swap_aliases(client, {alias: {}}, old=old, new=new, gone={fence: new})
    except EngineError as error:
        if not called_off(error):
            raise
        return False
    return True


def test_the_guard_lifts_a_block_when_its_parent_says_no_more(
    client: OpenSearch, engine_settings: Settings, copy: Migrated
) -> None:
    fence = fence_name(copy.target)
    raise_fence(client, index=copy.target, fence=fence)
    watch = _watch(copy, fence)
    with guarded(watch, settings=engine_settings) as guard:
        guard.announce()
        block_writes(client, index=copy.source)
    assert not writes_blocked(client, index=copy.source)
    with pytest.raises(EngineError) as failed:
        swap_aliases(
            client,
            aliases_of(client, index=copy.source),
            old=copy.source,
            new=copy.target,
            gone={fence: copy.target},
        )
    assert called_off(failed.value)


def test_the_guard_is_out_of_reach_of_the_terminal_and_keeps_the_password_to_itself(
    engine_settings: Settings, copy: Migrated
) -> None:
    settings = Settings(url=engine_settings.url, username="me", password=SecretStr("secret-word"))
    with guarded(_watch(copy, fence_name(copy.target)), settings=settings) as guard:
        assert os.getsid(guard.pid) != os.getsid(0)
        arguments = Path(f"/proc/{guard.pid}/cmdline").read_bytes()
        assert b"block_guard" in arguments
        assert b"secret-word" not in arguments
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(guard.pid, number)
        guard.done()
    assert guard.exit_code == 0


def test_the_guard_lifts_a_block_that_lasts_too_long(
    client: OpenSearch, engine_settings: Settings, copy: Migrated
) -> None:
    fence = fence_name(copy.target)
    raise_fence(client, index=copy.target, fence=fence)
    with guarded(replace(_watch(copy, fence), deadline_s=0.2), settings=engine_settings) as guard:
        # The time counts from the announcement: a block that came after it is up would stay.
        block_writes(client, index=copy.source)
        guard.announce()
        deadline = time.monotonic() + SOON_S
        while writes_blocked(client, index=copy.source):
            assert time.monotonic() < deadline, "the block is still there"
            time.sleep(0.05)
        guard.done()


def test_the_guard_leaves_the_block_where_the_aliases_have_moved(
    client: OpenSearch, engine_settings: Settings, copy: Migrated
) -> None:
    fence = fence_name(copy.target)
    raise_fence(client, index=copy.target, fence=fence)
    watch = _watch(copy, fence)
    with guarded(watch, settings=engine_settings) as guard:
        guard.announce()
        block_writes(client, index=copy.source)
        swap_aliases(
            client,
            aliases_of(client, index=copy.source),
            old=copy.source,
            new=copy.target,
            gone={fence: copy.target},
        )
    assert writes_blocked(client, index=copy.source)
    assert not let_go(client, watch)


def test_a_block_that_was_there_before_stays(
    client: OpenSearch, engine_settings: Settings, copy: Migrated
) -> None:
    block_writes(client, index=copy.source)
    fence = fence_name(copy.target)
    raise_fence(client, index=copy.target, fence=fence)
    watch = replace(_watch(copy, fence), was_blocked=True)
    with guarded(watch, settings=engine_settings):
        pass
    assert writes_blocked(client, index=copy.source)
    lift_block(client, index=copy.source)


def _watch(made: Migrated, fence: str) -> Watch:
    return Watch(
        alias=made.alias,
        blocked=made.source,
        moves_to=made.target,
        fenced=made.target,
        fence=fence,
        deadline_s=SOON_S,
    )


@pytest.mark.parametrize("moved", [False, True])
def test_what_was_cut_off_is_put_right_by_where_the_aliases_are(
    copy: Migrated, moved: bool
) -> None:
    client = copy.client
    assert copy.verify().passed
    fence = fence_name(copy.target)
    raise_fence(client, index=copy.target, fence=fence)
    block_writes(client, index=copy.source)
    update_migration(
        client,
        copy.alias,
        lambda now: watched(replace(now, phase="cutting_over", paused=True), _watch(copy, fence)),
    )
    if moved:
        gone = {fence: copy.target, copy.migration.writing_alias: copy.target}
        swap_aliases(
            client,
            aliases_of(client, index=copy.source),
            old=copy.source,
            new=copy.target,
            gone=gone,
        )
    settled = put_right(client, copy.migration, progress=copy.heard)
    assert settled == replace(
        copy.migration, operator=settled.operator, operator_until=settled.operator_until
    )
    assert settled.phase == ("cut_over" if moved else "copying")
    assert not settled.paused
    assert writes_blocked(client, index=copy.source) is moved
    assert "the cutover of" in copy.heard.lines[-1]
    assert ("finished" if moved else "undone") in copy.heard.lines[-1]
    if not moved:
        copy.cut_over()
    assert copy.behind() == [copy.target]
    assert compared(client, copy.migration, encoder=copy.encoder) == EVEN


# Where a cutover is killed: around the block and the swap, and at seeds anywhere else.
_ANYWHERE = [
    Point(nth, handed_on)
    for nth, handed_on in zip(
        random.Random(7).sample(range(5, 130), 3),  # noqa: S311 - a schedule
        (False, True, False),
        strict=True,
    )
]


def test_a_cutover_that_is_killed_leaves_clients_writing_and_can_be_run_again(
    copy: Migrated,
) -> None:
    assert copy.verify().passed
    points = [Point(1, False, BLOCK), Point(1, True, BLOCK), Point(2, False, SWAP), *_ANYWHERE]
    with switches(copy) as started:
        for place, point in enumerate(points):
            films(copy.client, copy.source, [600 + place])
            happened, code = started.end("cutover", point)
            assert happened, point
            assert code == -signal.SIGKILL
            assert seconds_until_writable(copy, f"d{700 + place}") < SOON_S
            assert copy.behind() == [copy.source], point
        started.run("cutover")
    assert copy.behind() == [copy.target]
    assert compared(copy.client, copy.migration, encoder=copy.encoder) == EVEN
    found = whole(copy.client, copy.target)
    assert {f"d{number}" for number in range(600, 606)} <= {key[0] for key in found}
    assert {f"d{number}" for number in range(700, 706)} <= {key[0] for key in found}


def test_a_cutover_that_is_killed_behind_the_swap_is_finished_by_the_next_look(
    copy: Migrated,
) -> None:
    assert copy.verify().passed
    with switches(copy) as started:
        happened, code = started.end("cutover", Point(2, True, SWAP))
    assert (happened, code) == (True, -signal.SIGKILL)
    assert copy.behind() == [copy.target]
    assert copy.migration.phase == "cutting_over"
    assert put_right(copy.client, copy.migration).phase == "cut_over"
    assert writes_blocked(copy.client, index=copy.source)
    assert compared(copy.client, copy.migration, encoder=copy.encoder) == EVEN
    assert copy.rollback().untouched


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_undoes_it(copy: Migrated, number: int) -> None:
    assert copy.verify().passed
    with switches(copy) as started:
        happened, code = started.end("cutover", Point(1, True, BLOCK), number=number)
        assert happened
        assert code != 0
        assert seconds_until_writable(copy, "d700") < SOON_S
        if number == signal.SIGINT:
            assert copy.migration.phase == "copying"
        started.run("cutover")
    assert copy.behind() == [copy.target]
    assert compared(copy.client, copy.migration, encoder=copy.encoder) == EVEN


def test_workers_are_stopped_first(copy: Migrated) -> None:
    options = RunOptions(
        follow=True,
        documents_per_second=inf,
        work=WorkOptions(letters=copy.letters, owner="another:1:2"),
    )
    stopped = Event()
    with ThreadPoolExecutor(1) as pool:
        worker = pool.submit(
            run,
            copy.client,
            copy.migration,
            encoder=copy.encoder,
            options=options,
            stopped=stopped,
        )
        try:
            films(copy.client, copy.source, range(300, 320))
            report = copy.verify()
            assert report.passed, report.to_dict()
            copy.cutover()
            # Paused, or told that there is nothing to follow any more, as it happens to look.
            try:
                assert worker.result(timeout=SOON_S).outcome == "paused"
            except InputError as error:
                ended = str(error)
            else:
                ended = "is cut over by now"
            assert ended.endswith("is cut over by now")
        finally:
            stopped.set()
    assert copy.behind() == [copy.target]
    assert compared(copy.client, copy.migration, encoder=copy.encoder) == EVEN


def test_the_source_keeps_its_documents(copy: Migrated) -> None:
    before = {key: document.source for key, document in whole(copy.client, copy.source).items()}
    uuid = index_uuid(copy.client, index=copy.source)
    copy.cut_over()
    copy.client.index(index=copy.alias, id="d7", body=film(7, edition=3))
    after = {key: document.source for key, document in whole(copy.client, copy.source).items()}
    assert after == before
    assert index_uuid(copy.client, index=copy.source) == uuid
