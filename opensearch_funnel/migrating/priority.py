"""Let others go first: work in threads that the system runs when nobody else wants the core.

Linux compares priorities within a session of processes, or a control group, and shares the cores
evenly between those. So beside a node that was started elsewhere they do little, and what helps
is the throttle, and half of the cores.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

LOWEST = 19
_HERE = frozenset({"localhost", "127.0.0.1", "::1"})
Result = TypeVar("Result")


def yield_to_others() -> None:
    """Give the calling thread, and those that it starts, the lowest priority there is.

    On Linux alone, where a thread has a priority of its own; elsewhere nothing happens. A thread
    cannot take it back. Where the encoder shares a machine with the node, the node's searches
    then are served first, and the encoder takes what is left.
    """
    if not hasattr(os, "setpriority") or not Path("/proc/self/task").is_dir():
        return
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LOWEST)
    except OSError:
        return


def cores_beside_node(url: str) -> int | None:
    """Return half of the cores where a node is on this machine, too; ``None`` where it is not.

    Args:
        url: of the cluster.
    """
    if urlsplit(url).hostname not in _HERE:
        return None
    return max(1, (os.cpu_count() or 1) // 2)


def start_in_background(work: Callable[[], Result], *, yields: bool = True) -> Future[Result]:
    """Run something in a thread, which by default yields to others.

    What it opens (a model with its threads) keeps that priority. The thread does not keep the
    process from ending.
    """
    outcome: Future[Result] = Future()

    def run() -> None:
        if yields:
            yield_to_others()
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            outcome.set_exception(error)

    threading.Thread(target=run, name="background", daemon=True).start()
    return outcome
