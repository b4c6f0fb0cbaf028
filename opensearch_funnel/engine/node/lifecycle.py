"""Start, look at and stop the embedded node."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.node.account import (
    hand_over,
    make_folders,
    make_reachable,
    node_account,
    reachable_java,
    write_configuration,
)
from opensearch_funnel.engine.node.configuration import (
    DEFAULT_HEAP,
    NodeFolders,
    checked_heap,
    java_command,
)
from opensearch_funnel.engine.node.install import ensure_node_installed, node_home
from opensearch_funnel.engine.node.java import find_java
from opensearch_funnel.engine.node.launch import (
    LaunchPlan,
    await_ready,
    failure_of,
    launch,
    stop_process,
)
from opensearch_funnel.engine.node.lock import node_lock
from opensearch_funnel.engine.node.locking import exclusively
from opensearch_funnel.engine.node.probe import ask, free_port, is_free
from opensearch_funnel.engine.node.state import NodeRecord, every_record, read_record
from opensearch_funnel.settings import NODE_PORT

START_TIMEOUT_S = 180.0
_LET_GO_S, _POLL_S = 3.0, 0.05

NodeState = Literal["running", "starting", "dead", "stopped"]


@dataclass(frozen=True, slots=True)
class RunningNode:
    """A node that answers."""

    url: str
    port: int
    pid: int
    version: str
    data: Path
    """Folder with its indices, configuration and logs."""
    started_at: str
    """ISO 8601, UTC."""
    was_running: bool
    """Whether it ran before it was asked for."""


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """How a node is; what is not known is ``None``."""

    state: NodeState
    port: int
    url: str
    pid: int | None = None
    version: str | None = None
    health: str | None = None
    """Of the cluster: green, yellow or red."""
    data: Path | None = None
    log: Path | None = None
    started_at: str | None = None
    reason: str | None = None
    """Why a dead node died."""


def start_node(  # noqa: PLR0913 - independent options, all with defaults
    *,
    port: int = NODE_PORT,
    heap: str = DEFAULT_HEAP,
    data: Path | None = None,
    home: Path | None = None,
    timeout: float = START_TIMEOUT_S,
    progress: Progress = SILENT,
) -> RunningNode:
    """Start the embedded node and wait until it takes requests; it outlives this program.

    A node that runs on that port already is left as it is. As root it runs as ``nobody``.

    Args:
        port: of HTTP on loopback; 0 takes a free one.
        heap: size of its Java heap, for example ``1g``.
        data: where it keeps its indices; below ``FUNNEL_HOME`` by default, one folder a port.
        home: ``FUNNEL_HOME``; from the settings by default.
        timeout: seconds until it is given up (and stopped).
        progress: told what is fetched and waited for.

    Returns:
        The node.

    Raises:
        NodeError: it could not be fetched or started, and why, in one line.
        MissingExtraError: the extra ``node`` is not installed and there is no Java.
    """
    heap = checked_heap(heap)
    base = node_home(home)
    chosen = port or free_port()
    folders = NodeFolders((data or base / f"data-{chosen}").expanduser().resolve())
    record_path = _record_path(base, chosen)
    _refuse_clash(base, port=chosen, folders=folders)
    try:
        make_reachable(record_path.parent, node_account())
    except OSError as error:
        msg = f"{base} cannot be made ({error.strerror or error}); set FUNNEL_HOME to another"
        raise NodeError(msg) from error
    with exclusively(record_path.with_suffix(".lock")):
        record = read_record(record_path)
        if record is not None and record.is_alive:
            await_ready(record, timeout=timeout, progress=progress)
            return _running(record, was_running=True)
        _refuse_clash(base, port=chosen, folders=folders)
        try:
            plan = _prepare(folders, port=chosen, heap=heap, home=home, progress=progress)
            record = launch(plan, record_path=record_path, timeout=timeout, progress=progress)
        except OSError as error:
            msg = f"{folders.root} cannot be used ({error.strerror or error}); name another folder"
            raise NodeError(msg) from error
        return _running(record, was_running=False)


def stop_node(*, port: int = NODE_PORT, home: Path | None = None) -> bool:
    """Stop a node; its data stays.

    Args:
        port: of the node.
        home: ``FUNNEL_HOME``; from the settings by default.

    Returns:
        Whether there was one to stop.

    Raises:
        NodeError: it does not end, or belongs to another user.
    """
    path = _record_path(node_home(home), port)
    record = read_record(path)
    if record is None:
        return False
    alive = record.is_alive
    try:
        stop_process(record)
    except PermissionError as error:
        msg = f"the node on port {port} belongs to another user; stop it as that user"
        raise NodeError(msg) from error
    if record.is_alive:
        msg = f"the node on port {port} (process {record.pid}) does not end; look at its log"
        raise NodeError(msg)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        msg = f"{path} cannot be deleted ({error.strerror or error}); do it as its owner"
        raise NodeError(msg) from error
    return alive


def node_status(*, port: int = NODE_PORT, home: Path | None = None) -> NodeStatus:
    """Say how a node is.

    Args:
        port: of the node.
        home: ``FUNNEL_HOME``; from the settings by default.

    Returns:
        ``running`` if it answers, ``starting`` if its process lives and does not answer,
        ``dead`` with a reason if it ended by itself, else ``stopped``.
    """
    record = read_record(_record_path(node_home(home), port))
    if record is None:
        return NodeStatus(state="stopped", port=port, url=f"http://127.0.0.1:{port}")
    folders = NodeFolders(Path(record.data))
    alive = record.is_alive
    health = ask(port, "/_cluster/health") if alive else None
    state: NodeState = "dead" if not alive else "starting" if health is None else "running"
    return NodeStatus(
        state=state,
        port=port,
        url=record.url,
        pid=record.pid,
        version=record.version,
        health=None if health is None else str(health.get("status")),
        data=folders.root,
        log=folders.log,
        started_at=record.started_at,
        reason=None if alive else failure_of(record),
    )


def _prepare(
    folders: NodeFolders, *, port: int, heap: str, home: Path | None, progress: Progress
) -> LaunchPlan:
    distribution = ensure_node_installed(home=home, progress=progress)
    account = node_account()
    java = reachable_java(find_java(), account, home=node_home(home))
    make_folders(folders, account)
    write_configuration(folders, port=port)
    hand_over(folders, account)
    version = node_lock().version
    progress.say(f"starting OpenSearch {version} on Java {java.major} ({java.origin})")
    command = java_command(java, distribution=distribution, folders=folders, heap=heap)
    return LaunchPlan(command=command, account=account, folders=folders, port=port)


def _record_path(base: Path, port: int) -> Path:
    return base / "run" / f"{port}.json"


def _running(record: NodeRecord, *, was_running: bool) -> RunningNode:
    return RunningNode(
        url=record.url,
        port=record.port,
        pid=record.pid,
        version=record.version,
        data=Path(record.data),
        started_at=record.started_at,
        was_running=was_running,
    )


def _refuse_clash(base: Path, *, port: int, folders: NodeFolders) -> None:
    """Fail if the port or the data folder is in use, unless by the very node that is meant."""
    alive = [record for record in every_record(base / "run") if record.is_alive]
    if any(record.port == port for record in alive):
        return
    for record in alive:
        if Path(record.data) == folders.root:
            msg = (
                f"{folders.root} is used by the node on port {record.port}; stop that one, or "
                "name another folder with --data"
            )
            raise NodeError(msg)
    if not _is_free_soon(port):
        msg = f"port {port} is used by another program; stop it, or choose one with --port"
        raise NodeError(msg)


def _is_free_soon(port: int) -> bool:
    """Say whether a port is free, or becomes so: a process that was killed takes a moment to go."""
    end = time.monotonic() + _LET_GO_S
    while not is_free(port):
        if time.monotonic() > end:
            return False
        time.sleep(_POLL_S)
    return True
