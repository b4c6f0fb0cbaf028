"""Workers of a migration that are killed at any point: the short form of benchmarks/migrate_kills.

Stand-ins for the model; real processes, and SIGKILL.
"""

from __future__ import annotations

import pytest

from benchmarks.migrate_kills import points, run
from benchmarks.migrate_worker import BULK

pytestmark = pytest.mark.engine

DOCUMENTS, KILLS, PAGE = 2000, 9, 50


def test_nothing_is_lost_and_nothing_doubled_wherever_workers_are_killed(node_url: str) -> None:
    found = run(node_url, documents=DOCUMENTS, kills=KILLS, page=PAGE, encoders="words", seed=5)
    told = {name: found[name] for name in ("documents", "lost", "doubled", "resurrected")}
    assert told == {"documents": DOCUMENTS, "lost": 0, "doubled": 0, "resurrected": 0}
    assert (found["unequal"], found["wrong"]) == (0, 0)
    assert found["kills"] == KILLS
    assert found["kills_between_write_and_journal"] >= KILLS // 3
    # The page that was written, and the one that was made meanwhile.
    assert 0 < found["redone_per_kill"]["most"] <= 2 * PAGE


def test_a_third_of_the_points_is_between_a_write_and_the_journal() -> None:
    drawn = points(20_000, kills=30, page=200, seed=7)
    assert len(drawn) == 30
    assert sum(kill.where == BULK and kill.answered for kill in drawn) == 10
    assert drawn == points(20_000, kills=30, page=200, seed=7)
