"""Remove the embedded node: everything it keeps below ``FUNNEL_HOME``, and nothing else."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.node.install import node_home
from opensearch_funnel.engine.node.lifecycle import stop_node
from opensearch_funnel.engine.node.state import every_record

FolderKind = Literal["distribution", "data", "java", "downloads", "unfinished"]

_KINDS: tuple[tuple[str, FolderKind], ...] = (
    ("opensearch-*", "distribution"),
    ("data-*", "data"),
    ("java-*", "java"),
    ("downloads", "downloads"),
    (".opensearch-*", "unfinished"),
    (".java-*", "unfinished"),
)


@dataclass(frozen=True, slots=True)
class NodeFolder:
    """A folder that the node keeps."""

    path: Path
    kind: FolderKind
    size: int
    """Bytes of all files in it."""


@dataclass(frozen=True, slots=True)
class NodeRemoval:
    """What removing the node means."""

    folders: tuple[NodeFolder, ...]
    """To be deleted."""
    running: tuple[int, ...]
    """Ports of the nodes to be stopped first."""
    kept: tuple[Path, ...]
    """Data folders elsewhere, named with ``--data``: they stay."""

    @property
    def size(self) -> int:
        """Bytes that become free."""
        return sum(folder.size for folder in self.folders)


def plan_removal(*, home: Path | None = None) -> NodeRemoval:
    """Say what ``remove_node`` would do, and do nothing.

    Args:
        home: ``FUNNEL_HOME``; from the settings by default.
    """
    base = node_home(home)
    records = every_record(base / "run")
    folders = tuple(
        NodeFolder(path=path, kind=kind, size=_size(path))
        for pattern, kind in _KINDS
        for path in sorted(base.glob(pattern))
        if path.is_dir() and not path.is_symlink()
    )
    return NodeRemoval(
        folders=folders,
        running=tuple(record.port for record in records if record.is_alive),
        kept=tuple(
            Path(record.data) for record in records if not Path(record.data).is_relative_to(base)
        ),
    )


def remove_node(*, home: Path | None = None) -> NodeRemoval:
    """Stop every node of this ``FUNNEL_HOME`` and delete its distribution and data.

    Args:
        home: ``FUNNEL_HOME``; from the settings by default.

    Returns:
        What was stopped and deleted.

    Raises:
        NodeError: a node does not end, or a folder cannot be deleted.
    """
    base = node_home(home)
    removal = plan_removal(home=home)
    for record in every_record(base / "run"):
        stop_node(port=record.port, home=home)
    try:
        for folder in removal.folders:
            shutil.rmtree(folder.path)
        shutil.rmtree(base / "run", ignore_errors=True)
        (base / "install.lock").unlink(missing_ok=True)
    except OSError as error:
        msg = f"{error.filename} cannot be deleted ({error.strerror or error})"
        raise NodeError(msg) from error
    return removal


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if not path.is_dir() else 0
        except FileNotFoundError:
            continue  # a running node rolls its files
    return total
