"""How long a sender waits before it tries again, and when it has waited enough."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from threading import Lock

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.bulk.batches import BulkLimits

_ANOTHER_BLOCK = 60.0
"""Seconds without a word of a block after which the next one is news."""


class Patience:
    """How long to go on with a batch of which nothing is accepted."""

    def __init__(self, limits: BulkLimits) -> None:
        self._limits = limits
        self.progressed()

    def progressed(self) -> None:
        """Say that some of the batch was accepted: counting begins anew."""
        self._since = time.monotonic()
        self._tries = 0
        self._blocked_since: float | None = None

    def next_pause(self, cause: EngineError, *, blocked: bool = False) -> float:
        """Draw the seconds to wait before the next try.

        Args:
            cause: why nothing was accepted.
            blocked: because of a block that is waited for.

        Raises:
            EngineError: the cause, when it is enough.
        """
        now = time.monotonic()
        if blocked and self._blocked_since is None:
            self.progressed()
            self._blocked_since = now
        elif not blocked and self._blocked_since is not None:
            # The block went; what it took is not held against a cluster that is busy now.
            self.progressed()
        self._tries += 1
        spent = now - self._since
        waited = spent >= (self._limits.wait_for_blocks if blocked else self._limits.max_seconds)
        if waited or (not blocked and self._tries >= self._limits.max_tries):
            raise type(cause)(
                f"{cause} (gave up after {self._tries} tries in {spent:.0f} s)",
                status=cause.status,
                kind=cause.kind,
            )
        longest, growth = self._limits.longest_pause, 2.0 ** min(self._tries - 1, 30)
        ceiling = min(longest, self._limits.first_pause * growth)
        # A block is not gone sooner for being asked about: never less than half.
        least = ceiling / 2 if blocked else 0.0
        return random.uniform(least, ceiling)  # noqa: S311 - jitter keeps no secret


class BlockNotice:
    """Tells of a block once, though several senders run into it again and again."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._lock = Lock()
        self._last = float("-inf")

    def blocked(self, reason: str) -> None:
        """Tell, unless that was done for this block already."""
        now = time.monotonic()
        with self._lock:
            fresh = now - self._last > _ANOTHER_BLOCK
            self._last = now
        if fresh:
            self._say(
                "waiting for room on the cluster's disks; this goes on by itself when the block "
                f"is gone: {reason}"
            )
