"""The worker's life: started, watched, ended when it hangs, and started again."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from opensearch_funnel.service.supervisor.counts import Counts, Reason
from opensearch_funnel.service.supervisor.link import WholeAnswer, WorkerLink

logger = logging.getLogger(__name__)

WorkerCommand = Callable[[Path], Sequence[str]]
"""The command that serves the application on a unix domain socket at this path, and ends when
nothing more comes from its standard input."""

_BEAT = (b"GET /health HTTP/1.1\r\nhost: worker\r\n\r\n",)
_START_POLL_S = 0.05
_EXIT_S = 2.0
_STANDARD_ERROR = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long the supervisor waits for what; seconds."""

    beat: float = 1.0
    """Between two questions whether the worker lives, and for an answer to one."""
    frozen: float = 10.0
    """How long a worker that answered before may be silent until it is ended."""
    start: float = 120.0
    """How long a new worker may take until it answers."""
    first_pause: float = 0.1
    """Before a worker is started again; doubles each time."""
    longest_pause: float = 10.0
    steady: float = 30.0
    """A worker that lived as long as this was a good one: the pauses begin anew."""
    drain: float = 5.0
    """How long requests in flight may take when the service ends."""


class Worker:
    """The child process that does the work, and whoever comes after it."""

    def __init__(
        self,
        command: WorkerCommand,
        *,
        folder: Path,
        counts: Counts,
        patience: Patience,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Make a worker that does not run yet.

        Args:
            command: starts it.
            folder: where its sockets are; nobody else must be able to enter it.
            counts: where restarts are counted.
            patience: how long it may take for what.
            env: its environment, on top of this process's.
        """
        self._command = command
        self._folder = folder
        self._counts = counts
        self._patience = patience
        self._env = {**os.environ, **(env or {})}
        self._started = 0
        self._child: asyncio.subprocess.Process | None = None
        self._link: WorkerLink | None = None
        self._unavailable: tuple[Reason, str] | None = ("starting", "the worker is loading")
        self._answered = False
        self._stopping = asyncio.Event()

    @property
    def link(self) -> WorkerLink | None:
        """Where the worker can be asked; ``None`` unless it answers."""
        return self._link if self._unavailable is None else None

    @property
    def unavailable(self) -> tuple[Reason, str]:
        """Why the worker cannot be asked."""
        return self._unavailable or ("lost", "the worker has gone")

    async def live(self) -> int | None:
        """Keep a worker running until ``stop``.

        Returns:
            The exit status of a first worker that ended by itself without ever answering: its
            settings are wrong, and another one would do no better. ``None`` after ``stop``.
        """
        pause = self._patience.first_pause
        while True:
            try:
                lived, status = await self._one_life()
            except OSError as error:  # no memory, or no process, to be had
                lived, ended = 0.0, f"could not be started ({error})"
            else:
                ended = _how_it_ended(status)
                if status > 0 and not self._answered and not self._stopping.is_set():
                    return status
            if self._stopping.is_set():
                return None
            if lived >= self._patience.steady:
                pause = self._patience.first_pause
            logger.warning(
                "the worker %s after %.1f s; the next one starts in %.1f s", ended, lived, pause
            )
            self._unavailable = ("restarting", f"the worker {ended}, and the next one is loading")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
                return None
            pause = min(pause * 2, self._patience.longest_pause)
            self._counts.restarted()

    async def stop(self) -> None:
        """End the worker: in order if it can, by force if it takes longer than two seconds."""
        self._stopping.set()
        child = self._child
        if child is None or child.returncode is not None:
            return
        if child.stdin is not None:
            child.stdin.close()
        try:
            await asyncio.wait_for(child.wait(), _EXIT_S)
        except TimeoutError:
            # Work that was given up may go on in a thread, which cannot be stopped.
            _kill(child)
            await child.wait()

    async def _one_life(self) -> tuple[float, int]:
        """Run one worker to its end; return how long it lived and its exit status."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._started += 1
        path = self._folder / f"worker-{self._started}.sock"
        # A session of its own: Ctrl-C is for the supervisor, which lets requests be finished.
        # The kernel closes its standard input when the supervisor dies, however that happens.
        child = await asyncio.create_subprocess_exec(
            *self._command(path),
            stdin=subprocess.PIPE,
            stdout=_STANDARD_ERROR,
            env=self._env,
            start_new_session=True,
        )
        self._child = child
        self._link = WorkerLink(path, now=loop.time)
        ended = loop.create_task(child.wait())
        watched = loop.create_task(self._watch(self._link))
        try:
            await asyncio.wait({ended, watched}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                logger.warning("the worker %s: it is killed", watched.result())
                _kill(child)
            return loop.time() - began, await ended
        finally:
            watched.cancel()
            ended.cancel()
            self._unavailable = self._unavailable or ("restarting", "the worker has just died")
            self._link.close()
            path.unlink(missing_ok=True)

    async def _watch(self, link: WorkerLink) -> str:
        """Ask the worker whether it lives, until it has to be ended; return why."""
        patience = self._patience
        loop = asyncio.get_running_loop()
        began = loop.time()
        while not await self._answers(link):
            if loop.time() - began > patience.start:
                return f"did not answer within {patience.start:.0f} s of its start"
            await asyncio.sleep(_START_POLL_S)
        logger.info("the worker answers, %.1f s after its start", loop.time() - began)
        self._answered, self._unavailable = True, None
        # Silence is counted in questions, not by the clock: a machine that sleeps for an hour
        # wakes up with a worker that was silent for an hour, and is none the worse for it.
        missed = 0
        while missed * patience.beat < patience.frozen:
            asked = loop.time()
            if await self._answers(link) or link.heard_at >= asked:
                if missed:
                    logger.warning("the worker answers again")
                missed, self._unavailable = 0, None
                await asyncio.sleep(patience.beat)
                continue
            if not missed:
                logger.warning("the worker has not answered for %.1f s", patience.beat)
            missed += 1
            self._unavailable = ("silent", "the worker does not answer")
        return f"has been silent for {missed * patience.beat:.0f} s"

    async def _answers(self, link: WorkerLink) -> bool:
        """Ask the worker for its health; any answer but an error of its own is one."""
        loop = asyncio.get_running_loop()
        healthy: asyncio.Future[bool] = loop.create_future()

        def done(status: int, *_: object) -> None:
            if not healthy.done():
                healthy.set_result(0 < status < HTTPStatus.INTERNAL_SERVER_ERROR)

        asked = loop.time()
        call = link.ask(_BEAT, WholeAnswer(done))
        try:
            answered = await asyncio.wait_for(healthy, self._patience.beat)
        except TimeoutError:
            return False
        finally:
            call.give_up()
        if not answered and self._answered:
            # A quick "no" must not use up the patience in no time.
            await asyncio.sleep(max(0.0, asked + self._patience.beat - loop.time()))
        return answered


def _kill(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.kill()


def _how_it_ended(status: int) -> str:
    """Say it in words.

    Example:
        >>> _how_it_ended(1), _how_it_ended(-9)
        ('ended with exit status 1', 'was killed by SIGKILL')
    """
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"
