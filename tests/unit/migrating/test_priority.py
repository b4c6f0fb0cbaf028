"""Work that lets others go first."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.migrating.priority import LOWEST, cores_beside_node, start_in_background


def _priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


@pytest.mark.skipif(sys.platform != "linux", reason="a thread has a priority of its own on Linux")
def test_a_thread_in_the_background_has_the_lowest_priority_and_so_have_its_children() -> None:
    own = _priority()
    child: list[int] = []

    def work() -> int:
        thread = threading.Thread(target=lambda: child.append(_priority()))
        thread.start()
        thread.join()
        return _priority()

    assert start_in_background(work).result() == LOWEST
    assert child == [LOWEST]
    assert _priority() == own
    assert start_in_background(_priority, yields=False).result() == own


def test_what_goes_wrong_is_raised_where_it_is_waited_for() -> None:
    def work() -> None:
        raise ModelError("broken")

    with pytest.raises(ModelError, match="broken"):
        start_in_background(work).result()


@pytest.mark.parametrize("url", ["http://127.0.0.1:9250", "https://localhost", "http://[::1]:9200"])
def test_a_node_of_this_machine_keeps_half_of_the_cores(url: str) -> None:
    assert cores_beside_node(url) == max(1, (os.cpu_count() or 1) // 2)


def test_a_node_elsewhere_needs_none_of_ours() -> None:
    assert cores_beside_node("https://search.example:9200") is None
