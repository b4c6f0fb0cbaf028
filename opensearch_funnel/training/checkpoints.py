"""Folders that are either whole or not there, and how far along a run is.

A checkpoint is written under a hidden name and gets its own by one rename, which a file system
does at once or not at all. So a run that is killed at any moment leaves the checkpoint before.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DIGITS = 7


def checkpoint_folder(folder: Path, *, step: int) -> Path:
    """Name the checkpoint of a step so that names sort as steps do.

    Example:
        >>> checkpoint_folder(Path("run"), step=250).name
        'step-0000250'
    """
    return folder / f"step-{step:0{_DIGITS}d}"


def newest_checkpoint(folder: Path) -> Path | None:
    """Find the checkpoint with the highest step; None when there is none yet."""
    return max(folder.glob("step-*"), default=None, key=lambda path: path.name)


def drop_old_checkpoints(folder: Path, *, keep: int = 2) -> None:
    """Delete all checkpoints but the newest ones."""
    for old in sorted(folder.glob("step-*"))[:-keep]:
        shutil.rmtree(old)


@contextmanager
def appearing(name: Path) -> Iterator[Path]:
    """Fill a folder under a hidden name and give it its own when all is written.

    Args:
        name: the folder to make; one that is there already is replaced.

    Yields:
        An empty folder to write into. If the block raises, ``name`` stays as it was.
    """
    made, old = (name.with_name(f".{word}-{name.name}") for word in ("making", "old"))
    for leftover in (made, old):
        shutil.rmtree(leftover, ignore_errors=True)
    made.mkdir(parents=True)
    yield made
    if name.exists():
        name.rename(old)
    made.rename(name)
    shutil.rmtree(old, ignore_errors=True)


def share_done(*, step: int, steps: int | None, seconds: float, minutes: float | None) -> float:
    """Say how much of a run is done, by steps or by time, whichever is further.

    Example:
        >>> share_done(step=50, steps=200, seconds=30, minutes=1)
        0.5
    """
    by_steps = step / steps if steps else 0.0
    by_time = seconds / (60 * minutes) if minutes else 0.0
    return max(by_steps, by_time)


def learning_rate_at(done: float, *, peak: float, warmup: float) -> float:
    """Rise in a line to the peak, then fall in a line; never quite zero.

    Args:
        done: share of the run that is done, 0 to 1.
        peak: the highest rate.
        warmup: share of the run that rises.

    Returns:
        The rate of the next step, at least a five-hundredth of the peak.

    Example:
        >>> [round(learning_rate_at(d, peak=1.0, warmup=0.1), 3) for d in (0.0, 0.05, 0.5, 1.0)]
        [0.002, 0.5, 0.5, 0.002]
    """
    rising = done / warmup if warmup else 1.0
    return peak * max(min(rising, 1 - done), 0.002)
