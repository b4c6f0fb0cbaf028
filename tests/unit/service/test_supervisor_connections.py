"""Connections of clients to a worker that answers, does not, or sends nonsense.

Client, supervisor and worker are in one event loop; the sockets between them are real.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import pytest

from opensearch_funnel.service.supervisor.connection import (
    BODY_S,
    HEAD_S,
    IDLE_S,
    ClientConnection,
)
from opensearch_funnel.service.supervisor.counts import Counts, Reason
from opensearch_funnel.service.supervisor.front import Front
from opensearch_funnel.service.supervisor.late import LISTENED_S
from opensearch_funnel.service.supervisor.link import WorkerLink
from opensearch_funnel.service.supervisor.reading import Limits

REWRITE = b"/v1/plans/films.1/rewrite"
DEADLINE = b"x-funnel-deadline-ms: 100\r\n"

Answer = Callable[[bytes, bytes], Awaitable[bytes]]
"""Head and body of a request in; bytes to send out."""


class ClosingError(Exception):
    """The worker sends this and closes the connection."""

    def __init__(self, last_words: bytes) -> None:
        super().__init__()
        self.last_words = last_words


def ok(body: bytes = b"ok", *, headers: bytes = b"", status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %b\r\ncontent-length: %d\r\n%b\r\n%b" % (status, len(body), headers, body)


def request(path: bytes = b"/", *, headers: bytes = b"", body: bytes = b"") -> bytes:
    length = b"content-length: %d\r\n" % len(body) if body else b""
    method = b"POST" if body else b"GET"
    return b"%b %b HTTP/1.1\r\nhost: a\r\n%b%b\r\n%b" % (method, path, headers, length, body)


@dataclass
class State:
    """What the supervisor knows of the worker."""

    link: WorkerLink | None
    unavailable: tuple[Reason, str] = ("starting", "the worker is loading")


@dataclass
class Rig:
    front: Front
    address: tuple[str, int]
    state: State
    accepted: list[bytes] = field(default_factory=list)
    working: list[asyncio.Task[None] | None] = field(default_factory=list)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    connections: int = 0
    clients: list[asyncio.StreamWriter] = field(default_factory=list)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(*self.address)
        self.clients.append(writer)
        return reader, writer

    async def leave(self) -> None:
        """Close every client's connection."""
        for writer in self.clients:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def say(self, *parts: bytes) -> bytes:
        """Send on a connection of its own, and return all that comes until it is closed."""
        reader, writer = await self.connect()
        for part in parts:
            writer.write(part)
        with suppress(ConnectionError):
            return await asyncio.wait_for(reader.read(), 10)
        return b""

    async def ask(self, raw: bytes) -> tuple[int, dict[str, str], bytes]:
        reader, writer = await self.connect()
        writer.write(raw)
        return await answer_of(reader)


async def answer_of(
    reader: asyncio.StreamReader, *, head_only: bool = False
) -> tuple[int, dict[str, str], bytes]:
    """Read one answer."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
    first, *lines = head.decode().strip().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    body = b""
    if "transfer-encoding" in headers:
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    elif not head_only:
        body = await reader.readexactly(int(headers.get("content-length", 0)))
    return int(first.split()[1]), headers, body


@asynccontextmanager
async def rig(
    folder: Path, answer: Answer | None, *, token: str | None = None, **limits: int
) -> AsyncIterator[Rig]:
    """Run a worker that answers as told, and the supervisor's side of it."""
    loop = asyncio.get_running_loop()
    path = folder / "w.sock"
    state = State(WorkerLink(path, now=loop.time) if answer is not None else None)
    front = Front(
        worker=state,
        counts=Counts(),
        identity={"service": "s"},
        limits=Limits(**limits),
        token=token,
    )
    server = await loop.create_server(lambda: ClientConnection(front), "127.0.0.1", 0)
    made = Rig(front, server.sockets[0].getsockname(), state)

    async def work(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        made.connections += 1
        made.working.append(asyncio.current_task())
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                made.accepted.append(head)
                made.begun.set()
                assert answer is not None
                writer.write(await answer(head, body))
                await writer.drain()
        except ClosingError as closing:
            writer.write(closing.last_words)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    worker = await asyncio.start_unix_server(work, str(path), limit=2**16)
    try:
        yield made
    finally:
        await made.leave()
        server.close()
        worker.close()
        await front.drain(within_s=0)
        if state.link is not None:
            state.link.close()
        for task in made.working:
            if task is not None:
                task.cancel()
        await asyncio.sleep(0.01)


def run(scenario: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(scenario, 20)

    asyncio.run(bounded())


async def echo(_: bytes, body: bytes) -> bytes:
    return ok(body)


def test_bodies_of_megabytes_go_both_ways_over_one_connection_each(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, echo) as it:
            reader, writer = await it.connect()
            for size in (5_000_000, 3, 200_000):
                body = b"x" * size
                writer.write(request(body=body))
                status, _, came = await answer_of(reader)
                assert (status, came) == (200, body)
            assert it.connections == 1

    run(scenario())


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_chunked_answer_is_passed_on_as_the_client_can_read_it(
    tmp_path: Path, version: bytes
) -> None:
    async def chunked(_: bytes, __: bytes) -> bytes:
        return (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        )

    async def scenario() -> None:
        async with rig(tmp_path, chunked) as it:
            raw = b"GET / HTTP/%b\r\nconnection: close\r\n\r\n" % version
            said = await it.say(raw)
            if version == b"1.0":
                assert said.endswith(b"\r\n\r\nabcde")
                assert b"chunked" not in said
            else:
                assert said.endswith(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    run(scenario())


def test_head_has_no_body_and_the_connection_goes_on(tmp_path: Path) -> None:
    async def worker(head: bytes, _: bytes) -> bytes:
        if head.startswith(b"HEAD"):
            return b"HTTP/1.1 200 OK\r\ncontent-length: 700\r\n\r\n"
        return ok()

    async def scenario() -> None:
        async with rig(tmp_path, worker) as it:
            reader, writer = await it.connect()
            writer.write(b"HEAD / HTTP/1.1\r\n\r\n")
            _, headers, _ = await answer_of(reader, head_only=True)
            assert headers["content-length"] == "700"
            writer.write(request())
            assert (await answer_of(reader))[2] == b"ok"

    run(scenario())


def test_a_client_that_waits_before_its_body_is_told_to_go_on(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, echo) as it:
            reader, writer = await it.connect()
            writer.write(b"POST / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"hi")
            assert (await answer_of(reader))[2] == b"hi"

    run(scenario())


def test_requests_sent_ahead_are_answered_in_order(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, echo) as it:
            reader, writer = await it.connect()
            bodies = [b"%d" % n for n in range(1, 60)]
            writer.write(b"".join(request(body=body) for body in bodies))
            assert [(await answer_of(reader))[2] for _ in bodies] == bodies

    run(scenario())


def test_thousands_of_requests_sent_ahead_are_refused_one_after_the_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, None) as it:
            reader, writer = await it.connect()
            writer.write(b"GET / HTTP/1.1\r\n\r\n" * 3000)
            for _ in range(3000):
                assert (await answer_of(reader))[0] == 503

    run(scenario())


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (request(body=b"x" * 2000), 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 5000 + b"\r\n\r\n", 431),
    ],
)
def test_what_is_refused_is_said_even_while_the_client_still_sends(
    tmp_path: Path, raw: bytes, status: int
) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, echo, body=1000, head=3000) as it:
            said = await it.say(raw, b"z" * 300_000)
            assert said.startswith(b"HTTP/1.1 %d " % status)
            assert orjson.loads(said.partition(b"\r\n\r\n")[2])["error"]
            assert it.accepted == []

    run(scenario())


def test_a_worker_that_hangs_is_answered_for_at_the_deadline_that_it_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = [ok(headers=DEADLINE), None, ok(headers=DEADLINE)]

    async def worker(_: bytes, __: bytes) -> bytes:
        told = answers.pop(0)
        if told is None:
            await asyncio.sleep(60)
        return told or b""

    async def scenario() -> None:
        async with rig(tmp_path, worker) as it:
            assert (await it.ask(request(REWRITE, body=b"{}")))[0] == 200
            loop = asyncio.get_running_loop()
            start = loop.time()
            status, headers, body = await it.ask(
                request(REWRITE, headers=b"x-request-id: r-7\r\n", body=b"{}")
            )
            taken = loop.time() - start
            assert (status, headers["x-request-id"]) == (503, "r-7")
            assert orjson.loads(body)["reason"] == "deadline"
            assert 0.1 <= taken < 1.0
            # The connection that it hung on is not used again.
            assert (await it.ask(request(REWRITE, body=b"{}")))[0] == 200
            assert it.connections == 2
            assert 'reason="deadline"} 1' in it.front.counts.text(worker_up=True)
            assert it.front.calls == 0
            await asyncio.sleep(LISTENED_S + 0.1)

    with caplog.at_level(logging.INFO):
        run(scenario())
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 1
    assert "request=r-7 stage=rewrite reason=deadline status=503" in warned[0]


@pytest.mark.parametrize(("status", "lines"), [(b"503 Service Unavailable", 0), (b"200 OK", 1)])
def test_a_worker_that_is_late_and_says_why_has_the_only_line_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, status: bytes, lines: int
) -> None:
    waits = [0.0, 0.2, 0.0]

    async def worker(_: bytes, __: bytes) -> bytes:
        late = waits.pop(0)
        await asyncio.sleep(late)
        return ok(headers=DEADLINE, status=status if late else b"200 OK")

    async def scenario() -> None:
        async with rig(tmp_path, worker) as it:
            ask = request(REWRITE, body=b"{}")
            answers = [(await it.ask(ask))[0], (await it.ask(ask))[0]]
            await asyncio.sleep(0.2)
            answers.append((await it.ask(ask))[0])
            assert answers == [200, 503, 200]
            assert it.connections == 1, "its late answer leaves the connection clean"

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert caplog.text.count("reason=deadline") == lines


def test_the_id_of_a_search_is_found_in_what_is_ranked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, None) as it:
            body = b'{"plan": {"plan":"p","q":"Zm94","request":"s-1"}, "documents": []}'
            await it.ask(request(b"/v1/plans/p/rank", body=body))

    with caplog.at_level(logging.WARNING):
        run(scenario())
    assert "request=s-1 stage=rank reason=starting" in caplog.text


@pytest.mark.parametrize(
    "last_words",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-",
        b"220 mail.example ESMTP\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nwithout a length",
        b"HTTP/1.1 103 Early Hints\r\n\r\n",
    ],
)
def test_a_worker_that_dies_or_sends_no_answer_is_answered_for_at_once(
    tmp_path: Path, last_words: bytes
) -> None:
    async def dying(_: bytes, __: bytes) -> bytes:
        raise ClosingError(last_words)

    async def scenario() -> None:
        async with rig(tmp_path, dying) as it:
            status, headers, body = await it.ask(request(REWRITE, body=b"{}"))
            assert (status, headers["retry-after"]) == (503, "1")
            assert orjson.loads(body)["reason"] == "lost"

    run(scenario())


def test_half_an_answer_is_broken_off_and_not_made_whole(tmp_path: Path) -> None:
    async def dying(_: bytes, __: bytes) -> bytes:
        raise ClosingError(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")

    async def scenario() -> None:
        async with rig(tmp_path, dying) as it:
            reader, writer = await it.connect()
            writer.write(request())
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await answer_of(reader)
            assert 'reason="lost"} 1' in it.front.counts.text(worker_up=True)

    run(scenario())


def test_a_worker_that_says_two_things_at_once_is_not_believed(tmp_path: Path) -> None:
    answers = [ok(b"1") + ok(b"for somebody else"), ok(b"2")]

    async def worker(_: bytes, __: bytes) -> bytes:
        return answers.pop(0)

    async def scenario() -> None:
        async with rig(tmp_path, worker) as it:
            reader, writer = await it.connect()
            writer.write(request())
            with suppress(asyncio.IncompleteReadError, ConnectionError):
                assert (await answer_of(reader))[2] == b"1"
            assert (await it.ask(request()))[2] == b"2"

    run(scenario())


def test_a_client_that_goes_away_is_worked_for_no_longer(tmp_path: Path) -> None:
    async def first_never(_: bytes, body: bytes) -> bytes:
        if body == b"first":
            await asyncio.sleep(60)
        return ok()

    async def scenario() -> None:
        async with rig(tmp_path, first_never) as it:
            _, writer = await it.connect()
            writer.write(request(body=b"first"))
            await it.begun.wait()
            assert it.front.calls == 1
            await it.leave()
            assert (await it.ask(request()))[0] == 200
            assert it.front.calls == 0
            assert it.connections == 2, "the first one still waits for its answer"

    run(scenario())


def test_an_answer_that_the_client_does_not_read_waits_in_the_worker(tmp_path: Path) -> None:
    async def endless(_: bytes, __: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n" + b"x" * 100_000_000

    async def scenario() -> None:
        async with rig(tmp_path, endless) as it:
            reader, writer = await it.connect()
            writer.write(request())
            await it.begun.wait()
            (connection,) = it.front.connections
            assert isinstance(connection, ClientConnection)
            held = [0]
            for _ in range(500):
                await asyncio.sleep(0.01)
                held.append(connection._transport.get_write_buffer_size())  # noqa: SLF001
                if held[-1] == held[-2] > 0:
                    break
            assert 0 < held[-1] < 2_000_000
            assert len((await answer_of(reader))[2]) == 100_000_000

    run(scenario())


def test_clients_that_are_stuck_are_let_go_of(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, echo) as it:
            loop = asyncio.get_running_loop()
            half = await it.connect()
            half[1].write(b"GET / HT")
            idle = await it.connect()
            idle[1].write(request())
            await answer_of(idle[0])
            await asyncio.sleep(0.05)
            for connection in list(it.front.connections):
                connection.end_if_stuck(loop.time() + HEAD_S + 1)
            assert await half[0].read() == b""
            assert len(it.front.connections) == 1
            for connection in list(it.front.connections):
                connection.end_if_stuck(loop.time() + IDLE_S + 1)
            assert await idle[0].read() == b""

    run(scenario())


def test_metrics_are_the_workers_and_the_supervisors(tmp_path: Path) -> None:
    statuses = [b"200 OK", b"404 Not Found", b"401 Unauthorized"]

    async def worker(_: bytes, __: bytes) -> bytes:
        return ok(b"funnel_x 1\n", headers=b"content-type: text/x\r\n", status=statuses.pop(0))

    async def scenario() -> None:
        async with rig(tmp_path, worker) as it:
            status, headers, body = await it.ask(request(b"/metrics"))
            assert (status, headers["content-type"]) == (200, "text/x")
            assert body.startswith(b"funnel_x 1\n# HELP funnel_supervisor_unavailable_total")
            assert body.endswith(b"funnel_worker_up 1\n")
            status, _, body = await it.ask(request(b"/metrics"))
            assert (status, body.startswith(b"# HELP funnel_sup")) == (200, True)
            assert (await it.ask(request(b"/metrics")))[0] == 401
            link, it.state.link = it.state.link, None
            status, _, body = await it.ask(request(b"/metrics"))
            assert (status, body.endswith(b"funnel_worker_up 0\n")) == (200, True)
            it.state.link = link

    run(scenario())


def test_the_supervisors_own_counts_want_the_token_that_the_worker_cannot_ask_for(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, None, token="0123456789abcdef") as it:  # noqa: S106 - no secret
            for shown in (b"", b"authorization: Bearer 0123\r\n"):
                status, headers, body = await it.ask(request(b"/metrics", headers=shown))
                assert (status, headers["www-authenticate"]) == (401, "bearer")
                assert b"funnel_" not in body
            shown = b"authorization: Bearer 0123456789abcdef\r\n"
            status, _, body = await it.ask(request(b"/metrics", headers=shown))
            assert (status, body.endswith(b"funnel_worker_up 0\n")) == (200, True)

    run(scenario())


def test_without_a_worker_health_says_what_it_is_and_ready_that_it_is_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, None) as it:
            status, _, body = await it.ask(request(b"/health"))
            health = orjson.loads(body)
            assert (status, health["service"]) == (503, "s")
            assert health["error"] == "the worker is loading"
            status, _, body = await it.ask(request(b"/ready"))
            assert (status, orjson.loads(body)["ready"]) == (503, False)

    run(scenario())


def test_what_is_being_answered_is_finished_before_the_end(tmp_path: Path) -> None:
    async def slow(_: bytes, __: bytes) -> bytes:
        await asyncio.sleep(0.2)
        return ok()

    async def scenario() -> None:
        async with rig(tmp_path, slow) as it:
            idle = await it.connect()
            busy = await it.connect()
            busy[1].write(request())
            await it.begun.wait()
            start = asyncio.get_running_loop().time()
            await it.front.drain(within_s=5)
            assert asyncio.get_running_loop().time() - start < 2
            assert await idle[0].read() == b""
            status, headers, body = await answer_of(busy[0])
            assert (status, headers["connection"], body) == (200, "close", b"ok")

    run(scenario())


def test_the_worker_hears_who_asks_and_nothing_of_the_clients_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig(tmp_path, echo) as it:
            raw = request(headers=b"authorization: Bearer t\r\nconnection: x-y\r\nx-y: 1\r\n")
            await it.ask(raw)
            (head,) = it.accepted
            assert b"authorization: Bearer t\r\n" in head
            assert b"x-y" not in head
            assert b"x-request-id: " in head

    run(scenario())


def test_a_slow_upload_is_no_time_of_the_workers(tmp_path: Path) -> None:
    async def worker(_: bytes, __: bytes) -> bytes:
        return ok(headers=DEADLINE)

    async def scenario() -> None:
        async with rig(tmp_path, worker) as it:
            assert (await it.ask(request(REWRITE, body=b"{}")))[0] == 200
            reader, writer = await it.connect()
            raw = request(REWRITE, body=b"{}")
            writer.write(raw[:-1])
            await asyncio.sleep(0.3)
            writer.write(raw[-1:])
            assert (await answer_of(reader))[0] == 200

    run(scenario())


def test_a_request_behind_a_slow_one_has_a_deadline_of_its_own(tmp_path: Path) -> None:
    async def worker(head: bytes, _: bytes) -> bytes:
        if b"/slow " in head:
            await asyncio.sleep(0.3)
            return ok()
        return ok(headers=DEADLINE)

    async def scenario() -> None:
        async with rig(tmp_path, worker) as it:
            assert (await it.ask(request(REWRITE, body=b"{}")))[0] == 200
            reader, writer = await it.connect()
            writer.write(request(b"/slow") + request(REWRITE, body=b"{}"))
            assert [(await answer_of(reader))[0] for _ in range(2)] == [200, 200]

    run(scenario())


def test_half_a_request_behind_a_slow_one_has_its_time_after_it(tmp_path: Path) -> None:
    async def slow(_: bytes, body: bytes) -> bytes:
        await asyncio.sleep(0.3)
        return ok(body)

    async def scenario() -> None:
        async with rig(tmp_path, slow) as it:
            reader, writer = await it.connect()
            raw = request(body=b"second")
            start = asyncio.get_running_loop().time()
            writer.write(request(body=b"first") + raw[:-1])
            assert (await answer_of(reader))[2] == b"first"
            (connection,) = it.front.connections
            connection.end_if_stuck(start + BODY_S + 0.2)
            writer.write(raw[-1:])
            assert (await answer_of(reader))[2] == b"second"

    run(scenario())
