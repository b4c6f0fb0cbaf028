"""How long a worker pauses between two pages, so that searches stay as fast as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.migrating.canary import Canary

TIMES, PLUS_MS = 1.3, 2.0
"""Searches are slowed down when their median is above baseline times the one plus the other."""
_FIRST_S, _LONGEST_S = 0.25, 10.0
_STEP_S = 0.25


class Throttle(Protocol):
    """Decides on the pause behind each page."""

    def pause_after(self, *, documents: int, seconds: float) -> float:
        """Return how many seconds to pause behind a page of so many documents.

        Args:
            documents: that were in the page.
            seconds: that the page took.
        """
        ...

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Be told that the worker does nothing while the context is open."""
        ...


@dataclass(frozen=True, slots=True)
class Unthrottled:
    """As fast as it goes."""

    def pause_after(self, *, documents: int, seconds: float) -> float:
        """Return 0."""
        del documents, seconds
        return 0.0

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Do nothing."""
        yield


@dataclass(frozen=True, slots=True)
class FixedRate:
    """At most so many documents a second.

    Example:
        >>> FixedRate(100.0).pause_after(documents=500, seconds=3.0)
        2.0
    """

    documents_per_second: float

    def pause_after(self, *, documents: int, seconds: float) -> float:
        """Return what is left of the time that the documents may take."""
        return max(0.0, documents / self.documents_per_second - seconds)

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Do nothing."""
        yield


@dataclass(slots=True)
class ForegroundThrottle:
    """Pauses twice as long while searches are slow, and a little less while they are not.

    Attributes:
        canary: what searches take, and took before.
        pause_s: the pause of now.
    """

    canary: Canary
    pause_s: float = field(default=0.0, init=False)

    @property
    def slow(self) -> bool:
        """Whether searches are slowed down."""
        baseline, recent = self.canary.baseline_ms, self.canary.recent_ms
        if baseline is None or recent is None:
            return False
        return recent > TIMES * baseline + PLUS_MS

    def pause_after(self, *, documents: int, seconds: float) -> float:
        """Return the pause, after a look at what searches take."""
        del documents, seconds
        if self.slow:
            self.pause_s = min(_LONGEST_S, max(_FIRST_S, 2 * self.pause_s))
        else:
            self.pause_s = max(0.0, self.pause_s - _STEP_S)
        return self.pause_s

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Let searches of this time count as those without the migration."""
        self.canary.resting = True
        try:
            yield
        finally:
            self.canary.resting = False


AUTO, OFF = "auto", "off"


def parsed_rate(text: str) -> float | None:
    """Read ``--throttle``: documents a second; ``None`` for ``auto``, infinity for ``off``.

    Raises:
        InputError: it is none of these.

    Example:
        >>> parsed_rate("auto"), parsed_rate("off"), parsed_rate("50")
        (None, inf, 50.0)
    """
    if text == AUTO:
        return None
    if text == OFF:
        return float("inf")
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < float("inf"):
        raise InputError(f"a throttle is auto, off, or documents a second above 0, not {text!r}")
    return rate
