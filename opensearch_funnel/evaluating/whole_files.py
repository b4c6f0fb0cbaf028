"""Results written so that a reader finds all of them or none."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from opensearch_funnel.core.errors import InputError


def write_whole(files: Mapping[Path, bytes]) -> None:
    """Write files that belong together: each under another name first, then all are renamed.

    Whoever stops this, or a disk that fills, leaves what was there before. A file that was there
    keeps its permissions, and stays where a link to it points: it may be private.

    Args:
        files: what to write, by where to; folders are made.

    Raises:
        InputError: one cannot be written there.
    """
    parts: dict[Path, Path] = {}
    try:
        for path, content in files.items():
            place = path.resolve()
            part = place.with_name(f".{place.name}.part")
            parts[part] = place
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(part, content, like=place)
        for part, place in parts.items():
            part.replace(place)
    except OSError as error:
        named = error.filename or next(iter(files))
        raise InputError(f"cannot write {named}: {error.strerror or error}") from error
    finally:
        for part in parts:
            # Nothing was written where there is no folder, or one of that name is in the way.
            if part.is_file():
                part.unlink()


def _write(part: Path, content: bytes, *, like: Path) -> None:
    """Write a part that at no time more people can read than the file that it replaces."""
    if not like.is_file():
        part.write_bytes(content)
        return
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    part.chmod(stat.S_IMODE(like.stat().st_mode))
