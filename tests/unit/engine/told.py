"""A progress port that remembers what it was told."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from opensearch_funnel.core.progress import Advance


@dataclass
class Told:
    """Lines that were said, and how many units were reported."""

    lines: list[str] = field(default_factory=list)
    settled: int = 0
    said: threading.Event = field(default_factory=threading.Event)

    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> AbstractContextManager[Advance]:
        del label, total, unit
        return nullcontext(self._advance)

    def say(self, line: str) -> None:
        self.lines.append(line)
        self.said.set()

    def _advance(self, units: int) -> None:
        self.settled += units
