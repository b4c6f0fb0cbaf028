"""The journal of a migration on a real node: leases, checkpoints, and workers that meet."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, EngineUnreachableError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.records import Version, delete_record
from opensearch_funnel.migrating.held_slice import HeldSlice
from opensearch_funnel.migrating.journal import Journal, Lease, LeaseLostError, worker_name
from opensearch_funnel.settings import Settings

pytestmark = pytest.mark.engine

OTHER = "another-host:1:1"


@pytest.fixture
def target(client: OpenSearch) -> Iterator[str]:
    name = f"test-{uuid.uuid4().hex[:12]}"
    yield name
    Journal(client, target=name).forget()


@pytest.fixture
def journal(client: OpenSearch, target: str) -> Journal:
    return Journal(client, target=target)


def _claimed(journal: Journal, owner: str) -> Lease:
    lease = journal.claim(owner=owner)
    assert lease is not None
    return lease


def test_slices_cover_every_operation_once(journal: Journal) -> None:
    assert journal.extend({0: 24, 1: -1, 2: 9}, operations=10) == 25 + 10
    ranges = [(one.shard, one.after, one.upto) for one in journal.slices()]
    assert ranges == [(0, -1, 9), (0, 9, 19), (0, 19, 24), (2, -1, 9)]
    assert journal.done() == {0: -1, 2: -1}
    assert journal.extend({0: 24, 1: -1, 2: 9}, operations=10) == 0


def test_what_lies_behind_a_slice_that_is_not_there_is_not_done(
    client: OpenSearch, journal: Journal, target: str
) -> None:
    journal.extend({0: 29, 1: 9}, operations=10)
    for _ in range(4):
        lease = _claimed(journal, "w")
        journal.release(journal.checkpoint(lease, done=lease.slice.upto))
    assert journal.done() == {0: 29, 1: 9}
    delete_record(client, f"slice:{target}:0:9")
    assert journal.done() == {0: 9, 1: 9}
    delete_record(client, f"slice:{target}:0:-1")
    assert journal.done() == {0: -1, 1: 9}


def test_a_short_slice_that_is_done_is_made_longer(journal: Journal) -> None:
    journal.extend({0: 4}, operations=10)
    lease = _claimed(journal, "w")
    assert journal.extend({0: 6}, operations=10) == 2, "an open slice is left alone"
    assert [(one.after, one.upto) for one in journal.slices()] == [(-1, 4), (4, 6)]
    for part in (lease, _claimed(journal, "w2")):
        journal.release(journal.checkpoint(part, done=part.slice.upto, written=1))
    assert journal.done() == {0: 6}
    assert journal.extend({0: 30}, operations=10) == 24
    found = [(one.after, one.upto, one.written) for one in journal.slices()]
    assert found == [(-1, 4, 1), (4, 14, 1), (14, 24, 0), (24, 30, 0)]
    assert journal.done() == {0: 6}


def test_workers_that_extend_at_once_leave_no_gap(
    engine_settings: Settings, journal: Journal, target: str
) -> None:
    bounds = [97, 103, 100, 250]

    def extend(bound: int) -> None:
        own = Journal(connect(engine_settings), target=target)
        while max((one.upto for one in own.slices()), default=-1) < bound:
            own.extend({0: bound}, operations=7)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(extend, bounds))
    end = -1
    for one in journal.slices():
        assert one.after <= end < one.upto, "every slice goes on where the one before ends"
        end = one.upto
    assert end >= max(bounds)


def test_a_slice_has_one_worker_and_the_next_one_goes_on_behind_its_checkpoint(
    client: OpenSearch, journal: Journal, target: str
) -> None:
    journal.extend({0: 99})
    lease = journal.checkpoint(_claimed(journal, OTHER), done=41, written=40, kept=2, dead_at=[7])
    assert journal.claim(owner="w2") is None
    short = Journal(client, target=target, lease_s=0.0)
    short.keep(lease, note="has no time left")
    taken = _claimed(journal, "w2")
    assert (taken.slice.done, taken.slice.owner, taken.slice.dead_at) == (41, "w2", (7,))
    with pytest.raises(LeaseLostError, match="another worker copies shard 0 from operation 0 on"):
        journal.checkpoint(lease, done=60, written=19)
    journal.release(lease)
    (found,) = journal.slices()
    assert (found.done, found.owner, found.written, found.kept) == (41, "w2", 40, 2)


def test_the_slice_of_a_process_of_this_machine_that_ended_is_free_at_once(
    journal: Journal,
) -> None:
    code = "from opensearch_funnel.migrating.journal import worker_name; print(worker_name())"
    gone = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()
    journal.extend({0: 9})
    _claimed(journal, gone)
    assert _claimed(journal, OTHER).slice.owner == OTHER
    assert journal.claim(owner=worker_name()) is None


def test_a_dead_letter_that_is_met_again_is_counted_once(journal: Journal) -> None:
    journal.extend({0: 99})
    lease = journal.checkpoint(_claimed(journal, "w"), done=20, dead_at=[12, 3])
    lease = journal.checkpoint(lease, done=30, dead_at=[12, 25])
    assert (lease.slice.dead_at, lease.slice.dead) == ((3, 12, 25), 3)


class LosesAnswers(Journal):
    """A journal on a connection that breaks behind a write that was made."""

    def __init__(self, journal: Journal) -> None:
        self.__dict__.update(journal.__dict__)
        self.breaks = False

    def _replace(self, lease: Lease, **changes: object) -> Lease:
        made = super()._replace(lease, **changes)
        if self.breaks:
            self.breaks = False
            raise EngineUnreachableError("the answer got lost")
        return made


def test_a_checkpoint_whose_answer_got_lost_is_not_taken_for_anothers(journal: Journal) -> None:
    journal.extend({0: 99})
    fragile = LosesAnswers(journal)
    lease = _claimed(journal, "w")
    fragile.breaks = True
    with pytest.raises(EngineUnreachableError):
        fragile.checkpoint(lease, done=10, written=10)
    lease = fragile.checkpoint(lease, done=10, written=10)
    assert (lease.slice.done, lease.slice.written) == (10, 10), "counted once"
    fragile.breaks = True
    with pytest.raises(EngineUnreachableError):
        fragile.keep(lease)
    lease = fragile.checkpoint(lease, done=20, written=10)
    assert (lease.slice.done, lease.slice.written) == (20, 20)
    (found,) = journal.slices()
    assert found == lease.slice


def test_a_slice_is_given_back_although_the_answer_to_its_checkpoint_got_lost(
    journal: Journal,
) -> None:
    journal.extend({0: 99, 1: 99})
    fragile = LosesAnswers(journal)
    lease = _claimed(journal, "w")
    fragile.breaks = True
    with pytest.raises(EngineUnreachableError):
        fragile.checkpoint(lease, done=10, written=10)
    fragile.release(lease)
    assert [(one.owner, one.done) for one in journal.slices()] == [("", 10), ("", -1)]


def test_a_worker_that_ends_gives_back_all_that_is_its_own(journal: Journal) -> None:
    journal.extend({0: 99, 1: 99, 2: 99})
    for owner in ("w", "w2"):
        _claimed(journal, owner)
    fragile = LosesAnswers(journal)
    fragile.breaks = True
    with pytest.raises(EngineUnreachableError):
        fragile.claim(owner="w3")
    journal.release_all(owner="w3")
    journal.release_all(owner="w")
    assert [one.owner for one in journal.slices()] == ["", "w2", ""]


def test_a_lease_is_renewed_while_a_page_takes_its_time(client: OpenSearch, target: str) -> None:
    journal = Journal(client, target=target, lease_s=12.0)
    journal.extend({0: 9})
    noted = Event()

    def note() -> str:
        noted.set()
        return "the model is slow"

    lease = _claimed(journal, OTHER)
    with HeldSlice(journal, lease, lease_s=12.0, note=note) as held:
        assert noted.wait(120)
        begun = time.monotonic()
        while journal.slices()[0].lease_until <= lease.slice.lease_until:
            assert time.monotonic() - begun < 120, "the lease is not renewed"
            time.sleep(0.1)
        assert journal.claim(owner="w2") is None
        assert journal.slices()[0].note == "the model is slow"
        held.require()
        held.checkpoint(done=9, written=10)
    (found,) = journal.slices()
    assert (found.done, found.owner, found.note) == (9, "", "")


def test_a_worker_that_was_stopped_hears_that_its_slice_is_anothers(
    client: OpenSearch, target: str
) -> None:
    journal = Journal(client, target=target, lease_s=0.0)
    journal.extend({0: 9})
    held = HeldSlice(journal, _claimed(journal, OTHER), lease_s=600.0)
    held.require()  # void, and nobody wanted it: it is renewed
    _claimed(Journal(client, target=target), "w2")
    with pytest.raises(LeaseLostError):
        held.require()


def test_a_worker_whose_lease_is_void_does_not_go_on_without_the_cluster(
    client: OpenSearch, target: str
) -> None:
    journal = Journal(client, target=target, lease_s=0.0)
    journal.extend({0: 9})
    lease = _claimed(journal, OTHER)
    nobody = Journal(connect(Settings(url="http://127.0.0.1:9")), target=target)
    with pytest.raises(EngineError):
        HeldSlice(nobody, Lease(lease.slice, Version(0, 1)), lease_s=600.0).require()
