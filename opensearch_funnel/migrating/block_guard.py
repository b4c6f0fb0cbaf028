"""A small process that lifts a write block when the process that set it cannot.

A cutover blocks writes for a moment. If it is killed in that moment, nobody would let writes
through again. So before the block a child is started, in a session of its own, where a Ctrl-C at
the terminal does not reach it. It reads a pipe: ``done`` ends it; when the pipe closes without
that word, or the block lasts too long, it calls the swap off and lifts the block, unless the
aliases have moved. The fence (``swapping``) makes that safe against a swap that is on its way.

It gets the cluster's address and credentials by its environment: a command line can be read by
everyone on the machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from queue import Empty, Queue
from threading import Thread
from typing import IO

import orjson
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, FunnelError, IndexMissingError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.migrating.migration import find_migration
from opensearch_funnel.migrating.swapping import call_off, indices_behind
from opensearch_funnel.migrating.write_block import block_writes, lift_block, writes_blocked
from opensearch_funnel.settings import Settings, load_settings

_READY, _ARMED, _DONE = "ready", "armed", "done"
GUARD_WAITS_S = 10.0
"""How much longer than it may take the guard lets a block last: the swap may be under way."""
_AGAIN_S, _GIVE_UP_S = 0.5, 3600.0
_STOP_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What a guard looks after.

    Attributes:
        alias: one of the aliases that the swap moves.
        blocked: the concrete index that has it, and whose writes are blocked meanwhile.
        moves_to: the one that gets it.
        fenced: the index that has the fence.
        fence: the alias without which the swap cannot be made.
        deadline_s: how long the block may last, from the moment on that it was announced.
        was_blocked: whether writes were blocked before all this: then they stay so.
        closes: an index that is open for writes meanwhile, and blocked again where the aliases
            stay; empty for none.
    """

    alias: str
    blocked: str
    moves_to: str
    fenced: str
    fence: str
    deadline_s: float
    was_blocked: bool = False
    closes: str = ""


def let_go(client: OpenSearch, watch: Watch) -> bool:
    """Call a swap off and lift the write block, unless the swap was made already.

    May be called by anyone, any number of times, and late: where a newer attempt is under way by
    then, the block is that one's.

    Returns:
        Whether the aliases have stayed where they were; if not, the block stays, too.

    Raises:
        EngineError: the cluster refused or did not answer; it can be called again.
    """
    stopped = call_off(client, index=watch.fenced, fence=watch.fence)
    if not stopped and moved(client, watch):
        return False
    if _of_another(client, watch) or (not stopped and _left(client, watch)):
        return True
    if not watch.was_blocked:
        with suppress(IndexMissingError):
            lift_block(client, index=watch.blocked)
    if watch.closes:
        with suppress(IndexMissingError):
            _close(client, watch)
    return True


def _left(client: OpenSearch, watch: Watch) -> bool:
    """Say whether the alias is at other indices by now, where a later migration brought it."""
    behind = indices_behind(client, alias=watch.alias)
    return bool(behind) and watch.blocked not in behind


def _of_another(client: OpenSearch, watch: Watch) -> bool:
    """Say whether another attempt is written down: it is, before it blocks anything."""
    migration = find_migration(client, watch.alias)
    stored = None if migration is None else migration.cutover.get("watch")
    return stored is not None and stored["fence"] != watch.fence


def _close(client: OpenSearch, watch: Watch) -> None:
    """Block the source's writes again: a rollback had opened it for the writes it carries back."""
    try:
        if not writes_blocked(client, index=watch.closes):
            block_writes(client, index=watch.closes)
    except IndexMissingError:
        raise
    except EngineError as error:
        raise type(error)(
            f"the source {watch.closes} takes writes, although clients use {watch.blocked}: run "
            f"the rollback again ({error})",
            status=error.status,
            kind=error.kind,
        ) from error


def moved(client: OpenSearch, watch: Watch) -> bool:
    """Say whether the alias is where the swap brings it."""
    behind = indices_behind(client, alias=watch.alias)
    return watch.moves_to in behind and watch.blocked not in behind


class BlockGuard:
    """The parent's end of a guard."""

    def __init__(self, process: subprocess.Popen[str], orders: IO[str]) -> None:
        self._process = process
        self._orders = orders

    @property
    def pid(self) -> int:
        """The number of the guard's process."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How it ended; ``None`` while it has not."""
        return self._process.returncode

    def announce(self) -> None:
        """Tell that the block is about to be set: from now on its time counts.

        Raises:
            FunnelError: the guard is gone; nothing may be blocked.
        """
        self._tell(_ARMED)

    def done(self) -> None:
        """Tell that the swap was made, or that the block is lifted: nothing is left to guard."""
        with suppress(FunnelError):
            self._tell(_DONE)

    def _tell(self, word: str) -> None:
        try:
            self._orders.write(f"{word}\n")
            self._orders.flush()
        except OSError as error:
            raise FunnelError(
                "the process that guards the write block is gone: run the same command again"
            ) from error


@contextmanager
def guarded(watch: Watch, *, settings: Settings) -> Iterator[BlockGuard]:
    """Have a guard while the context is open; leaving without ``done`` makes it act.

    Args:
        watch: what it looks after.
        settings: where the cluster is; passed on by the environment.

    Raises:
        FunnelError: the guard could not be started.
    """
    others = {name: value for name, value in os.environ.items() if not name.startswith("FUNNEL_")}
    process = subprocess.Popen(  # noqa: S603 - this program, and nothing of the user's
        [sys.executable, "-m", __name__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**others, **settings.environment()},
        start_new_session=True,
    )
    orders, answers = process.stdin, process.stdout
    if orders is None or answers is None:
        raise FunnelError("the guard of the write block has no pipes")
    try:
        with suppress(BrokenPipeError):
            orders.write(orjson.dumps(asdict(watch)).decode() + "\n")
            orders.flush()
        if answers.readline().strip() != _READY:
            raise FunnelError("the process that guards the write block did not start")
        yield BlockGuard(process, orders)
    finally:
        # Closing the pipe is what tells the guard, so it comes before anything that may fail.
        with suppress(OSError):
            orders.close()
        answers.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)


def main() -> int:
    """Guard: read what to look after from standard input, and then what becomes of it."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            # Whoever ends the whole group ends the parent, too: this is when we are needed.
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    watch = Watch(**orjson.loads(sys.stdin.readline()))
    client = connect(load_settings())
    with suppress(OSError):
        sys.stdout.write(_READY + "\n")
        sys.stdout.flush()
    if _wait(watch):
        return 0
    give_up = time.monotonic() + _GIVE_UP_S
    while time.monotonic() < give_up:
        try:
            let_go(client, watch)
        except EngineError:
            time.sleep(_AGAIN_S)
        else:
            return 0
    return 1


def _wait(watch: Watch) -> bool:
    """Wait until there is nothing left to guard (true), or until it is on us (false)."""
    words: Queue[str] = Queue()
    # A thread, for a pipe cannot be waited for with a limit of time on every system.
    Thread(target=_read, args=(words,), daemon=True).start()
    until: float | None = None
    while True:
        left = None if until is None else max(0.0, until - time.monotonic())
        try:
            word = words.get(timeout=left)
        except Empty:
            return False
        if word == _DONE:
            return True
        if not word:
            return False
        until = time.monotonic() + watch.deadline_s


def _read(words: Queue[str]) -> None:
    for line in sys.stdin:
        words.put(line.strip())
    words.put("")


if __name__ == "__main__":
    # Not sys.exit: the thread may be waiting for the pipe, which the interpreter's end stumbles on.
    os._exit(main())
