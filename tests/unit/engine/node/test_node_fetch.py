"""Fetching: verified, resumed, retried, in parallel."""

import hashlib
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import pytest

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.core.progress import Advance
from opensearch_funnel.engine.node.fetch import fetch_artifacts, is_intact, missing_artifacts
from opensearch_funnel.engine.node.lock import Coordinate, LockedArtifact, NodeLock


def artifact(name: str, content: bytes, gap: tuple[int, int] | None = None) -> LockedArtifact:
    kept = content if gap is None else content[: gap[0]] + content[gap[1] :]
    return LockedArtifact(
        coordinate=Coordinate("org.example", name, "1"),
        target=PurePosixPath("lib"),
        sha256=hashlib.sha256(kept).hexdigest(),
        size=len(kept),
        gap=gap,
    )


FILES = {"one": b"first file", "two": b"the second file", "three": b"3"}
LOCK = NodeLock("1", tuple(artifact(name, content) for name, content in FILES.items()))


class Source:
    """A repository in memory that counts what is asked for and fails as told."""

    def __init__(self, files: Mapping[str, bytes], *, failures: int = 0) -> None:
        self.files = files
        self.asked: Counter[str] = Counter()
        self.failures = failures

    def __call__(self, wanted: LockedArtifact, path: Path, advance: Advance) -> None:
        name = wanted.coordinate.artifact
        self.asked[name] += 1
        content = self.files[name]
        path.write_bytes(content)
        advance(len(content) // 2)
        if self.asked[name] <= self.failures:
            msg = "connection\nreset"
            raise ConnectionError(msg)
        advance(len(content) - len(content) // 2)


class Bars:
    """Remembers what was reported."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.done = 0
        self.lines: list[str] = []

    @contextmanager
    def task(self, label: str, *, total: int | None = None, unit: str = "") -> Iterator[Advance]:
        assert label
        assert unit == "bytes"
        self.total = total

        def advance(units: int) -> None:
            self.done += units

        yield advance

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_every_file_comes_and_every_byte_is_reported(tmp_path: Path) -> None:
    bars = Bars()
    paths = fetch_artifacts(LOCK, tmp_path, download=Source(FILES), progress=bars)
    assert sorted(path.read_bytes() for path in paths.values()) == sorted(FILES.values())
    assert bars.done == bars.total == sum(map(len, FILES.values()))


def test_what_is_there_already_is_not_fetched_again(tmp_path: Path) -> None:
    first = Source(FILES)
    fetch_artifacts(LOCK, tmp_path, download=first)
    (tmp_path / LOCK.artifacts[0].sha256).unlink()
    (tmp_path / LOCK.artifacts[1].sha256).write_bytes(FILES["two"][:-1])
    again = Source(FILES)
    fetch_artifacts(LOCK, tmp_path, download=again)
    assert again.asked == Counter({"one": 1, "two": 1})
    assert missing_artifacts(LOCK, tmp_path) == []


def test_two_folders_that_need_the_same_file_fetch_it_once(tmp_path: Path) -> None:
    source = Source(FILES)
    fetch_artifacts(NodeLock("1", LOCK.artifacts * 2), tmp_path, download=source)
    assert set(source.asked.values()) == {1}


def test_a_file_with_another_hash_is_deleted_and_named(tmp_path: Path) -> None:
    wrong = FILES | {"two": b"THE second file"}
    with pytest.raises(NodeError, match=r"org\.example:two:1 is not the file") as caught:
        fetch_artifacts(LOCK, tmp_path, download=Source(wrong))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / LOCK.artifacts[1].sha256).exists()


def test_a_failed_attempt_is_repeated_without_counting_bytes_twice(tmp_path: Path) -> None:
    bars = Bars()
    source = Source(FILES, failures=1)
    fetch_artifacts(LOCK, tmp_path, download=source, pause=0, progress=bars)
    assert set(source.asked.values()) == {2}
    assert bars.done == bars.total


def test_a_file_that_does_not_come_fails_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    lock = NodeLock("1", LOCK.artifacts[:1])
    source = Source(FILES, failures=99)
    with pytest.raises(
        NodeError, match=r"one:1 could not be fetched \(connection reset\)"
    ) as caught:
        fetch_artifacts(lock, tmp_path, download=source, pause=0)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_one_failure_stops_the_other_downloads(tmp_path: Path) -> None:
    began = threading.Event()
    ended = threading.Event()

    def download(wanted: LockedArtifact, path: Path, advance: Advance) -> None:
        if wanted.coordinate.artifact == "one":
            assert began.wait(10)
            path.write_bytes(b"not it")
            return
        if wanted.coordinate.artifact == "two":
            began.set()
            try:
                while True:  # a download that would go on for hours
                    advance(0)
            finally:
                ended.set()
        path.write_bytes(FILES[wanted.coordinate.artifact])

    with pytest.raises(NodeError, match="one:1 is not the file"):
        fetch_artifacts(LOCK, tmp_path, download=download)
    assert ended.is_set()


def test_a_gap_may_hold_anything_but_the_rest_may_not(tmp_path: Path) -> None:
    content = b"head" + b"unused library" + b"tail"
    wanted = artifact("zip", content, gap=(4, 18))
    path = tmp_path / "file"
    path.write_bytes(b"head" + bytes(14) + b"tail")
    assert is_intact(path, wanted)
    path.write_bytes(b"head" + bytes(14) + b"tai!")
    assert not is_intact(path, wanted)
    path.write_bytes(b"headtail")
    assert not is_intact(path, wanted)
