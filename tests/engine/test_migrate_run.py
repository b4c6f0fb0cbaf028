"""A migration that runs: passes, workers that meet, and everything that stops one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import (
    EngineError,
    EngineUnreachableError,
    FunnelError,
    InputError,
    ModelError,
)
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.indices import index_exists
from opensearch_funnel.migrating.journal import Journal, Lease
from opensearch_funnel.migrating.migration import (
    Migration,
    find_migration,
    forget_migration,
    load_migration,
    update_migration,
)
from opensearch_funnel.migrating.run_report import RunReport
from opensearch_funnel.migrating.running import RunOptions, catch_up, run
from opensearch_funnel.migrating.status import migration_status
from opensearch_funnel.migrating.stopping import stop_workers
from opensearch_funnel.settings import Settings
from tests.engine.migrations import (
    EVEN,
    Watched,
    compared,
    films,
    make_source,
    options,
    planned,
    stand_in,
    texts_read,
    whole,
)

pytestmark = pytest.mark.engine


@pytest.fixture
def migration(client: OpenSearch, index_name: str) -> Iterator[Migration]:
    """A source of 300 films in two shards, and its plan."""
    films(client, make_source(client, index_name), range(300))
    made = planned(client, index_name, encoder=stand_in())
    yield made
    Journal(client, target=made.target).forget()
    if find_migration(client, index_name) is not None:
        forget_migration(client, index_name)


def _stored(client: OpenSearch, migration: Migration) -> Migration:
    return load_migration(client, migration.alias)


def _proven(client: OpenSearch, migration: Migration) -> None:
    assert compared(client, _stored(client, migration), encoder=stand_in()) == EVEN


def _leases(client: OpenSearch, migration: Migration) -> list[str]:
    return [one.owner for one in Journal(client, target=migration.target).slices() if one.owner]


def test_a_copy_and_all_that_follows(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    encoder = stand_in()
    first = run(client, migration, encoder=encoder, options=options(tmp_path))
    told = first.to_dict()
    assert (first.outcome, told["documents"], told["written"]) == ("caught_up", 300, 300)
    assert (told["encoded"], told["reused"], told["kept"], told["dead"]) == (300, 0, 0, 0)
    assert (told["behind"], told["deleted"], told["dead_letters"]) == (0, 0, None)
    assert told["bytes"] == sum(len(one.source) for one in whole(client, migration.source).values())
    assert _stored(client, migration).phase == "copying"
    _proven(client, migration)
    films(client, migration.source, range(100), edition=1)
    films(client, migration.source, range(300, 340))
    for number in range(150, 170):
        client.delete(index=migration.source, id=f"d{number}")
    for number in range(200, 210):
        client.update(index=migration.source, id=f"d{number}", body={"doc": {"price": 1}})
    second = run(client, migration, encoder=encoder, options=options(tmp_path))
    assert (second.counts.written, second.counts.reused, second.counts.deleted) == (150, 10, 20)
    assert len(texts_read(encoder)) == 300 + 140
    _proven(client, migration)
    third = run(client, migration, encoder=encoder, options=options(tmp_path))
    assert (third.counts.documents, third.counts.deleted) == (0, 0)
    assert _stored(client, migration).deleted == 20


def test_workers_share_the_work_and_double_none(
    engine_settings: Settings, client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    films(client, migration.source, range(300, 900))
    barrier = threading.Barrier(3)

    def work(number: int) -> RunReport:
        barrier.wait()
        chosen = options(tmp_path, slice_operations=60, owner=f"worker:{number}:0")
        own = connect(engine_settings)
        return run(own, migration, encoder=stand_in(), options=chosen)

    with ThreadPoolExecutor(3) as pool:
        reports = list(pool.map(work, range(3)))
    assert {report.outcome for report in reports} == {"caught_up"}
    assert sum(report.counts.written for report in reports) == 900
    assert sum(report.counts.kept for report in reports) == 0
    _proven(client, migration)
    assert _leases(client, migration) == []


def test_a_pause_ends_the_work_behind_a_page(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    def pause(documents: int) -> None:
        if documents >= 100:
            update_migration(client, migration.alias, lambda now: replace(now, paused=True))

    report = run(
        client,
        migration,
        encoder=stand_in(),
        options=options(tmp_path),
        progress=Watched(pause),
    )
    assert report.outcome == "paused"
    assert 100 <= report.counts.written < 300
    assert _leases(client, migration) == []
    assert run(client, migration, encoder=stand_in(), options=options(tmp_path)).outcome == "paused"
    update_migration(client, migration.alias, lambda now: replace(now, paused=False))
    rest = run(client, migration, encoder=stand_in(), options=options(tmp_path))
    assert (rest.counts.written, rest.counts.kept) == (300 - report.counts.written, 0)
    _proven(client, migration)


def _raises(error: BaseException, *, at: int) -> Callable[[int], None]:
    def behind_page(documents: int) -> None:
        if documents >= at:
            raise error

    return behind_page


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), ModelError("broken")])
def test_whatever_ends_it_the_journal_is_right_and_the_lease_free(
    client: OpenSearch, migration: Migration, tmp_path: Path, ending: BaseException
) -> None:
    watched = Watched(_raises(ending, at=100))
    with pytest.raises(type(ending)):
        run(client, migration, encoder=stand_in(), options=options(tmp_path), progress=watched)
    assert _leases(client, migration) == []
    slices = Journal(client, target=migration.target).slices()
    assert sum(one.written for one in slices) == watched.documents
    rest = run(client, migration, encoder=stand_in(), options=options(tmp_path))
    assert (rest.counts.written, rest.counts.kept) == (300 - watched.documents, 0)
    _proven(client, migration)


def test_a_model_that_fails_on_a_page_ends_it_and_loses_nothing(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    class Fails:
        name, fingerprint = "words", "f1"

        def encode_documents(self, texts: Any) -> Any:
            if any("n250" in text for text in texts):
                raise ModelError("the model is broken")
            return [{"a": 1.0} for _ in texts]

    broken = replace(stand_in(), sparse=Fails())
    with pytest.raises(ModelError, match="the model is broken"):
        run(client, migration, encoder=broken, options=options(tmp_path))
    assert _leases(client, migration) == []
    done = sum(one.written for one in Journal(client, target=migration.target).slices())
    rest = run(client, migration, encoder=stand_in(), options=options(tmp_path))
    assert rest.counts.documents == 300 - done


def test_who_is_told_to_stop_stops(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    stopped = Event()
    watched = Watched(lambda _: stopped.set())
    report = run(
        client,
        migration,
        encoder=stand_in(),
        options=options(tmp_path),
        progress=watched,
        stopped=stopped,
    )
    assert report.outcome == "stopped"
    assert report.counts.written == watched.documents < 300
    assert _leases(client, migration) == []


def test_a_follower_keeps_the_target_even_until_it_is_paused(
    engine_settings: Settings, client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    own = connect(engine_settings)
    chosen = replace(options(tmp_path), follow=True)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run, own, migration, encoder=stand_in(), options=chosen)
        try:
            _wait_until(lambda: _count(client, migration) == 300)
            films(client, migration.source, range(300, 320))
            client.delete(index=migration.source, id="d0")
            _wait_until(lambda: _count(client, migration) == 319)
            journal = Journal(client, target=migration.target)
            assert len(journal.slices()) == 2, "one slice a shard, made longer"
        finally:
            stop_workers(client, migration)
        report = running.result(timeout=60)
    assert report.outcome == "paused"
    assert (report.counts.written, report.counts.deleted) == (320, 1)
    _proven(client, migration)


def _count(client: OpenSearch, migration: Migration) -> int:
    if not index_exists(client, index=migration.target):
        return 0
    client.indices.refresh(index=migration.target)
    return int(client.count(index=migration.target)["count"])


def _wait_until(condition: Callable[[], bool], *, seconds: float = 120.0) -> None:
    waited = Event()
    for _ in range(int(seconds / 0.1)):
        if condition():
            return
        waited.wait(0.1)
    pytest.fail(f"not so after {seconds} s")


def _delete(index: str) -> Callable[[OpenSearch, Migration], None]:
    def change(client: OpenSearch, migration: Migration) -> None:
        client.indices.delete(index=getattr(migration, index))

    return change


def _replace(index: str) -> Callable[[OpenSearch, Migration], None]:
    def change(client: OpenSearch, migration: Migration) -> None:
        name = getattr(migration, index)
        client.indices.delete(index=name)
        alias = migration.alias if index == "source" else migration.writing_alias
        client.indices.create(index=name, body={"aliases": {alias: {}}})

    return change


def _end(client: OpenSearch, migration: Migration) -> None:
    forget_migration(client, migration.alias)


def _cut_over(client: OpenSearch, migration: Migration) -> None:
    update_migration(client, migration.alias, lambda now: replace(now, phase="cut_over"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_delete("source"), r"the source \S+-1 is gone: end this migration \(funnel migrate cle"),
        (_replace("source"), r"the source \S+-1 was deleted, and another index has its name"),
        (_delete("target"), r"the target \S+ is gone"),
        (_replace("target"), r"the target \S+ was deleted, and another index has its name"),
        (_end, r"was ended meanwhile: see funnel migrate status"),
        (_cut_over, r"the migration of \S+ is cut over by now"),
    ],
)
def test_what_changes_under_it_stops_it_with_a_reason(
    client: OpenSearch,
    migration: Migration,
    tmp_path: Path,
    change: Callable[[OpenSearch, Migration], None],
    said: str,
) -> None:
    changed = Event()

    def once(documents: int) -> None:
        if documents >= 100 and not changed.is_set():
            changed.set()
            change(client, migration)

    with pytest.raises((InputError, EngineError), match=said) as caught:
        run(
            client,
            migration,
            encoder=stand_in(),
            options=options(tmp_path),
            progress=Watched(once),
        )
    assert "\n" not in str(caught.value)


def test_a_target_that_was_deleted_is_not_made_up_by_a_write(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    run(client, migration, encoder=stand_in(), options=options(tmp_path))
    present = _stored(client, migration)
    client.indices.delete(index=present.target)
    films(client, migration.source, range(10), edition=1)
    with pytest.raises(FunnelError):
        catch_up(client, present, encoder=stand_in(), letters=tmp_path)
    assert not index_exists(client, index=present.target)
    assert not index_exists(client, index=present.writing_alias)


def test_a_cluster_that_is_away_for_good_ends_it_with_the_way_on(
    migration: Migration, tmp_path: Path
) -> None:
    nobody = connect(Settings(url="http://127.0.0.1:9"))
    chosen = replace(options(tmp_path), patience_s=0.7)
    watched = Watched()
    with pytest.raises(EngineUnreachableError, match=r"gave up after 1 s: the same command goes"):
        run(nobody, migration, encoder=stand_in(), options=chosen, progress=watched)
    assert len(watched.said) == 1, "it is said once that it is waited for"


def test_a_slice_that_another_worker_takes_over_is_left_to_it(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    """As after a worker was suspended for longer than its lease."""
    journal = Journal(client, target=migration.target)
    taken: list[int] = []

    def take_over(documents: int) -> None:
        if documents < 100 or taken:
            return
        held = next(one for one in journal._read() if one[0].owner)  # noqa: SLF001
        taken.append(held[0].shard)
        lease = journal._replace(Lease(*held), owner="another:1:1")
        threading.Timer(1.0, lambda: journal.release(lease)).start()

    watched = Watched(take_over)
    report = run(client, migration, encoder=stand_in(), options=options(tmp_path), progress=watched)
    assert any("another worker copies shard" in line for line in watched.said)
    assert report.outcome == "caught_up"
    assert report.counts.written + report.counts.kept >= 300
    _proven(client, migration)


def test_the_slice_of_a_worker_that_was_killed_elsewhere_is_waited_for(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    journal = Journal(client, target=migration.target)
    journal.extend({0: 40})
    claimed = journal.claim(owner="another-host:1:1")
    assert claimed is not None
    lease: Lease = claimed

    class Patient(Watched):
        def say(self, line: str) -> None:
            super().say(line)
            if "waiting for what" in line:
                Journal(client, target=migration.target, lease_s=0.0).keep(lease)

    watched = Patient()
    report = run(client, migration, encoder=stand_in(), options=options(tmp_path), progress=watched)
    assert "waiting for what another-host:1:1 copies" in watched.said
    assert report.counts.written == 300
    _proven(client, migration)


def test_a_full_disk_is_waited_for_and_said(
    engine_settings: Settings, client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    block = "index.blocks.read_only_allow_delete"
    present: list[Migration] = []

    def fill_the_disk(documents: int) -> None:
        if documents >= 100 and not present:
            present.append(_stored(client, migration))
            client.indices.put_settings(index=migration.target, body={block: True})

    own = connect(engine_settings)
    watched = Watched(fill_the_disk)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            run, own, migration, encoder=stand_in(), options=options(tmp_path), progress=watched
        )
        _wait_until(lambda: len(watched.said) > 0)
        waits = migration_status(client, present[0]).waits
        assert not running.done()
        client.indices.put_settings(index=migration.target, body={block: None})
        report = running.result(timeout=120)
    assert any("a disk of the cluster is too full" in line for line in waits)
    assert (report.outcome, report.counts.written) == ("caught_up", 300)
    _proven(client, migration)


def test_a_catch_up_leaves_nothing_behind_and_ignores_the_pause(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    run(client, migration, encoder=stand_in(), options=options(tmp_path))
    present = stop_workers(client, migration)
    assert present.paused
    films(client, migration.source, range(50), edition=1)
    client.delete(index=migration.source, id="d60")
    client.indices.add_block(index=migration.source, block="write")
    report = catch_up(client, present, encoder=stand_in(), letters=tmp_path, deadline_s=60.0)
    assert (report.counts.written, report.counts.deleted, report.missing) == (
        50,
        1,
        dict.fromkeys(report.bounds, ()),
    )
    assert sum(report.bounds.values()) == 350 + 1 - 2
    _proven(client, migration)


def test_a_catch_up_that_takes_too_long_says_what_to_do(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    run(client, migration, encoder=stand_in(), options=options(tmp_path))
    films(client, migration.source, range(50), edition=1)
    with pytest.raises(EngineError, match=r"was not even with \S+ after 0\.0 s: let it be copied"):
        catch_up(
            client,
            _stored(client, migration),
            encoder=stand_in(),
            letters=tmp_path,
            deadline_s=0.0,
        )
    assert _leases(client, migration) == []


def test_stopping_waits_for_workers_and_names_those_that_do_not_stop(
    client: OpenSearch, migration: Migration
) -> None:
    journal = Journal(client, target=migration.target)
    journal.extend({0: 40})
    lease = journal.claim(owner="another-host:1:1")
    assert lease is not None
    watched = Watched()
    with pytest.raises(InputError, match=r"another-host:1:1 still copies after 0 s"):
        stop_workers(client, migration, timeout_s=0.3, progress=watched)
    assert watched.said == ["waiting for another-host:1:1 to end a page"]
    threading.Timer(0.5, lambda: journal.release(lease)).start()
    assert stop_workers(client, migration, timeout_s=60.0).paused


def test_the_status_says_how_far_it_is_and_who_is_at_it(
    client: OpenSearch, migration: Migration, tmp_path: Path
) -> None:
    client.indices.refresh(index=migration.source)
    before = migration_status(client, migration).to_dict()
    assert (before["phase"], before["left"], before["behind"]) == ("planned", 300, 300)
    assert (before["workers"], before["seconds_left"], before["waits"]) == ([], None, [])
    seen: list[dict[str, Any]] = []

    def look(documents: int) -> None:
        if documents >= 100 and not seen:
            seen.append(migration_status(client, _stored(client, migration)).to_dict())

    # A worker of this process itself is none that it would have to wait for.
    owner = "another-host:1:1"
    chosen = options(tmp_path, owner=owner)
    run(client, migration, encoder=stand_in(), options=chosen, progress=Watched(look))
    (during,) = seen
    (worker,) = during["workers"]
    assert worker["owner"] == owner
    assert 0 < worker["lease_s"] <= 60
    assert during["documents_per_second"] > 0
    assert during["seconds_left"] is not None
    assert during["left"] == 300 - during["written"] < 300
    after = migration_status(client, _stored(client, migration)).to_dict()
    assert (after["left"], after["behind"], after["written"]) == (0, 0, 300)
    assert [one["behind"] for one in after["shards"]] == [0, 0]
    assert after["workers"] == []
    assert [entry["event"] for entry in after["log"]] == ["target made"]


def test_searches_are_watched_while_it_runs(
    client: OpenSearch, migration: Migration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search = client.search
    timed: list[Any] = []

    def seen(**request: Any) -> Any:
        timed.extend(body for body in [request["body"]] if "match" in str(body))
        return search(**request)

    monkeypatch.setattr(client, "search", seen)
    watched = Watched()
    chosen = RunOptions(work=options(tmp_path).work)
    report = run(client, migration, encoder=stand_in(), options=chosen, progress=watched)
    assert report.counts.written == 300
    assert not any("not throttled" in line for line in watched.said)
    assert len(timed) >= 3, "the baseline alone is several searches"
