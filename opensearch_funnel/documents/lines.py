"""Numbered lines of text out of a file, plain or gzipped, with every fault named by its line."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from opensearch_funnel.core.errors import InputError

MAX_LINE_BYTES = 100_000_000
"""What OpenSearch takes in one request; also stops an archive that unpacks without end."""

_UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def numbered_lines(path: Path, *, longest: int = MAX_LINE_BYTES) -> Iterator[tuple[int, str]]:
    """Read the lines of a UTF-8 file without their ends; ``.gz`` files are unpacked on the way.

    A byte order mark at the start is passed over.

    Args:
        path: the file.
        longest: how many bytes a line may have.

    Yields:
        The line's number, from 1, and its text; empty lines too.

    Raises:
        InputError: the file cannot be read, is not UTF-8, is a damaged archive, or has a line
            longer than allowed.
    """
    number = 0
    with _opened(path) as stream:
        while True:
            number += 1
            raw = _next_line(stream, path=path, number=number, longest=longest)
            if not raw:
                return
            if number == 1:
                if raw.startswith(_UTF16_MARKS):
                    raise InputError(f"{path} is UTF-16: save it as UTF-8")
                raw = raw.removeprefix(_UTF8_MARK)
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError as error:
                raise InputError(
                    f"{path}:{number}: not valid UTF-8 (byte 0x{raw[error.start]:02x} at column "
                    f"{error.start + 1}): save the file as UTF-8"
                ) from error
            yield number, text.removesuffix("\n").removesuffix("\r")


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    if path.is_dir():
        raise InputError(f"{path} is a folder: name the file in it")
    if not path.exists():
        raise InputError(f"{path} does not exist: check the name")
    # A load reads every file twice (check, then write): a pipe can only be read once.
    if not path.is_file():
        raise InputError(f"{path} is not a regular file: save what it gives into one")
    try:
        raw = path.open("rb")
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    with raw:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=raw) as unpacked:
                yield unpacked
        else:
            yield raw


def _next_line(
    stream: IO[bytes] | gzip.GzipFile, *, path: Path, number: int, longest: int
) -> bytes:
    try:
        raw = stream.readline(longest + 1)
    except (OSError, EOFError, zlib.error) as error:
        cause = " ".join(str(error).split())
        what = "the archive is damaged or cut off" if path.suffix == ".gz" else "cannot be read"
        raise InputError(f"{path}:{number}: {what} ({cause}): get the file again") from error
    if len(raw) > longest:
        raise InputError(
            f"{path}:{number}: the line is longer than {longest // 1_000_000} MB, which "
            "OpenSearch takes in no request: split or remove it"
        )
    return raw
