"""A node for the time of a ``with`` block: for tests and for programs that need one briefly."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.engine.node.configuration import DEFAULT_HEAP
from opensearch_funnel.engine.node.lifecycle import (
    START_TIMEOUT_S,
    RunningNode,
    start_node,
    stop_node,
)


@contextmanager
def embedded_node(  # noqa: PLR0913 - independent options, all with defaults
    *,
    port: int = 0,
    heap: str = DEFAULT_HEAP,
    data: Path | None = None,
    home: Path | None = None,
    timeout: float = START_TIMEOUT_S,
    progress: Progress = SILENT,
) -> Iterator[RunningNode]:
    """Run a node inside a ``with`` block.

    A node that ran on that port before is used and left running.

    Args:
        port: of HTTP on loopback; 0 takes a free one.
        heap: size of its Java heap.
        data: where it keeps its indices; a temporary folder by default, deleted in the end.
        home: ``FUNNEL_HOME``; from the settings by default.
        timeout: seconds until its start is given up.
        progress: told what is fetched and waited for.

    Yields:
        The node, ready for requests.

    Raises:
        NodeError: it could not be fetched or started.
    """
    # Not below the caller's temporary folder of the moment (pytest's is closed to other users):
    # as root the node is another user.
    temporary = None if data else Path(tempfile.mkdtemp(prefix="funnel-node-"))
    try:
        node = start_node(
            port=port,
            heap=heap,
            data=data or temporary,
            home=home,
            timeout=timeout,
            progress=progress,
        )
        try:
            yield node
        finally:
            if not node.was_running:
                stop_node(port=node.port, home=home)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
