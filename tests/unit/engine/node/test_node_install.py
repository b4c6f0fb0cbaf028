"""Installing: once, announced, with room."""

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.core.progress import Advance, SilentProgress
from opensearch_funnel.engine.node.install import ensure_node_installed, installed_folder
from opensearch_funnel.engine.node.lock import Coordinate, LockedArtifact, NodeLock
from opensearch_funnel.engine.node.locking import exclusively

CONTENT = b"a library"
ARTIFACT = LockedArtifact(
    Coordinate("org.example", "server", "1"),
    PurePosixPath("lib"),
    hashlib.sha256(CONTENT).hexdigest(),
    len(CONTENT),
)
LOCK = NodeLock("1", (ARTIFACT,))


class Heard(SilentProgress):
    """A progress that keeps what it was told in words."""

    lines: list[str] = []  # noqa: RUF012 - each test clears it

    def say(self, line: str) -> None:
        self.lines.append(line)


def counting(calls: list[str]) -> Callable[[LockedArtifact, Path, Advance], None]:
    def download(artifact: LockedArtifact, path: Path, advance: Advance) -> None:
        calls.append(artifact.coordinate.artifact)
        path.write_bytes(CONTENT)
        advance(len(CONTENT))

    return download


def test_the_node_is_installed_once(tmp_path: Path) -> None:
    calls: list[str] = []
    folder = ensure_node_installed(home=tmp_path, lock=LOCK, download=counting(calls))
    assert folder == installed_folder(home=tmp_path, lock=LOCK)
    assert (folder / "lib" / "server-1.jar").read_bytes() == CONTENT
    assert ensure_node_installed(home=tmp_path, lock=LOCK, download=counting(calls)) == folder
    assert calls == ["server"]
    assert [path.name for path in (tmp_path / "node").iterdir()] == [folder.name]


def test_the_size_is_said_before_anything_comes(tmp_path: Path) -> None:
    heard = Heard()
    heard.lines.clear()

    def download(artifact: LockedArtifact, path: Path, advance: Advance) -> None:
        assert heard.lines == ["OpenSearch 1: 1 files, 0 MB to fetch"]
        counting([])(artifact, path, advance)

    ensure_node_installed(home=tmp_path, lock=LOCK, download=download, progress=heard)


def test_too_little_room_is_said_before_anything_comes(tmp_path: Path) -> None:
    huge = NodeLock("1", (LockedArtifact(ARTIFACT.coordinate, ARTIFACT.target, "ef" * 32, 10**18),))
    calls: list[str] = []
    with pytest.raises(NodeError, match="MB free and OpenSearch 1 needs 1,000,000,000,"):
        ensure_node_installed(home=tmp_path, lock=huge, download=counting(calls))
    assert calls == []


def test_an_interrupted_install_goes_on_where_it_stopped(tmp_path: Path) -> None:
    second = LockedArtifact(
        Coordinate("org.example", "other", "1"), PurePosixPath("lib"), "cd" * 32, 5
    )
    both = NodeLock("1", (ARTIFACT, second))
    with pytest.raises(NodeError, match="other:1 is not the file"):
        ensure_node_installed(home=tmp_path, lock=both, download=counting([]))
    calls: list[str] = []
    with pytest.raises(NodeError, match="other:1"):
        ensure_node_installed(home=tmp_path, lock=both, download=counting(calls))
    assert calls == ["other"]
    assert not installed_folder(home=tmp_path, lock=both).exists()


def test_several_at_once_install_once(tmp_path: Path) -> None:
    calls: list[str] = []
    threads = [
        threading.Thread(
            target=ensure_node_installed,
            kwargs={"home": tmp_path, "lock": LOCK, "download": counting(calls)},
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == ["server"]


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "node").write_text("a file where the folder should be")
    with pytest.raises(NodeError, match="cannot be installed in") as caught:
        ensure_node_installed(home=tmp_path, lock=LOCK, download=counting([]))
    assert "\n" not in str(caught.value)


def test_a_lock_file_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="cannot be written"), exclusively(tmp_path / "no" / "x"):
        pass


def test_a_lock_lets_one_in_at_a_time_and_leaves_no_file(tmp_path: Path) -> None:
    inside = 0
    most = 0

    def enter() -> None:
        nonlocal inside, most
        for _ in range(25):
            with exclusively(tmp_path / "x.lock"):
                inside += 1
                most = max(most, inside)
                inside -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert list(tmp_path.iterdir()) == []
