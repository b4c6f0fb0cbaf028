"""Put fetched files together into a folder that OpenSearch starts from."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.node.account import open_to_everybody
from opensearch_funnel.engine.node.lock import NodeLock
from opensearch_funnel.engine.node.modules import MODULES, module_descriptor


def assemble_node(
    lock: NodeLock,
    paths: Mapping[str, Path],
    folder: Path,
    *,
    progress: Progress = SILENT,
) -> Path:
    """Build the node's folder beside its place and rename it there as the last act.

    A killed build leaves a folder that the next one deletes, never half a node.

    Args:
        lock: what goes where.
        paths: the fetched files by SHA-256.
        folder: where the node shall be.
        progress: told the files that are placed.

    Returns:
        ``folder``.

    Raises:
        NodeError: a zip is broken, or names a file outside its own folder.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in folder.parent.glob(f".{folder.name}-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        with progress.task(
            f"assembling OpenSearch {lock.version}", total=len(lock.artifacts), unit="files"
        ) as advance:
            for artifact in lock.artifacts:
                target = building / artifact.target
                target.mkdir(parents=True, exist_ok=True)
                if artifact.coordinate.packaging == "zip":
                    unpack(paths[artifact.sha256], target, gap=artifact.gap)
                else:
                    _place(paths[artifact.sha256], target / artifact.coordinate.filename)
                advance(1)
        for module in MODULES:
            home = building / "modules" / module.name
            if home.is_dir():
                descriptor = home / "plugin-descriptor.properties"
                text = module_descriptor(module, version=lock.version)
                descriptor.write_text(text, encoding="utf-8")
        # OpenSearch makes sure of it at each start, and may not be allowed to make it.
        (building / "bin").mkdir()
        open_to_everybody(building)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return folder


def unpack(archive: Path, target: Path, *, gap: tuple[int, int] | None = None) -> None:
    """Unpack a zip, refusing any entry that would land outside the target.

    Args:
        archive: a zip file.
        target: an existing folder.
        gap: a part of the file that was not fetched; entries that begin there are left out.

    Raises:
        NodeError: the zip is broken, or an entry is absolute, climbs out or is a link.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            for entry in opened.infolist():
                _refuse_unsafe(entry)
                left_out = gap is not None and gap[0] <= entry.header_offset < gap[1]
                if not entry.is_dir() and not left_out:
                    opened.extract(entry, target)
    except zipfile.BadZipFile as error:
        msg = f"{archive.name} is not a zip ({error}); delete it and run the command again"
        raise NodeError(msg) from error


def _refuse_unsafe(entry: zipfile.ZipInfo) -> None:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    is_link = stat.S_ISLNK(entry.external_attr >> 16)
    if path.is_absolute() or ".." in path.parts or ":" in entry.filename or is_link:
        msg = f"a plugin's zip holds the unsafe path {entry.filename!r}; it was not unpacked"
        raise NodeError(msg)


def _place(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)
