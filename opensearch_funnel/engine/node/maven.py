"""Get one file from Maven through jgo, which knows the user's mirrors and local repository."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

from opensearch_funnel.core.errors import MissingExtraError
from opensearch_funnel.core.progress import Advance
from opensearch_funnel.engine.node.fetch import Download, is_intact
from opensearch_funnel.engine.node.lock import LockedArtifact

_TIMEOUT_S = 60
_BLOCK = 1 << 16
_WHOLE, _PART = 200, 206


def maven_download() -> Download:
    """Return a download from Maven.

    A file of the user's local Maven repository is copied; else it comes from the repositories of
    the user's jgo settings, Maven Central by default.

    Raises:
        MissingExtraError: jgo is not installed.
    """
    try:
        from jgo.config import GlobalSettings
        from jgo.maven import MavenContext
        from jgo.util import http
        from requests import ConnectionError as NoConnectionError
    except ImportError as error:
        raise MissingExtraError("jgo", extra="node") from error

    mirrors = GlobalSettings.load().repositories or None
    context = MavenContext(remote_repos=mirrors, timeout=_TIMEOUT_S)

    def download(artifact: LockedArtifact, path: Path, advance: Advance) -> None:
        name = artifact.coordinate
        component = context.project(name.group, name.artifact).at_version(name.version)
        file = component.artifact(classifier=name.classifier, packaging=name.packaging)
        local = file.cached_path
        if local is not None and is_intact(local, artifact):
            shutil.copyfile(local, path)
            advance(artifact.size)
            return
        where = f"{component.path_prefix.as_posix()}/{file.filename}"
        refused: list[str] = []
        for repository in context.remote_repos.values():
            try:
                with path.open("wb") as stream:
                    for span in artifact.spans:
                        ranged = artifact.gap is not None
                        with get(f"{repository}/{where}", span if ranged else None) as answer:
                            begins = span[0] if answer.status_code == _PART else 0
                            blocks = answer.iter_content(_BLOCK)
                            write_span(stream, blocks, begins=begins, span=span, advance=advance)
            except (FileNotFoundError, NoConnectionError) as error:
                refused.append(_explained(error, repository))
                continue
            return
        raise FileNotFoundError(", ".join(refused))

    def get(url: str, span: tuple[int, int] | None) -> Any:
        # A server that does not know ranges sends the whole file, which will do as well.
        wanted = None if span is None else {"Range": f"bytes={span[0]}-{span[1] - 1}"}
        answer = http.get(url, headers=wanted, stream=True, timeout=_TIMEOUT_S)
        if answer.status_code not in {_WHOLE, _PART}:
            answer.close()
            msg = f"HTTP {answer.status_code}"
            raise FileNotFoundError(msg)
        return answer

    return download


def write_span(
    stream: BinaryIO,
    blocks: Iterable[bytes],
    *,
    begins: int,
    span: tuple[int, int],
    advance: Advance,
) -> None:
    """Write one part of a file to its own place, leaving the rest of the file a hole.

    Args:
        stream: the file.
        blocks: what the server sends: the part, or the whole file from a server that does not
            know ranges.
        begins: where in the file the first block begins.
        span: start and end of the part.
        advance: told the bytes written.
    """
    start, end = span
    position = begins
    stream.seek(start)
    for block in blocks:
        kept = block[max(start - position, 0) : max(end - position, 0)]
        stream.write(kept)
        advance(len(kept))
        position += len(block)
        if position >= end:
            return


def _explained(error: Exception, repository: str) -> str:
    reason = str(error) if isinstance(error, FileNotFoundError) else "no connection"
    return f"{reason} from {urlsplit(repository).hostname}"
