"""Getting a file through jgo from a repository on loopback."""

import hashlib
import io
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import pytest

from opensearch_funnel.engine.node.fetch import is_intact
from opensearch_funnel.engine.node.lock import Coordinate, LockedArtifact
from opensearch_funnel.engine.node.maven import maven_download, write_span

CONTENT = b"head" + b"-" * 50_000 + b"tail"
GAP = (4, 50_004)
NAME = Coordinate("org.example", "plugin", "1.0", "zip")
WHERE = "/org/example/plugin/1.0/plugin-1.0.zip"


class Repository(ThreadingHTTPServer):
    """A Maven repository with one file."""

    daemon_threads = True
    knows_ranges = True
    sent = 0


class Answer(BaseHTTPRequestHandler):
    server: Repository

    def do_GET(self) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        body, status = CONTENT, 200
        if self.path != WHERE:
            body, status = b"", 404
        elif asked and self.server.knows_ranges:
            body, status = CONTENT[int(asked[1]) : int(asked[2]) + 1], 206
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.server.sent += len(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        del format, args


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    """A repository that the user's jgo settings name, and an empty local one."""
    server = Repository(("127.0.0.1", 0), Answer)
    settings = tmp_path / "home" / ".config" / "jgo.conf"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[repositories]\nmirror = http://127.0.0.1:{server.server_port}\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    yield server
    server.shutdown()
    serving.join()
    server.server_close()


def wanted(name: Coordinate = NAME, *, gap: tuple[int, int] | None = None) -> LockedArtifact:
    kept = CONTENT if gap is None else CONTENT[: gap[0]] + CONTENT[gap[1] :]
    digest = hashlib.sha256(kept).hexdigest()
    return LockedArtifact(name, PurePosixPath("plugins/x"), digest, len(kept), gap)


def test_a_file_comes_from_the_users_mirror(repository: Repository, tmp_path: Path) -> None:
    counted: list[int] = []
    maven_download()(wanted(), tmp_path / "file", counted.append)
    assert is_intact(tmp_path / "file", wanted())
    assert sum(counted) == repository.sent == len(CONTENT)


def test_a_gap_is_not_sent_over_the_wire(repository: Repository, tmp_path: Path) -> None:
    counted: list[int] = []
    maven_download()(wanted(gap=GAP), tmp_path / "file", counted.append)
    assert is_intact(tmp_path / "file", wanted(gap=GAP))
    assert (tmp_path / "file").read_bytes() == b"head" + bytes(50_000) + b"tail"
    assert sum(counted) == repository.sent == 8


def test_a_mirror_without_ranges_will_do(repository: Repository, tmp_path: Path) -> None:
    repository.knows_ranges = False
    counted: list[int] = []
    maven_download()(wanted(gap=GAP), tmp_path / "file", counted.append)
    assert is_intact(tmp_path / "file", wanted(gap=GAP))
    assert sum(counted) == 8


def test_the_local_repository_is_used_first(repository: Repository, tmp_path: Path) -> None:
    local = tmp_path / "m2" / WHERE.lstrip("/")
    local.parent.mkdir(parents=True)
    local.write_bytes(CONTENT)
    maven_download()(wanted(), tmp_path / "file", lambda _: None)
    assert (tmp_path / "file").read_bytes() == CONTENT
    assert repository.sent == 0


def test_a_broken_local_file_is_passed_over(repository: Repository, tmp_path: Path) -> None:
    local = tmp_path / "m2" / WHERE.lstrip("/")
    local.parent.mkdir(parents=True)
    local.write_bytes(CONTENT[:-1])
    maven_download()(wanted(), tmp_path / "file", lambda _: None)
    assert is_intact(tmp_path / "file", wanted())
    assert repository.sent == len(CONTENT)


@pytest.mark.usefixtures("repository")
def test_a_missing_file_names_the_repository(tmp_path: Path) -> None:
    other = wanted(Coordinate("org.example", "other", "1.0"))
    with pytest.raises(FileNotFoundError, match=r"^HTTP 404 from 127\.0\.0\.1$"):
        maven_download()(other, tmp_path / "file", lambda _: None)


def test_a_span_is_cut_out_of_a_whole_file_at_any_block_size() -> None:
    for size in (1, 2, 3, 5, 11):
        stream = io.BytesIO()
        blocks = [b"abcdefghijk"[at : at + size] for at in range(0, 11, size)]
        write_span(stream, blocks, begins=0, span=(3, 7), advance=lambda _: None)
        assert stream.getvalue() == b"\0\0\0defg"
