"""What is written down about a started node, and how its process is known again."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """The state file of one node: ``FUNNEL_HOME/node/run/<port>.json``."""

    port: int
    pid: int
    birth: str
    """When the process began, in the system's own words: a reused pid has another."""
    version: str
    data: str
    started_at: str
    """ISO 8601, UTC."""
    log_offset: int = 0
    """Size of the node's log before this start."""

    @property
    def url(self) -> str:
        """Address of the node."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def is_alive(self) -> bool:
        """Whether this very process still runs."""
        return process_birth(self.pid) == self.birth


def read_record(path: Path) -> NodeRecord | None:
    """Read a state file; ``None`` if there is none, or none that can be understood.

    Args:
        path: of the file.
    """
    try:
        return NodeRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def write_record(path: Path, record: NodeRecord) -> None:
    """Write a state file so that a reader sees the old one or the new one, whole.

    Args:
        path: of the file.
        record: what to write.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8")
    fresh.replace(path)


def process_birth(pid: int) -> str | None:
    """Say when a process began; ``None`` if there is none, or only its unreaped remains.

    Two processes that had the same pid one after the other differ in this.

    Args:
        pid: of the process.

    Example:
        >>> import os
        >>> process_birth(os.getpid()) == process_birth(os.getpid()) is not None
        True
    """
    status = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return _birth_by_ps(pid)
    try:
        # The name, field 2, is in brackets and may hold blanks: count from behind it.
        fields = status.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    state, start_ticks = fields[0], fields[19]
    # Ticks count from the boot, and a state file outlives it.
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return None if state in "ZX" else f"{boot} {start_ticks}"


def every_record(folder: Path) -> list[NodeRecord]:
    """Read all state files of a folder.

    Args:
        folder: ``FUNNEL_HOME/node/run``.
    """
    found = (read_record(path) for path in sorted(folder.glob("*.json")))
    return [record for record in found if record is not None]


def _birth_by_ps(pid: int) -> str | None:
    answer = subprocess.run(  # noqa: S603 - a number
        ["ps", "-o", "stat=,lstart=", "-p", str(pid)],  # noqa: S607 - macOS has it in /bin
        capture_output=True,
        text=True,
        check=False,
        env={"LC_ALL": "C", "PATH": "/bin:/usr/bin"},
    )
    state, _, start = answer.stdout.strip().partition(" ")
    return None if not start or state.startswith("Z") else start.strip()
