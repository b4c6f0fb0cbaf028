"""A log that nobody reads must not stop the one who writes it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from logging.handlers import QueueHandler
from queue import Full, Queue
from threading import Thread

_KEPT = 10_000
_WRITTEN_WITHIN_S = 2.0

Records = Queue[logging.LogRecord | None]


@contextmanager
def log_in_a_thread(*, kept: int = _KEPT) -> Iterator[None]:
    """Let a thread write what is logged as long as the context is open.

    Whoever writes into a full pipe waits until somebody reads from it. An event loop that waits
    answers nobody: here, records queue up instead, and are counted and dropped when too many do.

    Args:
        kept: how many records wait at most.
    """
    root = logging.getLogger()
    writing = list(root.handlers)
    records: Records = Queue(kept)
    queueing = _Queueing(records)
    # Where nobody set up a log, Python writes its warnings to standard error.
    handlers = writing or [one for one in (logging.lastResort,) if one is not None]
    thread = Thread(target=_write, args=(records, handlers, queueing), name="log", daemon=True)
    root.handlers[:] = [queueing]
    thread.start()
    try:
        yield
    finally:
        root.handlers[:] = writing
        with suppress(Full):
            records.put_nowait(None)
        thread.join(_WRITTEN_WITHIN_S)


class _Queueing(QueueHandler):
    """Puts records into a queue, or counts those for which there is no place."""

    def __init__(self, records: Records) -> None:
        super().__init__(records)
        self.dropped = 0

    def enqueue(self, record: logging.LogRecord) -> None:
        """Keep a record for the thread."""
        try:
            self.queue.put_nowait(record)
        except Full:
            self.dropped += 1


def _write(records: Records, handlers: list[logging.Handler], queueing: _Queueing) -> None:
    while (record := records.get()) is not None:
        lost, queueing.dropped = queueing.dropped, 0
        for one in (record, *([_lines_lost(lost)] if lost else [])):
            for handler in handlers:
                if one.levelno >= handler.level:
                    handler.handle(one)


def _lines_lost(lines: int) -> logging.LogRecord:
    message = f"{lines} lines of the log were dropped: nobody read it"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, message, None, None)
