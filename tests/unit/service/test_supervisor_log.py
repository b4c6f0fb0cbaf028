"""The supervisor's log, when it is read and when it is not."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from opensearch_funnel.service.supervisor.unread_log import log_in_a_thread

logger = logging.getLogger("supervisor-log")


@contextmanager
def logging_to(descriptor: int) -> Iterator[None]:
    """Log to a file descriptor and nowhere else."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    with os.fdopen(descriptor, "w") as stream:
        root.handlers[:] = [logging.StreamHandler(stream)]
        root.setLevel(logging.INFO)
        try:
            yield
        finally:
            root.handlers[:] = before
            root.setLevel(level)


def test_every_line_is_written_by_the_end() -> None:
    readable, writable = os.pipe()
    with logging_to(writable), log_in_a_thread():
        for number in range(100):
            logger.info("line %d", number)
    with os.fdopen(readable) as log:
        assert log.read().splitlines() == [f"line {number}" for number in range(100)]


def test_a_log_that_is_not_read_stops_nobody_and_tells_of_what_is_missing() -> None:
    readable, writable = os.pipe()
    log = bytearray()
    with logging_to(writable), log_in_a_thread(kept=50):
        start = time.monotonic()
        for number in range(5000):
            logger.info("%d %s", number, "x" * 100)
        assert time.monotonic() - start < 5, "64 kB fit into the pipe, 500 kB were logged"
        # Somebody reads again: what waited comes out, and the number of what did not wait.
        while b"dropped" not in log:
            log += os.read(readable, 65536)
        while b"the last line" not in log:
            # There may still be no place for it; then there is something to read.
            logger.info("the last line")
            log += os.read(readable, 65536)
    os.close(readable)
    assert b"lines of the log were dropped: nobody read it" in log
