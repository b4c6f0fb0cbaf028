"""How much memory a piece of work takes at its height."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
_KILOBYTE = 1024


@contextmanager
def peak_memory() -> Iterator[Callable[[], int | None]]:
    """Measure how far this process grows inside the block.

    Yields:
        A function: bytes by which the process was larger at its height than when the block began;
        None where the system does not tell (anything but Linux).

    Source: ``proc_pid_clear_refs(5)``, value 5, resets the high-water mark.

    Example:
        >>> with peak_memory() as peak:
        ...     block = bytearray(50_000_000)
        >>> grown = peak()
        >>> grown is None or 40_000_000 < grown < 200_000_000
        True
    """
    try:
        _CLEAR.write_text("5")
        began = _field("VmRSS")
    except OSError:
        began = None
    yield lambda: None if began is None else max(0, _field("VmHWM") - began)


def _field(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    if found is None:
        raise OSError(f"no {name} in {_STATUS}")
    return int(found[1]) * _KILOBYTE
