"""Clients that do not read, send without end, or are too many; and what the others notice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from opensearch_funnel.service.gate import MOST_BYTES
from opensearch_funnel.service.supervisor.connection import ClientConnection
from opensearch_funnel.service.supervisor.reading import Limits
from tests.unit.service.test_supervisor_connections import (
    Rig,
    answer_of,
    echo,
    ok,
    request,
    rig,
    run,
)

# More than a transport buffers before it asks its protocol to pause, and little enough to come
# from the worker in one piece.
PIECE = b"x" * 100_000
SMALL_BUFFER = 4096


async def big(head: bytes, _: bytes) -> bytes:
    return ok(PIECE if b"/big " in head else b"ok")


async def until(comes: Callable[[], object]) -> None:
    """Wait until something is so."""
    for _ in range(2000):
        if comes():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError


async def connect_slowly(it: Rig) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect a client that reads nothing unless told, with next to no buffers in between."""
    known = set(it.front.connections)
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, it.address)
    reader, writer = await asyncio.open_connection(sock=sock, limit=1024)
    it.clients.append(writer)
    await until(lambda: set(it.front.connections) - known)
    (made,) = set(it.front.connections) - known
    transport = cast("ClientConnection", made)._transport  # noqa: SLF001
    far = transport.get_extra_info("socket")
    far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    return reader, writer


def buffered(it: Rig) -> int:
    connections = cast("set[ClientConnection]", it.front.connections)
    return sum(one._transport.get_write_buffer_size() for one in connections)  # noqa: SLF001


def test_a_client_that_does_not_read_keeps_no_other_from_an_answer(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, big) as it:
            slow, writer = await connect_slowly(it)
            writer.write(request(b"/big"))
            await it.begun.wait()
            await until(lambda: buffered(it))
            for _ in range(3):
                assert (await asyncio.wait_for(it.ask(request()), 2))[2] == b"ok"
            assert it.connections == 1, "the slow one's whole answer is here, and the link free"
            assert (await answer_of(slow))[2] == PIECE
            writer.write(request())
            assert (await answer_of(slow))[2] == b"ok"

    run(scenario())


@pytest.mark.parametrize("worker", [big, None])
def test_requests_sent_ahead_wait_until_the_answers_before_them_are_read(
    tmp_path: Path, worker: object
) -> None:
    many = 60 if worker else 3000

    async def scenario() -> None:
        async with rig(tmp_path, big if worker else None) as it:
            reader, writer = await connect_slowly(it)
            writer.write(request(b"/big") * many)
            highest = 0
            for _ in range(30):
                await asyncio.sleep(0.01)
                highest = max(highest, buffered(it))
            assert 0 < highest < 2 * len(PIECE)
            assert len(it.accepted) < 3
            for _ in range(many):
                status, _, body = await answer_of(reader)
                assert (status, body == PIECE) == ((200, True) if worker else (503, False))
            assert it.front.held == 0

    run(scenario())


def test_bodies_without_an_end_are_refused_before_they_fill_memory(tmp_path: Path) -> None:
    head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 500000\r\n\r\n"

    async def scenario() -> None:
        async with rig(tmp_path, echo, held=1_000_000) as it:
            for _ in range(3):
                _, writer = await it.connect()
                writer.write(head + b"x" * 300_000)
            await until(lambda: it.front.held > 900_000)
            status, headers, _ = await it.ask(head + b"x" * 300_000)
            assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
            assert it.front.held < 1_000_000
            assert 'reason="busy"} 1' in it.front.counts.text(worker_up=True)
            # What is small goes on.
            assert (await it.ask(request(body=b"y" * 10_000)))[2] == b"y" * 10_000
            # The others go, and make room.
            await it.leave()
            await until(lambda: not it.front.connections)
            assert it.front.held == 0
            assert (await it.ask(request(body=b"z" * 300_000)))[0] == 200
            assert it.front.held == 0

    run(scenario())


def test_what_waits_for_an_answer_counts_too_and_the_refusal_comes_in_its_turn(
    tmp_path: Path,
) -> None:
    go = asyncio.Event()

    async def when_told(_: bytes, body: bytes) -> bytes:
        await go.wait()
        return ok(body[:5])

    async def scenario() -> None:
        async with rig(tmp_path, when_told, held=150_000) as it:
            reader, writer = await it.connect()
            writer.write(request(body=b"first" * 20_000))
            await it.begun.wait()
            writer.write(request(body=b"again" * 20_000))
            await asyncio.sleep(0.1)
            assert 100_000 < it.front.held < 150_000
            go.set()
            assert (await answer_of(reader))[2] == b"first"
            assert (await answer_of(reader))[0] == 503
            assert await reader.read() == b""
            assert len(it.accepted) == 1
            assert it.front.held == 0

    run(scenario())


def test_a_connection_too_many_is_told_so_and_not_served(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, echo, connections=2) as it:
            first = await it.connect()
            await it.connect()
            first[1].write(request(body=b"first"))
            assert (await answer_of(first[0]))[2] == b"first"
            reader, third = await it.connect()
            third.write(request(body=b"third") * 2)
            status, headers, _ = await answer_of(reader)
            assert (status, headers["connection"]) == (503, "close")
            third.write(request(body=b"third"))
            assert await reader.read() == b""
            first[1].write(request(body=b"again"))
            assert (await answer_of(first[0]))[2] == b"again"
            assert len(it.accepted) == 2
            assert it.connections == 1, "the link's connection has lived on"

    run(scenario())


def test_a_body_may_be_as_long_as_the_worker_takes() -> None:
    assert Limits().body == MOST_BYTES
