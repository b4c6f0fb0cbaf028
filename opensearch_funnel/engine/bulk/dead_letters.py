"""The file with the documents that OpenSearch refused: gzipped ndjson."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import orjson

from opensearch_funnel.core.errors import EngineError, InputError
from opensearch_funnel.engine.bulk.lines import Refused


class DeadLetters:
    """Write refused documents as they come; no file is made where there are none.

    A line is ``{"_id", "status", "reason", "body"}``, with ``"routing"`` where the document has
    one. A file that exists is added to. Only its owner may read it: it holds documents.

    Args:
        path: where to write; without one the first refused document is an error.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._raw: IO[bytes] | None = None
        self._file: gzip.GzipFile | None = None
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # GzipFile leaves a file that was handed to it open.
        if self._file is not None:
            self._file.close()
        if self._raw is not None:
            self._raw.close()

    def add(self, letters: Iterable[Refused]) -> None:
        """Write some documents, and see that they are on disk.

        Raises:
            EngineError: there is no path to write to.
            InputError: the file cannot be written.
        """
        for letter in letters:
            if self._path is None:
                raise EngineError(
                    f"document {letter.doc_id!r} was refused: {letter.reason}", status=letter.status
                )
            line = _written(letter)
            try:
                self._write(line, path=self._path)
            except OSError as error:
                raise InputError(
                    f"dead letters cannot be written to {self._path}: {error.strerror}; "
                    "name another file with --dead-letters"
                ) from error
            self.count += 1

    def _write(self, line: bytes, *, path: Path) -> None:
        if self._raw is None or self._file is None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            self._raw = path.open("ab")
            self._file = gzip.GzipFile(fileobj=self._raw, mode="ab")
        self._file.write(line)
        # A killed load leaves a file that can be read up to here.
        self._file.flush()


def _written(letter: Refused) -> bytes:
    line: dict[str, Any] = {"_id": letter.doc_id, "status": letter.status, "reason": letter.reason}
    if letter.routing is not None:
        line["routing"] = letter.routing
    line["body"] = orjson.Fragment(letter.text) if letter.text else letter.body
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
