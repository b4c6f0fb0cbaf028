"""A loopback server that serves one repository as the Hub does, and misbehaves when told to."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "c0ffee" + "0" * 34
REPOSITORY = "me/tiny"
_FILE = re.compile(rf"/{REPOSITORY}/resolve/([^/]+)/(.+)")
_SLOW_PIECE, _SLOW_S = 4096, 0.02


class HubServer(ThreadingHTTPServer):
    """Serves a folder as the repository ``me/tiny``.

    ``fault`` is what is wrong with ``model.safetensors``: ``slow``, ``truncated``, ``changed`` (its
    content is not the one whose hash the repository names), ``gone``; or ``gated`` for all of it.
    """

    daemon_threads = True

    def __init__(self, folder: Path, *, fault: str = "") -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.folder, self.fault = folder, fault
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def promised(self) -> list[dict[str, Any]]:
        """What the repository says that it holds."""
        paths = sorted(p for p in self.folder.rglob("*") if p.is_file())
        return [self._promise(path) for path in paths]

    def _promise(self, path: Path) -> dict[str, Any]:
        name = path.relative_to(self.folder).as_posix()
        found: dict[str, Any] = {"rfilename": name, "size": path.stat().st_size}
        if name.endswith(".safetensors"):
            digest = sha256(path.read_bytes()).hexdigest()
            found["lfs"] = {"sha256": digest, "size": found["size"], "pointerSize": 130}
        return found


class Answers(BaseHTTPRequestHandler):
    server: HubServer

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        hub, path = self.server, self.path.split("?")[0]
        hub.asked.append(path)
        if hub.fault == "gated":
            self.refuse(401, "GatedRepo")
        elif path.startswith(f"/api/models/{REPOSITORY}"):
            about = {"id": REPOSITORY, "sha": COMMIT, "siblings": hub.promised()}
            self.send(json.dumps(about).encode())
        elif (asked := _FILE.fullmatch(path)) is None:
            self.refuse(404, "RepoNotFound")
        elif not (file := hub.folder / asked[2]).is_file():
            self.refuse(404, "EntryNotFound")
        else:
            self.send_file(file, with_body=with_body)

    def send_file(self, file: Path, *, with_body: bool) -> None:
        fault = self.server.fault if file.name == "model.safetensors" else ""
        content = file.read_bytes()
        if fault == "gone":
            self.refuse(404, "EntryNotFound")
            return
        if fault == "changed":
            content = bytes(reversed(content))
        self.send(content, fault=fault if with_body else "", with_body=with_body)

    def send(self, content: bytes, *, fault: str = "", with_body: bool = True) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not with_body:
            return
        if fault == "truncated":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
        elif fault == "slow":
            for first in range(0, len(content), _SLOW_PIECE):
                self.wfile.write(content[first : first + _SLOW_PIECE])
                self.wfile.flush()
                time.sleep(_SLOW_S)
        else:
            self.wfile.write(content)

    def refuse(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        del format, args


@contextmanager
def hub_server(folder: Path, *, fault: str = "") -> Iterator[HubServer]:
    server = HubServer(folder, fault=fault)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run_with_hub(
    command: Sequence[str], *, endpoint: str, home: Path, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run Python with the Hub at an address, in a process of its own.

    ``huggingface_hub`` reads its environment once, when it is imported.
    """
    return subprocess.run(
        [sys.executable, *command],
        env={
            **os.environ,
            "HF_ENDPOINT": endpoint,
            "HF_HOME": str(home / "hub"),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "FUNNEL_HOME": str(home),
            **more,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
