"""Run the commands of a page as its reader would: in one shell, in an empty folder.

Whatever the page leaves running ends with it.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TIMEOUT_S = 300.0
_STOP_S = 20.0
_LAST_LINES = 40
_LOWEST_PORT, _HIGHEST_PORT = 20_000, 32_000

# The first line of a page is its title, so that what is written there moves no command. Every
# command notes its line before it runs: the last one is the one that failed, or that never ended.
# Jobs that a page leaves in the background are ended by their shell, which can wait for them.
_FIRST_LINE = (
    "trap 'status=$?; jobs -p | xargs -r kill || true; wait; exit $status' EXIT; "
    'source "$DOCS_BEFORE"; '
    'trap \'if ((LINENO > 1)); then echo "$LINENO" >"$DOCS_LINE"; fi\' DEBUG'
)

# ``funnel serve`` listens on 8750, where on this machine somebody else's may listen already.
_FUNNEL = """#!/bin/bash
if [ "${{1-}}" = serve ]; then
    shift
    exec {funnel} serve --port {port} "$@"
fi
exec {funnel} "$@"
"""


class CommandFailedError(AssertionError):
    """A command of a page failed."""


def free_port() -> int:
    """Return a port that nobody listens on and that no connection is given by chance.

    It stays free until a page's service takes it: the kernel gives ports from above this range.
    """
    for port in range(_LOWEST_PORT + os.getpid() % 10_000, _HIGHEST_PORT):
        with socket.socket() as sock, suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port")


@dataclass(frozen=True, slots=True)
class Shell:
    """Where a page's commands run.

    Attributes:
        folder: the one that they start in.
        env: what they find there.
    """

    folder: Path
    env: Mapping[str, str]

    def run(self, script: str, *, name: str, before: str = "", timeout_s: float = TIMEOUT_S) -> str:
        """Run commands; return what they printed.

        Args:
            script: the commands, each on the line that it has on the page; the first is free.
            name: of the page.
            before: commands that make what a reader of the page has already.
            timeout_s: when the page counts as hanging.

        Raises:
            CommandFailedError: a command failed, or never ended; names the page and the line.
        """
        scratch = self.folder / ".docs"
        scratch.mkdir(exist_ok=True)
        at, output, file = scratch / "line", scratch / "output", scratch / "page.sh"
        first, _, rest = script.partition("\n")
        assert not first.strip(), "the first line of a page is its title"
        file.write_text(f"{_FIRST_LINE}\n{rest}", encoding="utf-8")
        (scratch / "before.sh").write_text(before, encoding="utf-8")
        at.write_text("0")
        names = {"DOCS_BEFORE": str(scratch / "before.sh"), "DOCS_LINE": str(at)}
        with output.open("wb") as written:
            shell = subprocess.Popen(
                ["/bin/bash", "-euo", "pipefail", str(file)],
                cwd=self.folder,
                env={**self.env, **names},
                stdin=subprocess.DEVNULL,
                stdout=written,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = str(shell.wait(timeout_s))
            except subprocess.TimeoutExpired:
                status = f"none after {timeout_s:.0f} s"
            finally:
                _end(shell)
        printed = output.read_text(encoding="utf-8", errors="replace")
        if status != "0":
            line = int(at.read_text())
            where = f"{name}:{line}" if line else f"before {name}"
            last = "\n".join(printed.splitlines()[-_LAST_LINES:])
            raise CommandFailedError(f"{where}: exit status {status}\n{last}")
        return printed


def shell_of(folder: Path, *, url: str, port: int) -> Shell:
    """Return a reader's shell: it knows the addresses, and has ``funnel`` on the path."""
    programs = folder / ".bin"
    programs.mkdir()
    installed = Path(sys.executable).parent
    shim = programs / "funnel"
    shim.write_text(_FUNNEL.format(funnel=installed / "funnel", port=port), encoding="utf-8")
    shim.chmod(0o755)
    env = {
        **os.environ,
        "PATH": f"{programs}:{installed}:{os.environ['PATH']}",
        "FUNNEL_URL": url,
        "FUNNEL_SERVICE_URL": f"http://127.0.0.1:{port}",
        "COLUMNS": "100",
    }
    return Shell(folder, env)


def _end(shell: subprocess.Popen[bytes]) -> None:
    """End what a page started and left running, in order where it can be."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, number)
        end = time.monotonic() + _STOP_S
        while time.monotonic() < end:
            shell.poll()
            if not _alive(shell.pid):
                shell.wait()
                return
            time.sleep(0.05)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
