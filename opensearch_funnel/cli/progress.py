"""Progress on standard error: bars with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress
from rich.text import Text

from opensearch_funnel.core.progress import Advance, Progress

_BYTES = "bytes"
_MEGABYTE = 1_000_000


class _Rate(ProgressColumn):
    """How much is done, and how much a second."""

    def render(self, task: Task) -> Text:
        unit = str(task.fields.get("unit", ""))
        speed = task.finished_speed or task.speed or 0.0
        done, total = task.completed, task.total
        if unit == _BYTES:
            of = f"/{total / _MEGABYTE:,.0f}" if total else ""
            return Text(f"{done / _MEGABYTE:,.0f}{of} MB · {speed / _MEGABYTE:,.1f} MB/s")
        of = f"/{total:,.0f}" if total else ""
        return Text(f"{done:,.0f}{of} {unit} · {speed:,.0f}/s")


class TerminalProgress:
    """Bars that go away when the work is done."""

    def __init__(self, bars: RichProgress) -> None:
        self._bars = bars

    @contextmanager
    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> Iterator[Advance]:
        """Show one bar while the context is open."""
        bar = self._bars.add_task(label, total=total, unit=unit)
        try:
            yield lambda units: self._bars.advance(bar, units)
        finally:
            self._bars.remove_task(bar)

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(line, highlight=False)


class LineProgress:
    """One line when a piece of work ends: for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self._console = console

    @contextmanager
    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> Iterator[Advance]:
        """Count silently, then say how many units took how long."""
        del total
        done = 0

        def advance(units: int) -> None:
            nonlocal done
            done += units

        start = time.monotonic()
        yield advance
        seconds = time.monotonic() - start
        amount = f"{done / _MEGABYTE:,.0f} MB" if unit == _BYTES else f"{done:,} {unit}"
        self.say(f"{label}: {amount} in {seconds:.1f} s")

    def say(self, line: str) -> None:
        """Print the line as it is."""
        self._console.print(line, highlight=False, soft_wrap=True, markup=False)


@contextmanager
def terminal_progress() -> Iterator[Progress]:
    """Give the progress port that fits where standard error goes."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield LineProgress(console)
        return
    with RichProgress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        _Rate(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as bars:
        yield TerminalProgress(bars)
