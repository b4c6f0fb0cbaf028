"""Install the node: fetch and assemble once, whoever asks first."""

from __future__ import annotations

import shutil
from pathlib import Path

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.node.assemble import assemble_node
from opensearch_funnel.engine.node.fetch import (
    Download,
    fetch_artifacts,
    missing_artifacts,
)
from opensearch_funnel.engine.node.lock import NodeLock, node_lock
from opensearch_funnel.engine.node.locking import exclusively
from opensearch_funnel.engine.node.maven import maven_download
from opensearch_funnel.settings import load_settings

_MEGABYTE = 1_000_000
# A zip and what it unpacks to are there together for a moment, and a new node writes some.
_ROOM_FOR_DATA = 200 * _MEGABYTE


def node_home(home: Path | None) -> Path:
    """Return the folder below ``FUNNEL_HOME`` that holds everything of the node."""
    return (home or load_settings().home).expanduser().resolve() / "node"


def installed_folder(*, home: Path | None = None, lock: NodeLock | None = None) -> Path:
    """Return where the node is, or would be, installed."""
    return node_home(home) / (lock or node_lock()).folder_name


def ensure_node_installed(
    *,
    home: Path | None = None,
    progress: Progress = SILENT,
    download: Download | None = None,
    lock: NodeLock | None = None,
) -> Path:
    """Fetch and assemble the node unless it is there.

    Safe to call from several programs at once: one works, the others wait for it.

    Args:
        home: ``FUNNEL_HOME``; from the settings by default.
        progress: told the sizes, the bytes that come and the files that are placed.
        download: how one file is got; from Maven by default.
        lock: what to install; what this package ships by default.

    Returns:
        The folder of the node.

    Raises:
        NodeError: no network, a wrong file, or too little room on the disk.
        MissingExtraError: jgo is needed and not installed.
    """
    lock = lock or node_lock()
    folder = installed_folder(home=home, lock=lock)
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with exclusively(folder.parent / "install.lock"):
            if folder.is_dir():
                return folder
            downloads = folder.parent / "downloads"
            _announce(lock, downloads, progress)
            paths = fetch_artifacts(
                lock, downloads, download=download or maven_download(), progress=progress
            )
            assemble_node(lock, paths, folder, progress=progress)
            shutil.rmtree(downloads, ignore_errors=True)
    except OSError as error:
        msg = f"the node cannot be installed in {folder.parent}: {error.strerror or error}"
        raise NodeError(msg) from error
    return folder


def _announce(lock: NodeLock, downloads: Path, progress: Progress) -> None:
    downloads.mkdir(parents=True, exist_ok=True)
    every = {artifact.sha256: artifact.size for artifact in lock.artifacts}
    missing = missing_artifacts(lock, downloads)
    to_fetch = sum(artifact.size for artifact in missing)
    zips = sum(a.size for a in lock.artifacts if a.coordinate.packaging == "zip")
    needed = to_fetch + zips + _ROOM_FOR_DATA
    free = shutil.disk_usage(downloads).free
    if free < needed:
        msg = (
            f"{downloads} has {free / _MEGABYTE:,.0f} MB free and OpenSearch {lock.version} needs "
            f"{needed / _MEGABYTE:,.0f} MB; free some, or set FUNNEL_HOME to a larger disk"
        )
        raise NodeError(msg)
    here = len(every) - len(missing)
    kept = f", {here} more are here already" if here else ""
    progress.say(
        f"OpenSearch {lock.version}: {len(missing)} files, {to_fetch / _MEGABYTE:,.0f} MB "
        f"to fetch{kept}"
    )
