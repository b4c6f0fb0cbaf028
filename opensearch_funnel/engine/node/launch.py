"""The node's process: begin it, wait for it, end it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.node.account import Account, open_fresh
from opensearch_funnel.engine.node.configuration import NodeFolders
from opensearch_funnel.engine.node.lock import node_lock
from opensearch_funnel.engine.node.probe import failure_in_log, is_ready, read_from
from opensearch_funnel.engine.node.state import NodeRecord, process_birth, write_record

_POLL_S = 0.2
_PATIENCE_S = 30.0

# Children of this very program, kept so that they are reaped when they end. A node usually
# outlives the program that began it, and then init reaps it.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """Everything that is settled before a process begins."""

    command: Sequence[str]
    account: Account
    """The user to become."""
    folders: NodeFolders
    port: int


def launch(
    plan: LaunchPlan, *, record_path: Path, timeout: float, progress: Progress = SILENT
) -> NodeRecord:
    """Begin a node, write its state file and wait until it takes requests.

    If anything goes wrong meanwhile, Ctrl-C included, the process is ended and the file deleted.

    Args:
        plan: what to run as whom.
        record_path: of the state file.
        timeout: seconds until it is given up.
        progress: told the seconds that pass.

    Raises:
        NodeError: it ended by itself, or is not ready in time.
    """
    _reap_ended()
    offset = plan.folders.log.stat().st_size if plan.folders.log.exists() else 0
    process = _begin(plan)
    _children[process.pid] = process
    record = NodeRecord(
        port=plan.port,
        pid=process.pid,
        birth=process_birth(process.pid) or "",
        version=node_lock().version,
        data=str(plan.folders.root),
        started_at=datetime.now(tz=UTC).isoformat(timespec="seconds"),
        log_offset=offset,
    )
    try:
        write_record(record_path, record)
        await_ready(record, timeout=timeout, progress=progress)
    except BaseException:
        stop_process(record)
        record_path.unlink(missing_ok=True)
        raise
    return record


def await_ready(record: NodeRecord, *, timeout: float, progress: Progress = SILENT) -> None:
    """Wait until a node takes requests.

    Args:
        record: of the node.
        timeout: seconds until it is given up.
        progress: told the seconds that pass.

    Raises:
        NodeError: its process ended, or it is not ready in time.
    """
    if record.is_alive and is_ready(record.port):
        return
    start = time.monotonic()
    with progress.task("starting OpenSearch", unit="s") as advance:
        told = 0
        while not is_ready(record.port):
            if not record.is_alive:
                log = NodeFolders(Path(record.data)).log
                msg = f"the node ended while starting: {failure_of(record)} (log: {log})"
                raise NodeError(msg)
            waited = time.monotonic() - start
            if waited > timeout:
                msg = (
                    f"the node on port {record.port} did not answer within {timeout:.0f} s; allow "
                    f"more with --timeout, or look at {NodeFolders(Path(record.data)).log}"
                )
                raise NodeError(msg)
            advance(int(waited) - told)
            told = int(waited)
            time.sleep(_POLL_S)


def failure_of(record: NodeRecord) -> str:
    """Say in one line why a node ended, from what it logged since its start.

    Args:
        record: of the node.
    """
    folders = NodeFolders(Path(record.data))
    # What is fatal is printed as well, without all that the node had survived before.
    return failure_in_log(read_from(folders.console, 0), read_from(folders.log, record.log_offset))


def stop_process(record: NodeRecord) -> None:
    """End a node's process, politely first; returns when it is gone or does not go.

    Nothing is signalled unless the pid still belongs to the process that was begun.

    Args:
        record: of the node.
    """
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if not record.is_alive:
            break
        try:
            os.kill(record.pid, sign)
        except ProcessLookupError:
            break
        deadline = time.monotonic() + _PATIENCE_S
        while record.is_alive and time.monotonic() < deadline:
            time.sleep(_POLL_S)
    _reap_ended()


def _begin(plan: LaunchPlan) -> subprocess.Popen[bytes]:
    # Nothing of the caller's environment: JAVA_TOOL_OPTIONS and the like change a node's mind.
    environment = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "HOME": str(plan.folders.temporary)}
    try:
        with open_fresh(plan.folders.console) as console:
            return subprocess.Popen(  # noqa: S603 - a Java chosen by find_java
                plan.command,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                cwd=plan.folders.root,
                env=environment,
                start_new_session=True,
                user=plan.account.uid,
                group=plan.account.gid,
                extra_groups=[] if plan.account.is_other else None,
            )
    except OSError as error:
        msg = (
            f"{plan.command[0]} cannot be run ({error.strerror or error}); set OPENSEARCH_JAVA_HOME"
        )
        raise NodeError(msg) from error


def _reap_ended() -> None:
    for pid, child in list(_children.items()):
        if child.poll() is not None:
            del _children[pid]
