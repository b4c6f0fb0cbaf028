"""The supervisor: its parts put together, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from opensearch_funnel.service.supervisor.connection import ClientConnection
from opensearch_funnel.service.supervisor.counts import Counts
from opensearch_funnel.service.supervisor.front import Front
from opensearch_funnel.service.supervisor.reading import Limits
from opensearch_funnel.service.supervisor.unread_log import log_in_a_thread
from opensearch_funnel.service.supervisor.worker import Patience, Worker, WorkerCommand

_BACKLOG = 2048
_TOKEN_VARIABLE = "FUNNEL_SERVICE_TOKEN"  # noqa: S105 - the name of one
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass(frozen=True, slots=True)
class End:
    """How the supervisor ended."""

    signal: int | None = None
    """The signal that asked for it; ``None`` where none did."""
    worker_status: int = 0
    """Exit status of a first worker that never answered, and said why on standard error."""


def supervise(  # noqa: PLR0913 - what a test or an operator may want to be otherwise
    sock: socket.socket,
    *,
    worker_command: WorkerCommand,
    identity: Mapping[str, str],
    env: Mapping[str, str] | None = None,
    until_eof: int | None = None,
    limits: Limits | None = None,
    patience: Patience | None = None,
) -> End:
    """Answer on a socket through a worker, until a signal ends it or the first worker fails.

    SIGINT, SIGTERM and SIGHUP end it in order: nothing new is accepted, requests in flight are
    finished, the worker ends, and so does this.

    Args:
        sock: a listening socket; closed at the end.
        worker_command: starts a worker.
        identity: what ``/health`` says of the service while no worker can.
        env: the worker's environment, on top of this process's. The token that it names
            (``FUNNEL_SERVICE_TOKEN``) is asked for here, too.
        until_eof: a file descriptor; the end also comes when nothing more comes from it.
        limits: what is taken from clients at most.
        patience: how long is waited for what.
    """
    _allow_many_files()
    with (
        _signals_kept(),
        log_in_a_thread(),
        TemporaryDirectory(prefix="funnel-") as folder,
        asyncio.Runner(loop_factory=_fast_loop()) as runner,
    ):
        patience = patience or Patience()
        counts = Counts()

        async def run() -> End:
            worker = Worker(
                worker_command, folder=Path(folder), counts=counts, patience=patience, env=env
            )
            front = Front(
                worker=worker,
                counts=counts,
                identity=dict(identity),
                limits=limits or Limits(),
                # From where the worker has it: what one asks for, the other does.
                token={**os.environ, **(env or {})}.get(_TOKEN_VARIABLE) or None,
            )
            return await _run(sock, worker, front, until_eof=until_eof, drain_s=patience.drain)

        return runner.run(run())


async def _run(
    sock: socket.socket, worker: Worker, front: Front, *, until_eof: int | None, drain_s: float
) -> End:
    loop = asyncio.get_running_loop()
    asked_to_end: asyncio.Future[int | None] = loop.create_future()
    _listen_for_the_end(asked_to_end, until_eof=until_eof)
    server = await loop.create_server(lambda: ClientConnection(front), sock=sock, backlog=_BACKLOG)
    sweeping = loop.create_task(front.sweep())
    living = loop.create_task(worker.live())
    try:
        await asyncio.wait({asked_to_end, living}, return_when=asyncio.FIRST_COMPLETED)
        if not asked_to_end.done():
            return End(worker_status=living.result() or 0)
        server.close()
        await front.drain(within_s=drain_s)
        return End(signal=asked_to_end.result())
    finally:
        sweeping.cancel()
        server.close()
        await worker.stop()
        with suppress(asyncio.CancelledError):
            await living


def _listen_for_the_end(asked: asyncio.Future[int | None], *, until_eof: int | None) -> None:
    """Let signals, and the end of a file, ask for the end."""
    loop = asyncio.get_running_loop()

    def ask(number: int | None) -> None:
        # A terminal that closes tells us twice, and the end is near anyway: it waits for nothing.
        if not asked.done():
            asked.set_result(number)

    for name in _SIGNALS:
        number = getattr(signal, name)
        # A signal that somebody ignores for us (nohup) stays ignored.
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, ask, int(number))
    if until_eof is not None:

        def read() -> None:
            while os.read(until_eof, 1024):
                pass
            with suppress(RuntimeError):  # the loop has ended before
                loop.call_soon_threadsafe(ask, None)

        threading.Thread(target=read, name="until eof", daemon=True).start()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Put the signals' handlers back: an event loop leaves the system's own behind."""
    before = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in _SIGNALS}
    try:
        yield
    finally:
        for number, kept in before.items():
            signal.signal(number, kept)


def _allow_many_files() -> None:
    """Let connections be limited by what is sensible, and not by a shell's default of 1,024."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
