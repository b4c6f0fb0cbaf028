"""``funnel load`` and ``funnel evaluate`` where something is wrong before a cluster is needed."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from opensearch_funnel.cli.main import main
from opensearch_funnel.documents.readers import FORMATS

BROKEN = '{"_id": "1", "text": "a"}\n{"_id": "2", "text": "b"}\n{"_id": "3", "text": \n'


class _Requests(BaseHTTPRequestHandler):
    """Refuses every credential, and keeps a list of what was asked."""

    seen: list[str]

    def _refuse(self) -> None:
        self.seen.append(f"{self.command} {self.path}")
        self.send_response(401)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = _refuse  # noqa: N815

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def refusing() -> Iterator[tuple[str, list[str]]]:
    """Address of a cluster that wants other credentials, and the requests it got."""
    seen: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Requests,), {"seen": seen}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", seen
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def nobody() -> str:
    """An address where nothing answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def _file(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content)
    return str(folder / name)


def _dataset(folder: Path) -> str:
    (folder / "qrels").mkdir()
    _file(folder, "corpus.jsonl", '{"_id": "1", "title": "a", "text": "b"}')
    _file(folder, "queries.jsonl", '{"_id": "q", "text": "a"}')
    _file(folder, "qrels/test.tsv", "query-id\tcorpus-id\tscore\nq\t1\t1\n")
    return str(folder)


def _error(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line that says what failed; nothing may be on standard output."""
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("error: ")]
    assert lines == captured.err.splitlines()[-1:]
    assert "Traceback" not in captured.err
    return lines[0]


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (("empty.ndjson", ""), "empty.ndjson has no documents"),
        (("a.ndjson", BROKEN), "a.ndjson:3: not valid JSON"),
        (("a.csv", "id,text\n1,a\n2\n"), "a.csv:3: 1 columns where the header has 2"),
        (("a.ndjson", '{"_id": "1"}\n{"_id": "1"}'), "a.ndjson:2: id '1' was given to"),
        (("a.bin", "x"), "the name does not tell the format"),
    ],
)
def test_a_broken_file_ends_a_load_before_the_cluster_hears_of_it(
    tmp_path: Path,
    refusing: tuple[str, list[str]],
    capsys: pytest.CaptureFixture[str],
    file: tuple[str, str],
    message: str,
) -> None:
    url, seen = refusing
    assert main(["load", _file(tmp_path, *file), "--index", "i", "--url", url]) == 1
    assert message in _error(capsys)
    assert seen == []


def test_a_missing_file_ends_a_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", str(tmp_path / "none.csv"), "--index", "i"]) == 1
    assert "none.csv does not exist" in _error(capsys)


def test_a_funnel_load_without_text_or_with_a_field_of_that_name_is_refused(
    tmp_path: Path, nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--index", "i", "--funnel", "--url", nobody]
    path = _file(tmp_path, "a.ndjson", '{"_id": "1", "name": "a"}')
    assert main(["load", path, *options]) == 1
    assert "no document has text in title or text" in _error(capsys)
    path = _file(tmp_path, "b.ndjson", '{"_id": "1", "text": "a", "funnel": 1}')
    assert main(["load", path, *options]) == 1
    assert "document '1' has a field 'funnel'" in _error(capsys)


def test_a_dry_run_reads_and_asks_nobody(
    tmp_path: Path, nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _file(tmp_path, "a.csv", "id,text\n1,a\n2,b\n")
    command = ["load", path, "--index", "i", "--dry-run", "--output", "json", "--url", nobody]
    assert main(command) == 0
    assert json.loads(capsys.readouterr().out) == {"index": "i", "documents": 2, "written": False}


def test_a_cluster_that_is_down_is_one_line(
    tmp_path: Path, nobody: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _file(tmp_path, "a.csv", "id,text\n1,a\n")
    assert main(["load", path, "--index", "i", "--url", nobody]) == 1
    assert f"no OpenSearch answers at {nobody}" in _error(capsys)
    assert main(["evaluate", _dataset(tmp_path), "--url", nobody]) == 1
    assert f"no OpenSearch answers at {nobody}" in _error(capsys)


def test_a_wrong_password_is_one_line_and_is_not_repeated(
    tmp_path: Path,
    refusing: tuple[str, list[str]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, _ = refusing
    monkeypatch.setenv("FUNNEL_USERNAME", "admin")
    monkeypatch.setenv("FUNNEL_PASSWORD", "canary-7")
    path = _file(tmp_path, "a.csv", "id,text\n1,a\n")
    for command in (["load", path, "--index", "i"], ["evaluate", _dataset(tmp_path)]):
        assert main([*command, "--url", url]) == 1
        line = _error(capsys)
        assert "refused the credentials (401)" in line
        assert "canary-7" not in line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--systems", "bm26"], "no bm26"),
        (["--systems", ","], "there are: bm25"),
        (["--measures", "nDCG"], "no measure 'nDCG'"),
        (["--output", "xml"], "'xml' is not one of"),
    ],
)
def test_options_that_are_not_understood_are_usage_errors(
    tmp_path: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", _dataset(tmp_path), *options]) == 2
    assert message in capsys.readouterr().err


def test_the_command_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["load", "a.x", "--index", "i", "--format", "xml"]) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert ", ".join(f"'{name}'" for name in FORMATS) in message


def test_a_load_without_an_index_is_a_usage_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["load", _file(tmp_path, "a.csv", "id\n1\n")]) == 2
    assert "--index" in capsys.readouterr().err


def test_a_missing_split_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", _dataset(tmp_path), "--split", "dev"]) == 1
    assert "dev.tsv is missing; there are: test" in _error(capsys)
