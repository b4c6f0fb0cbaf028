"""Results written so that a reader finds all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from opensearch_funnel.core.errors import InputError


def write_whole(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: each under another name first, then all are renamed.

    Whoever stops this, or a disk that fills, leaves what was there before.

    Args:
        files: what to write, by where to; folders are made.

    Raises:
        InputError: one cannot be written there.
    """
    parts = {path.with_name(f".{path.name}.part"): path for path in files}
    try:
        for part, path in parts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(files[path])
        for part, path in parts.items():
            part.replace(path)
    except OSError as error:
        named = error.filename or next(iter(files))
        raise InputError(f"cannot write {named}: {error.strerror or error}") from error
    finally:
        for part in parts:
            # Nothing was written where there is no folder, or one of that name is in the way.
            if part.is_file():
                part.unlink()
