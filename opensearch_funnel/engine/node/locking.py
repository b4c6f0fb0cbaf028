"""One at a time, across programs."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opensearch_funnel.core.errors import NodeError


@contextmanager
def exclusively(path: Path) -> Iterator[None]:
    """Wait until no other program holds the same lock file, then hold it.

    The operating system lets go of it when the program ends, however it ends.

    Args:
        path: the lock file; made if it is not there, and deleted in the end.

    Raises:
        NodeError: the file cannot be written.
    """
    while True:
        try:
            stream = path.open("w", encoding="utf-8")
        except OSError as error:
            msg = (
                f"{path} cannot be written ({error.strerror or error}); set FUNNEL_HOME to a "
                "folder of your own"
            )
            raise NodeError(msg) from error
        with stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            if not _is_same(stream.fileno(), path):
                continue  # its last holder deleted it meanwhile: a newcomer would lock another
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
