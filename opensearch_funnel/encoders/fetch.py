"""Bring a model's files to ``FUNNEL_HOME/models/<name>/`` and prove that they are right."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from opensearch_funnel.core.errors import FunnelError, MissingExtraError, ModelError
from opensearch_funnel.core.progress import SILENT, Advance, Progress
from opensearch_funnel.encoders.manifest import Manifest, ModelFile, Source
from opensearch_funnel.encoders.sources import SourceMissError, open_source
from opensearch_funnel.settings import load_settings

_BLOCK = 1 << 20


def model_folder(manifest: Manifest) -> Path:
    """Return where the files of a model are kept."""
    return load_settings().home / "models" / manifest.name


def pull(manifest: Manifest, *, progress: Progress = SILENT) -> Path:
    """Fetch what is missing of a model and check every file.

    Files that are there and right are left alone, so a second call does nothing and a call after
    an interruption goes on. The sources are tried in the manifest's order; a file gets its name
    only once its hash is proven, so a broken download never looks like a model.

    Args:
        manifest: which model.
        progress: hears of the bytes that are fetched.

    Returns:
        The folder with every file of the model.

    Raises:
        ModelError: no source has the files; the message names each source and its reason.
    """
    folder = model_folder(manifest)
    missing = [f for f in manifest.files if not _is_right(folder / f.name, f)]
    if not missing:
        return folder
    _make_folder(folder)
    reasons: list[str] = []
    total = sum(f.size for f in missing)
    with progress.task(f"model {manifest.name}", total=total, unit="bytes") as advance:
        for source in manifest.sources:
            try:
                _take(source, manifest=manifest, missing=missing, folder=folder, advance=advance)
            except SourceMissError as error:
                reasons.append(f"{source}: {error}")
            except MissingExtraError as error:
                reasons.append(str(error))
            missing = [f for f in missing if not _is_right(folder / f.name, f)]
            if not missing:
                return folder
    raise ModelError(
        f"cannot fetch {missing[0].name} of model {manifest.name}: {'; '.join(reasons)}"
        f" (or put the files into {folder} yourself)"
    )


def is_here(manifest: Manifest) -> bool:
    """Say whether a model can be opened without a network; reads no file.

    Its files are kept already, or lie in a folder that is one of its sources.
    """
    kept = model_folder(manifest)
    folders = [s for s in manifest.sources if s.kind == "folder"]
    return all(
        _has_size(kept / file.name, file)
        or any(_has_size(manifest.folder / s.address / s.entry(file), file) for s in folders)
        for file in manifest.files
    )


def broken_files(manifest: Manifest) -> list[str]:
    """Check the files of a model on disk.

    Returns:
        One line for each file that is missing or wrong; empty if the model is ready.
    """
    folder = model_folder(manifest)
    lines = []
    for file in manifest.files:
        path = folder / file.name
        if not path.is_file():
            lines.append(f"{file.name} is missing")
        elif not _is_right(path, file):
            lines.append(f"{file.name} does not match its SHA-256")
    return lines


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hex digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears under its name only when it is whole.

    Args:
        path: the final name; its folder must exist.
    """
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes files that only their owner reads; a shared cache is read by others too.
        Path(partial).chmod(0o644)
        Path(partial).replace(path)
    finally:
        Path(partial).unlink(missing_ok=True)


def _is_right(path: Path, file: ModelFile) -> bool:
    # The size is compared first: it is free, and it catches a truncated file.
    return not path.is_symlink() and _has_size(path, file) and sha256_of(path) == file.sha256


def _has_size(path: Path, file: ModelFile) -> bool:
    return path.is_file() and path.stat().st_size == file.size


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"cannot make the folder {folder}: {error.strerror}; set FUNNEL_HOME"
        ) from error


def _take(
    source: Source, *, manifest: Manifest, missing: list[ModelFile], folder: Path, advance: Advance
) -> None:
    """Copy each missing file from one source, proving its hash on the way."""
    with open_source(source, folder=manifest.folder) as opened:
        for file in missing:
            with opened.open(source.entry(file)) as entry:
                _copy(entry, file=file, path=folder / file.name, advance=advance)


def _copy(entry: IO[bytes], *, file: ModelFile, path: Path, advance: Advance) -> None:
    digest = hashlib.sha256()
    try:
        with atomic_file(path) as stream:
            size = 0
            while block := entry.read(_BLOCK):
                size += len(block)
                if size > file.size:
                    raise SourceMissError(f"{file.name} is larger than {file.size} bytes")
                digest.update(block)
                stream.write(block)
                advance(len(block))
            if digest.hexdigest() != file.sha256:
                raise SourceMissError(
                    f"{file.name} has SHA-256 {digest.hexdigest()[:12]}…, not {file.sha256[:12]}…"
                )
    except FunnelError:
        raise
    except OSError as error:
        raise ModelError(f"cannot write {path}: {error.strerror or error}") from error
