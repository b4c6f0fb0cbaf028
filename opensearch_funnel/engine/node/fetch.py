"""Fetch the node's files from Maven, each checked by its SHA-256, in parallel, resumably."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import BinaryIO, Self

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.core.progress import SILENT, Advance, Progress
from opensearch_funnel.engine.node.lock import LockedArtifact, NodeLock

Download = Callable[[LockedArtifact, Path, Advance], None]
"""Write one artifact to a path, saying how many bytes came; raises on any failure."""

_PARALLEL = 6
_ATTEMPTS = 3
_BLOCK = 1 << 20


def fetch_artifacts(
    lock: NodeLock,
    folder: Path,
    *,
    download: Download,
    pause: float = 1.0,
    progress: Progress = SILENT,
) -> dict[str, Path]:
    """Bring every file of a lock into a folder.

    A file that is there with the right SHA-256 is not fetched again, so an interrupted download
    goes on where it stopped.

    Args:
        lock: what to fetch.
        folder: where to; one file an artifact, named by its hash.
        download: how one file is got.
        pause: seconds before a failed file is tried again; twice that before the last time.
        progress: told the bytes that come.

    Returns:
        The path of each file by its SHA-256.

    Raises:
        NodeError: a file cannot be had, or is not the locked one (it is deleted).
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {artifact.sha256: artifact for artifact in lock.artifacts}
    paths = {sha256: folder / sha256 for sha256 in wanted}
    missing = missing_artifacts(lock, folder)
    if not missing:
        return paths
    total = sum(artifact.size for artifact in missing)
    label = f"fetching OpenSearch {lock.version}"
    with (
        progress.task(label, total=total, unit="bytes") as advance,
        _Fetching(advance, pause=pause) as fetching,
    ):
        # The large files first: one of them alone at the end would leave five threads idle.
        for artifact in sorted(missing, key=lambda artifact: -artifact.size):
            fetching.begin(artifact, folder / artifact.sha256, download)
        fetching.finish()
    return paths


def missing_artifacts(lock: NodeLock, folder: Path) -> list[LockedArtifact]:
    """List what still has to be fetched into a folder, each file once.

    A file of the right name and the wrong content (a disk error, a killed copy) counts as missing.
    """
    wanted = {artifact.sha256: artifact for artifact in lock.artifacts}
    return [a for a in wanted.values() if not is_intact(folder / a.sha256, a)]


def is_intact(path: Path, artifact: LockedArtifact) -> bool:
    """Whether a file is there and is the locked one, but for its gap.

    Args:
        path: of the file.
        artifact: what it shall be.
    """
    try:
        if path.stat().st_size != artifact.spans[-1][1]:
            return False
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            for start, end in artifact.spans:
                stream.seek(start)
                for block in _blocks(stream, end - start):
                    digest.update(block)
        return digest.hexdigest() == artifact.sha256
    except FileNotFoundError:
        return False


class _Fetching:
    """Threads that fetch, and stop soon when one fails or the user presses Ctrl-C."""

    def __init__(self, advance: Advance, *, pause: float) -> None:
        self._advance = advance
        self._pause = pause
        self._guard = threading.Lock()
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=_PARALLEL, thread_name_prefix="fetch")
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def begin(self, artifact: LockedArtifact, path: Path, download: Download) -> None:
        self._running.append(self._pool.submit(self._fetch, artifact, path, download))

    def finish(self) -> None:
        done, _ = wait(self._running, return_when=FIRST_EXCEPTION)
        for finished in done:
            finished.result()

    def _fetch(self, artifact: LockedArtifact, path: Path, download: Download) -> None:
        count = _CountedOnce(self._count)
        for attempt in range(1, _ATTEMPTS + 1):
            count.restart()
            try:
                download(artifact, path, count)
            # requests, urllib3 and jgo each raise their own kinds; all mean that it did not come.
            except Exception as error:
                path.unlink(missing_ok=True)
                if attempt < _ATTEMPTS and not self._stop.wait(attempt * self._pause):
                    continue
                msg = (
                    f"{artifact.coordinate} could not be fetched ({_reason(error)}); check the "
                    "network and the proxy, then run the command again: what has come stays"
                )
                raise NodeError(msg) from error
            break
        if not is_intact(path, artifact):
            path.unlink(missing_ok=True)
            msg = (
                f"{artifact.coordinate} is not the file that lock.json names (wrong SHA-256); it "
                "was deleted: run the command again, and check the mirror if it stays so"
            )
            raise NodeError(msg)

    def _count(self, units: int) -> None:
        if self._stop.is_set():
            msg = "given up"
            raise InterruptedError(msg)
        with self._guard:
            self._advance(units)


class _CountedOnce:
    """Counts bytes of several attempts at one file without counting any byte twice."""

    def __init__(self, count: Advance) -> None:
        self._count = count
        self._reported = 0
        self._position = 0

    def restart(self) -> None:
        self._position = 0

    def __call__(self, units: int) -> None:
        self._position += units
        fresh = max(0, self._position - self._reported)
        self._reported += fresh
        self._count(fresh)


def _blocks(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size > 0 and (block := stream.read(min(size, _BLOCK))):
        size -= len(block)
        yield block


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."  # noqa: PLR2004 - fits a terminal
