"""The port through which long work says how far it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

Advance = Callable[[int], None]
"""Say that so many more units are done."""


class Progress(Protocol):
    """Somewhere to report to: a terminal's bars, a log, or nowhere."""

    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> AbstractContextManager[Advance]:
        """Open a piece of work that ends when the context does.

        Args:
            label: what is being done, in a few words.
            total: how many units there are, if that is known.
            unit: what is counted, for example ``documents`` or ``bytes``.

        Returns:
            A context manager whose value is called with each further number of units done.
        """
        ...

    def say(self, line: str) -> None:
        """Tell one thing that a user should know while the work goes on."""
        ...


@dataclass(frozen=True, slots=True)
class SilentProgress:
    """Report nowhere: the default of every library function.

    Example:
        >>> with SilentProgress().task("reading", total=2) as advance:
        ...     advance(2)
    """

    def task(
        self, label: str, *, total: int | None = None, unit: str = "documents"
    ) -> AbstractContextManager[Advance]:
        """Accept the report and forget it."""
        del label, total, unit
        return nullcontext(_forget)

    def say(self, line: str) -> None:
        """Accept the line and forget it."""
        del line


def _forget(units: int) -> None:
    del units


SILENT: Progress = SilentProgress()
