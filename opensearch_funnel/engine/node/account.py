"""The node's folders, and the user that it runs as: OpenSearch refuses root."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.node.configuration import (
    NodeFolders,
    log4j2_properties,
    opensearch_yml,
)
from opensearch_funnel.engine.node.java import JavaRuntime

_UNPRIVILEGED = "nobody"
_EVERYBODY_ENTERS = 0o755
_EVERYBODY_READS = 0o644
MARK = ".opensearch-funnel-node"
"""A file in the root of every data folder: such a folder may be given away and deleted."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whom to become, or nobody else if the ids are ``None``."""

    name: str
    uid: int | None = None
    gid: int | None = None

    @property
    def is_other(self) -> bool:
        """Whether the node runs as another user than this program."""
        return self.uid is not None


def node_account() -> Account:
    """Return the user that the node runs as: oneself, or ``nobody`` as root.

    Raises:
        NodeError: the system has no user ``nobody``.
    """
    if os.geteuid() != 0:
        return Account(name="self")
    try:
        entry = pwd.getpwnam(_UNPRIVILEGED)
    except KeyError as error:
        msg = f"OpenSearch does not run as root and there is no user {_UNPRIVILEGED}; use another"
        raise NodeError(msg) from error
    return Account(name=_UNPRIVILEGED, uid=entry.pw_uid, gid=entry.pw_gid)


def make_folders(folders: NodeFolders, account: Account) -> None:
    """Make the folders that a node writes to.

    Args:
        folders: of the node.
        account: the user that it runs as.

    Raises:
        NodeError: the folder holds other files (it would be given away, and later deleted), or
            that user cannot get there.
    """
    root, mark = folders.root, folders.root / MARK
    if root.is_dir() and not mark.exists() and any(root.iterdir()):
        msg = f"{root} is not empty and not the data folder of a node; name another with --data"
        raise NodeError(msg)
    if root.exists() and account.is_other and root.stat().st_uid not in {0, account.uid}:
        msg = f"{root} belongs to another user; start the node as that user, or name another folder"
        raise NodeError(msg)
    make_reachable(root.parent, account)
    for folder in folders.every:
        folder.mkdir(exist_ok=True)
    mark.touch()


def make_reachable(folder: Path, account: Account) -> None:
    """Make a folder, with those above it, so that the node's user can get there.

    Args:
        folder: to make.
        account: the user that the node runs as.

    Raises:
        NodeError: a folder on the way is there and closed to that user.
    """
    missing = [step for step in (folder, *folder.parents) if not step.exists()]
    require_way_in(missing[-1].parent if missing else folder, account)
    for step in reversed(missing):
        step.mkdir(exist_ok=True)
        if account.is_other:
            step.chmod(_EVERYBODY_ENTERS)  # whatever the umask says


def write_configuration(folders: NodeFolders, *, port: int) -> None:
    """Write what OpenSearch reads at its start.

    Args:
        folders: of the node.
        port: of HTTP.
    """
    texts = (opensearch_yml(folders, port=port), log4j2_properties(), "")
    for path, text in zip(folders.configuration, texts, strict=True):
        with open_fresh(path) as stream:
            stream.write(text.encode())


def hand_over(folders: NodeFolders, account: Account) -> None:
    """Give a node's folders to the user that it runs as.

    Args:
        folders: of the node.
        account: that user.
    """
    if account.uid is None or account.gid is None:
        return
    # Only what was made just now: the rest is that user's own already, and giving away all that
    # is found would give away whatever that user had linked to.
    for path in (*folders.every, folders.root / MARK, *folders.configuration):
        os.chown(path, account.uid, account.gid, follow_symlinks=False)


def open_fresh(path: Path) -> BinaryIO:
    """Open a file for writing in place of any that is there, and never through a link.

    As root we write into folders of another user, who could have put a link there.

    Args:
        path: of the file.
    """
    path.unlink(missing_ok=True)
    return path.open("xb")


def require_way_in(folder: Path, account: Account) -> None:
    """Fail if the node's user cannot get into a folder.

    Args:
        folder: that it must reach.
        account: the user.

    Raises:
        NodeError: a folder on the way is closed to others.
    """
    closed = _closed_folder(folder)
    if account.is_other and closed is not None:
        msg = (
            f"the node runs as the user {account.name}, who cannot enter {closed}; set FUNNEL_HOME "
            "(or --data) to a folder that everybody may enter"
        )
        raise NodeError(msg)


def reachable_java(java: JavaRuntime, account: Account, *, home: Path) -> JavaRuntime:
    """Return a Java that the node's user may run, copied if this one is in a closed folder.

    A virtual environment below root's home is the usual case.

    Args:
        java: the one that was chosen.
        account: the node's user.
        home: the node's part of ``FUNNEL_HOME``.
    """
    real = java.home.resolve()
    if not account.is_other or _closed_folder(real / "bin") is None:
        return java
    release = (real / "release").stat() if (real / "release").is_file() else real.stat()
    copy = home / f"java-{java.major}-{int(release.st_mtime)}"
    if not copy.is_dir():
        building = home / f".{copy.name}-{os.getpid()}"
        shutil.rmtree(building, ignore_errors=True)
        shutil.copytree(real, building, symlinks=True)
        open_to_everybody(building)
        building.rename(copy)
    return replace(java, home=copy)


def open_to_everybody(folder: Path) -> None:
    """Let every user read what is in a folder, whatever the umask was when it was made.

    Args:
        folder: with what is below it.
    """
    for root, _, names in os.walk(folder):
        Path(root).chmod(_EVERYBODY_ENTERS)
        for name in names:
            path = Path(root) / name
            if not path.is_symlink():
                is_program = path.stat().st_mode & stat.S_IXUSR
                path.chmod(_EVERYBODY_ENTERS if is_program else _EVERYBODY_READS)


def _closed_folder(folder: Path) -> Path | None:
    for step in (*reversed(folder.parents), folder):
        if step.is_dir() and not step.stat().st_mode & stat.S_IXOTH:
            return step
    return None
