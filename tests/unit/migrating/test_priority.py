"""Work that lets others go first."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.migrating.priority import LOWEST, start_in_background


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


def test_what_goes_wrong_is_raised_where_it_is_waited_for() -> None:
    def work() -> None:
        raise ModelError("broken")

    with pytest.raises(ModelError, match="broken"):
        start_in_background(work).result()
