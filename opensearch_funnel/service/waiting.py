"""Whether anybody still waits for what a thread is doing."""

from __future__ import annotations

import time
from contextvars import ContextVar
from dataclasses import dataclass, field


@dataclass(slots=True)
class Asker:
    """Whoever asked for some work: until when the answer is of use.

    Attributes:
        deadline: on the monotonic clock, in seconds.
        has_left: whether the answer was given up before.
    """

    deadline: float
    has_left: bool = field(default=False)

    @property
    def left_s(self) -> float:
        """Seconds until the deadline; below zero behind it."""
        return self.deadline - time.monotonic()

    @property
    def waits(self) -> bool:
        """Whether an answer that is made now is still read."""
        return not self.has_left and time.monotonic() < self.deadline


_ASKER: ContextVar[Asker | None] = ContextVar("asker", default=None)


def current_asker() -> Asker | None:
    """Return who asked for what this thread does; ``None`` where nobody will give up."""
    return _ASKER.get()


def set_asker(asker: Asker) -> None:
    """Say who asked for what is done from here on in this context."""
    _ASKER.set(asker)
