"""Waiting for a cluster that is away."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from threading import Event

import pytest

from opensearch_funnel.core.errors import (
    EngineError,
    EngineUnreachableError,
    IndexMissingError,
    InputError,
)
from opensearch_funnel.core.progress import Advance
from opensearch_funnel.migrating.patience import Patience

AWAY = EngineUnreachableError("no OpenSearch answers")


class Clock:
    """Seconds that pass only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.now += seconds
        return False


class Lines:
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> AbstractContextManager[Advance]:
        del label, total, unit
        return nullcontext(lambda _: None)

    def say(self, line: str) -> None:
        self.said.append(line)


class Answers:
    """Fails so often, then answers."""

    def __init__(self, *failures: EngineError) -> None:
        self.left = list(failures)

    def __call__(self) -> str:
        if self.left:
            raise self.left.pop(0)
        return "here"


def test_it_asks_again_with_growing_pauses_and_says_so_once() -> None:
    clock, lines = Clock(), Lines()
    patience = Patience(seconds=600, progress=lines, clock=clock, wait=clock.wait)
    assert patience.call(Answers(*[AWAY] * 8)) == "here"
    assert clock.pauses == [0.5, 1, 2, 4, 8, 15, 15, 15]
    assert lines.said == [
        "no OpenSearch answers; trying again for 600 s",
        "OpenSearch answers again",
    ]
    assert patience.cause == ""


def test_it_gives_up_after_its_time_and_names_the_way_on() -> None:
    clock = Clock()
    patience = Patience(seconds=10, clock=clock, wait=clock.wait)
    with pytest.raises(EngineUnreachableError, match=r"gave up after 10 s: the same command goes"):
        patience.call(Answers(*[AWAY] * 99))
    assert clock.pauses == [0.5, 1, 2, 4, 2.5]
    assert patience.call(Answers(AWAY)) == "here", "every call has its own time"


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_cluster_that_is_too_busy_is_waited_for(status: int) -> None:
    clock = Clock()
    patience = Patience(clock=clock, wait=clock.wait)
    assert patience.call(Answers(EngineError("busy", status=status))) == "here"


@pytest.mark.parametrize(
    "error", [EngineError("bad", status=400), IndexMissingError("gone", status=404)]
)
def test_what_does_not_pass_is_raised_at_once(error: EngineError) -> None:
    clock = Clock()
    with pytest.raises(type(error)):
        Patience(clock=clock, wait=clock.wait).call(Answers(error))
    assert clock.pauses == []


def test_who_stops_does_not_wait() -> None:
    stopped = Event()
    stopped.set()
    with pytest.raises(EngineUnreachableError):
        Patience(seconds=600, stopped=stopped).call(Answers(AWAY))


def test_what_is_gone_is_not_waited_for() -> None:
    clock = Clock()

    def look() -> None:
        raise InputError("the target is gone")

    patience = Patience(clock=clock, wait=clock.wait, look=look)
    with pytest.raises(InputError, match="the target is gone"):
        patience.call(Answers(AWAY))


def test_a_look_at_a_cluster_that_is_away_says_nothing() -> None:
    clock = Clock()

    def look() -> None:
        raise AWAY

    assert Patience(clock=clock, wait=clock.wait, look=look).call(Answers(AWAY)) == "here"


def test_one_answer_alone_may_be_given_up() -> None:
    abandoned = Event()
    abandoned.set()
    with pytest.raises(EngineUnreachableError):
        Patience(seconds=600).call(Answers(AWAY), stopped=abandoned)
