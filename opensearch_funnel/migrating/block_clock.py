"""How long writers have been refused, and when that is too long."""

from __future__ import annotations

import time

from opensearch_funnel.core.errors import FunnelError

MAX_BLOCK_S = 5.0
"""How long writers may be refused unless the operator says otherwise."""


class BlockTooLongError(FunnelError):
    """The write block would have lasted longer than it may; it is lifted, nothing has changed."""


class BlockClock:
    """Counts from the moment on that a block is asked for.

    Args:
        most_s: how long it may last.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        """Since the block was asked for."""
        return time.monotonic() - self._start

    @property
    def left(self) -> float:
        """Seconds that are left of what it may take."""
        return max(0.1, self._most_s - self.seconds)

    def check(self, *, left: int, cause: Exception | None = None) -> None:
        """Raise if the time is up."""
        if self.seconds > self._most_s:
            raise BlockTooLongError(
                f"writers had been refused for {self.seconds:.1f} s, and {left:,} operations were "
                f"left: the block was lifted and nothing has changed; cut over when less is "
                "written, or let the block last longer (--max-block)"
            ) from cause
