"""A stage that hangs has a limited number of places, and no say over another stage."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from threading import Event

import pytest

from opensearch_funnel.core.errors import StageUnavailableError
from opensearch_funnel.service.pools import DeadlineError, StagePool
from opensearch_funnel.service.waiting import Asker, current_asker


async def refused_at_once(pool: StagePool) -> float:
    start = time.monotonic()
    with pytest.raises(StageUnavailableError, match="rank has 3 requests already"):
        await pool.run(int, within_ms=60_000)
    return time.monotonic() - start


def test_work_that_was_given_up_keeps_its_place_until_it_ends() -> None:
    async def scenario() -> None:
        pool, other = (StagePool(name, workers=2, places=3) for name in ("rank", "rewrite"))
        go = Event()
        try:
            # Two run and one waits; the one that waits leaves the queue when it is given up.
            hung = [pool.run(go.wait, within_ms=100) for _ in range(3)]
            started = asyncio.gather(*hung, return_exceptions=True)
            await asyncio.sleep(0.02)
            assert await refused_at_once(pool) < 1.0
            assert await other.run(lambda: 7, within_ms=60_000) == 7
            assert all(isinstance(e, StageUnavailableError) for e in await started)
            with pytest.raises(StageUnavailableError, match="not done within 50 ms"):
                await pool.run(int, within_ms=50)
            go.set()
            assert await pool.run(lambda: 7, within_ms=60_000) == 7
        finally:
            go.set()
            pool.close()
            other.close()

    asyncio.run(scenario())


def test_an_error_of_the_work_is_passed_on_and_frees_its_place() -> None:
    async def scenario() -> None:
        pool = StagePool("rank", workers=1, places=1)
        for _ in range(3):
            with pytest.raises(ZeroDivisionError):
                await pool.run(lambda: 1 // 0, within_ms=60_000)
            await asyncio.sleep(0.05)
        pool.close()

    asyncio.run(scenario())


def test_work_knows_who_asked_and_whether_anybody_still_waits() -> None:
    async def scenario() -> None:
        pool = StagePool("rank", workers=1, places=2)
        go, seen = Event(), list[Asker]()
        names: ContextVar[str] = ContextVar("names")
        names.set("the caller's")

        def work() -> str:
            asker = current_asker()
            assert asker is not None
            assert asker.waits
            seen.append(asker)
            go.wait()
            return names.get()

        with pytest.raises(DeadlineError):
            await pool.run(work, within_ms=50)
        assert not seen[0].waits
        assert pool.taken == 1
        go.set()
        assert await pool.run(work, within_ms=60_000) == "the caller's"
        assert current_asker() is None
        pool.close()

    asyncio.run(scenario())


def test_a_timeout_of_the_work_itself_is_no_deadline() -> None:
    def work() -> None:
        raise TimeoutError("a socket")

    async def scenario() -> None:
        pool = StagePool("rank", workers=1, places=1)
        with pytest.raises(TimeoutError, match="a socket"):
            await pool.run(work, within_ms=60_000)
        pool.close()

    asyncio.run(scenario())


def test_only_what_was_answered_is_timed() -> None:
    async def scenario() -> list[float]:
        taken: list[float] = []
        pool = StagePool("rank", workers=1, places=2, observe=taken.append)
        with pytest.raises(ZeroDivisionError):
            await pool.run(lambda: 1 // 0, within_ms=60_000)
        await pool.run(lambda: time.sleep(0.02), within_ms=60_000)
        pool.close()
        return taken

    (seconds,) = asyncio.run(scenario())
    assert 0.02 <= seconds < 10
