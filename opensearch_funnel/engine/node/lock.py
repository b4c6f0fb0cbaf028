"""Which files the embedded node is made of: ``lock.json``, read into values.

The lock names every file by its Maven coordinate, its SHA-256 and its size, so that two machines
that start the same version of this package run the same node. ``scripts/lock-node`` writes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from opensearch_funnel.core.errors import NodeError

_SHA256_DIGITS = 64
_ROOTS = ("lib", "modules", "plugins")


@dataclass(frozen=True, slots=True)
class Coordinate:
    """The Maven name of one file: ``group:artifact:version[:packaging[:classifier]]``.

    Example:
        >>> str(Coordinate.parse("org.opensearch.plugin:opensearch-knn:3.6.0.0:zip"))
        'org.opensearch.plugin:opensearch-knn:3.6.0.0:zip'
        >>> Coordinate.parse("org.opensearch:opensearch:3.6.0").filename
        'opensearch-3.6.0.jar'
    """

    group: str
    artifact: str
    version: str
    packaging: str = "jar"
    classifier: str = ""

    @classmethod
    def parse(cls, text: str) -> Coordinate:
        """Read a coordinate.

        Args:
            text: three to five parts with colons between them.

        Raises:
            NodeError: a part is empty or their number is wrong.
        """
        parts = text.split(":")
        if not 3 <= len(parts) <= 5 or not all(parts):  # noqa: PLR2004 - the grammar above
            msg = f"lock.json: {text!r} is not a Maven coordinate; run scripts/lock-node"
            raise NodeError(msg)
        return cls(*parts)

    @property
    def filename(self) -> str:
        """The file's name in a Maven repository."""
        classifier = f"-{self.classifier}" if self.classifier else ""
        return f"{self.artifact}-{self.version}{classifier}.{self.packaging}"

    def __str__(self) -> str:
        parts = [self.group, self.artifact, self.version]
        if self.packaging != "jar" or self.classifier:
            parts.append(self.packaging)
        if self.classifier:
            parts.append(self.classifier)
        return ":".join(parts)


@dataclass(frozen=True, slots=True)
class LockedArtifact:
    """One file and the folder of the node that it goes into."""

    coordinate: Coordinate
    target: PurePosixPath
    """``lib``, ``modules/<name>`` or ``plugins/<name>``; a zip is unpacked there."""
    sha256: str
    """Of the bytes that are kept."""
    size: int
    """Of the bytes that are kept: what is downloaded."""
    gap: tuple[int, int] | None = None
    """Start and end of a part of a zip that is not fetched: a library the node does not use."""

    @property
    def spans(self) -> tuple[tuple[int, int], ...]:
        """Start and end of each part of the file that is kept.

        Example:
            >>> knn = Coordinate("org.opensearch.plugin", "opensearch-knn", "3.6.0.0", "zip")
            >>> LockedArtifact(knn, PurePosixPath("plugins/knn"), "00" * 32, 10, (4, 9)).spans
            ((0, 4), (9, 15))
        """
        if self.gap is None:
            return ((0, self.size),)
        start, end = self.gap
        return ((0, start), (end, self.size + end - start))


@dataclass(frozen=True, slots=True)
class NodeLock:
    """Everything one version of the node is made of."""

    version: str
    artifacts: tuple[LockedArtifact, ...]

    @property
    def digest(self) -> str:
        """Twelve hex digits that change with any file: part of the installed folder's name."""
        lines = sorted(f"{a.sha256} {a.target} {a.coordinate} {a.gap}" for a in self.artifacts)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]

    @property
    def folder_name(self) -> str:
        """Name of the folder that holds the assembled node."""
        return f"opensearch-{self.version}-{self.digest}"


def parse_lock(text: str) -> NodeLock:
    """Read a lock.

    Args:
        text: JSON with ``version`` and ``artifacts`` (``coordinate``, ``target``, ``sha256``,
            ``size`` and sometimes ``gap``).

    Raises:
        NodeError: the text is not a lock, or an entry would be written outside the node's folder.

    Example:
        >>> lock = parse_lock('{"version": "3.6.0", "artifacts": []}')
        >>> lock.version, lock.artifacts
        ('3.6.0', ())
    """
    try:
        content = json.loads(text)
        artifacts = tuple(_artifact(entry) for entry in content["artifacts"])
        return NodeLock(version=str(content["version"]), artifacts=artifacts)
    except (ValueError, LookupError, TypeError) as error:
        msg = f"lock.json cannot be read ({error}); reinstall opensearch-funnel"
        raise NodeError(msg) from error


@lru_cache(maxsize=1)
def node_lock() -> NodeLock:
    """Return the lock that this version of the package ships."""
    return parse_lock(files(__package__).joinpath("lock.json").read_text(encoding="utf-8"))


def _artifact(entry: Mapping[str, Any]) -> LockedArtifact:
    target = PurePosixPath(str(entry["target"]))
    root = target.parts[0] if target.parts else ""
    depth = 1 if root == "lib" else 2
    if root not in _ROOTS or len(target.parts) != depth or ".." in target.parts:
        msg = f"lock.json: {target} is not a folder of the node; run scripts/lock-node"
        raise NodeError(msg)
    sha256 = str(entry["sha256"])
    if len(sha256) != _SHA256_DIGITS:
        msg = f"lock.json: {entry['coordinate']} has no SHA-256; run scripts/lock-node"
        raise NodeError(msg)
    gap = entry.get("gap")
    return LockedArtifact(
        coordinate=Coordinate.parse(str(entry["coordinate"])),
        target=target,
        sha256=sha256,
        size=int(entry["size"]),
        gap=None if gap is None else (int(gap[0]), int(gap[1])),
    )
