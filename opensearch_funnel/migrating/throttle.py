"""How long a worker pauses between two pages, so that searches stay as fast as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.migrating.canary import Canary

TIMES, PLUS_MS = 1.3, 2.0
"""Searches are slow when they take longer than before times the one plus the other."""
_LONGEST_S = 30.0
_SMALLEST_SHARE, _STEP = 0.02, 0.05
_SHORT_PAGE_S = 0.5


class Throttle(Protocol):
    """Decides on the pause behind each page."""

    @property
    def page_s(self) -> float:
        """How many seconds the next page should take at most."""
        ...

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

    @property
    def page_s(self) -> float:
        """Return infinity: a page may take as long as it does."""
        return inf

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

    @property
    def page_s(self) -> float:
        """Return infinity: a page may take as long as it does."""
        return inf

    def pause_after(self, *, documents: int, seconds: float) -> float:
        """Return what is left of the time that the documents may take."""
        return max(0.0, documents / self.documents_per_second - seconds)

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Do nothing."""
        yield


@dataclass(slots=True)
class ForegroundThrottle:
    """Works half as much of the time while searches are slow, and a little more while not.

    While it does not work all the time, its pages are short: a search that meets one waits for
    less, and there are more of them to see by.

    Attributes:
        canary: what searches take, and took before.
        share: of the time that it works.
    """

    canary: Canary
    share: float = field(default=1.0, init=False)

    @property
    def slow(self) -> bool:
        """Whether searches are slowed down: half of them, or the slowest tenth."""
        before, now = self.canary.baseline, self.canary.recent
        if before is None or now is None:
            return False
        return (
            now.median_ms > TIMES * before.median_ms + PLUS_MS
            or now.tail_ms > TIMES * before.tail_ms + PLUS_MS
        )

    @property
    def page_s(self) -> float:
        """Return half a second while it does not work all the time."""
        return inf if self.share == 1.0 else _SHORT_PAGE_S

    def pause_after(self, *, documents: int, seconds: float) -> float:
        """Return the pause, after a look at what searches take."""
        del documents
        if self.slow:
            self.share = max(_SMALLEST_SHARE, self.share / 2)
        else:
            self.share = min(1.0, self.share + _STEP)
        return min(_LONGEST_S, seconds / self.share - seconds)

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Let searches of this time count as those without the migration."""
        self.canary.rest()
        try:
            yield
        finally:
            self.canary.work()


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
        return inf
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < inf:
        raise InputError(f"a throttle is auto, off, or documents a second above 0, not {text!r}")
    return rate
