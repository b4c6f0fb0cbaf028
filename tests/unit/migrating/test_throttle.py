"""Pauses for other people's searches, without a clock and without a cluster."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

import pytest

from opensearch_funnel.core.errors import EngineUnreachableError, InputError
from opensearch_funnel.migrating.canary import Canary, Spread
from opensearch_funnel.migrating.throttle import (
    FixedRate,
    ForegroundThrottle,
    Unthrottled,
    parsed_rate,
)


class Searches:
    """Searches that take as long as they are told to."""

    def __init__(self, *, milliseconds: float) -> None:
        self.milliseconds = milliseconds

    def __call__(self) -> float:
        if self.milliseconds < 0:
            raise EngineUnreachableError("away")
        return self.milliseconds


def _watched(baseline: float = 10.0) -> tuple[Searches, Canary, Callable[[float], None]]:
    """Return searches, their canary after some without load, and a way to take some more."""
    searches = Searches(milliseconds=baseline)
    canary = Canary(searches)
    for _ in range(25):
        canary.sample()
    canary.work()

    def searched(milliseconds: float) -> None:
        searches.milliseconds = milliseconds
        for _ in range(10):
            canary.sample()

    return searches, canary, searched


def _pause(throttle: ForegroundThrottle) -> float:
    return round(throttle.pause_after(documents=500, seconds=1.0), 3)


def test_nothing_is_slow_before_anything_was_timed() -> None:
    throttle = ForegroundThrottle(Canary(Searches(milliseconds=1.0)))
    assert _pause(throttle) == 0.0


def test_searches_may_take_a_third_more_and_two_milliseconds() -> None:
    _, canary, searched = _watched(baseline=10.0)
    throttle = ForegroundThrottle(canary)
    searched(10.0 * 1.3 + 2.0)
    assert not throttle.slow
    searched(10.0 * 1.3 + 2.1)
    assert throttle.slow


def test_it_works_half_as_much_of_the_time_while_searches_are_slow_down_to_a_share() -> None:
    _, canary, searched = _watched()
    throttle = ForegroundThrottle(canary)
    assert throttle.page_s == inf
    searched(50.0)
    pauses = [_pause(throttle) for _ in range(7)]
    assert pauses == [1, 3, 7, 15, 30, 30, 30]
    assert throttle.share == 0.02
    assert throttle.page_s == 0.5
    assert throttle.pause_after(documents=50, seconds=0.1) == pytest.approx(4.9)


def test_it_works_a_little_more_when_searches_are_well_again() -> None:
    _, canary, searched = _watched()
    throttle = ForegroundThrottle(canary)
    searched(50.0)
    for _ in range(3):
        _pause(throttle)
    searched(10.0)
    shares = []
    for _ in range(20):
        _pause(throttle)
        shares.append(round(throttle.share, 3))
    assert shares[:3] == [0.175, 0.225, 0.275]
    assert shares[-2:] == [1.0, 1.0]
    assert (_pause(throttle), throttle.page_s) == (0.0, inf)


def test_a_tenth_of_the_searches_is_a_reason() -> None:
    searches, canary, searched = _watched()
    throttle = ForegroundThrottle(canary)
    searched(10.0)
    assert _pause(throttle) == 0.0
    searches.milliseconds = 500.0
    canary.sample()
    assert _pause(throttle) == 1.0


def test_nothing_is_known_after_two_searches() -> None:
    searches, canary, _ = _watched()
    searches.milliseconds = 500.0
    canary.sample()
    canary.sample()
    assert canary.recent is None
    canary.sample()
    assert ForegroundThrottle(canary).slow


def test_a_cluster_that_is_away_counts_for_nothing() -> None:
    searches, canary, searched = _watched()
    searched(10.0)
    searches.milliseconds = -1.0
    canary.sample()
    assert canary.baseline == canary.recent == Spread(10.0, 10.0)


def test_searches_that_are_slow_without_us_are_the_new_measure() -> None:
    searches, canary, searched = _watched(baseline=10.0)
    throttle = ForegroundThrottle(canary)
    searched(30.0)
    assert throttle.slow
    searches.milliseconds = 30.0  # the day has begun: more people search
    with throttle.pausing():
        for _ in range(13):
            canary.sample()
    assert canary.baseline == Spread(30.0, 30.0)
    assert not throttle.slow


def test_a_search_across_the_end_of_a_rest_counts_for_neither() -> None:
    def search() -> float:
        canary.work()
        return 99.0

    canary = Canary(search)
    canary.sample()
    assert (canary.baseline, canary.recent) == (None, None)


def test_a_fixed_rate_waits_for_the_rest_of_the_time() -> None:
    assert FixedRate(100.0).pause_after(documents=500, seconds=2.0) == 3.0
    assert FixedRate(100.0).pause_after(documents=500, seconds=9.0) == 0.0
    assert Unthrottled().pause_after(documents=500, seconds=0.0) == 0.0


@pytest.mark.parametrize("text", ["0", "-3", "fast", "inf", "nan", ""])
def test_a_throttle_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="auto, off, or documents a second"):
        parsed_rate(text)
