"""``funnel bench``: speed, side by side with what a user would take otherwise."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import rich_click as click
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.settings import Settings, load_settings

_FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@click.group()
def bench() -> None:
    """Run a benchmark of a checkout's folder benchmarks/."""


@bench.command()
@click.option("--documents", default=128, show_default=True, help="Abstracts in each pass.")
@click.option("--rounds", default=5, show_default=True, help="Passes of each encoder.")
@click.option(
    "--datasets",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="The folder with scifact  [env: FUNNEL_DATASETS]",
)
@output_option
def encode(*, documents: int, rounds: int, datasets: Path | None, output: str) -> int:
    """Encode documents with splade-tiny, against a plain torch loop.

    Needs the extra export (torch, transformers). Exits with 1 when a goal is missed.

    Example: funnel bench encode --rounds 7
    """
    run: Callable[..., dict[str, Any]] = _benchmark("encode").run
    with terminal_progress() as progress:
        result = run(
            datasets or load_settings().datasets,
            documents=documents,
            rounds=rounds,
            progress=progress,
        )

    def table(console: Console) -> None:
        grid = Table("encoder", "documents/s", "times torch", "goal")
        for name, rate in result["documents_per_second"].items():
            ratio = result["times_torch"].get(name)
            cells = (f"{ratio['median']:.2f}", f"≥ {ratio['goal']}") if ratio else ("1", "")
            grid.add_row(name, f"{rate:.1f}", *cells)
        console.print(grid)

    emit(result, output=output, table=table)
    return 0 if all(ratio["reached"] for ratio in result["times_torch"].values()) else 1


@bench.command("migrate-kills")
@click.option("--documents", default=20_000, show_default=True, help="Films to migrate.")
@click.option("--kills", default=30, show_default=True, help="Workers to kill.")
@click.option("--page", default=200, show_default=True, help="Most documents of a page.")
@click.option("--seed", default=7, show_default=True, help="Of the points at which they end.")
@click.option(
    "--datasets",
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help="The folder with msrd_movies  [env: FUNNEL_DATASETS]",
)
@output_option
@engine_options
def migrate_kills(
    settings: Settings,
    *,
    documents: int,
    kills: int,
    page: int,
    seed: int,
    datasets: Path | None,
    output: str,
) -> int:
    """Kill the workers of a migration again and again, and compare every document in the end.

    splade-tiny at 64 tokens, on the node of --url, or on one that is started. Exits with 1 when
    a document was lost, doubled or changed.

    Example: funnel bench migrate-kills --documents 5000 --kills 10
    """
    from opensearch_funnel.build.service import reachable_engine

    run: Callable[..., dict[str, Any]] = _benchmark("migrate_kills").run
    with terminal_progress() as progress:
        result = run(
            reachable_engine(settings, progress=progress).url,
            documents=documents,
            kills=kills,
            page=page,
            seed=seed,
            datasets=datasets or settings.datasets,
            progress=progress,
        )
    emit(result, output=output)
    return 0 if result["right"] and result["kills"] == kills else 1


def _benchmark(name: str) -> ModuleType:
    """Import a benchmark from the checkout: a wheel does not carry them.

    Raises:
        InputError: this is no checkout.
    """
    path = _FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"benchmarks.{name}", path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise InputError("benchmarks run from a checkout of the project: scripts/bench " + name)
    module = importlib.util.module_from_spec(spec)
    # Where a dataclass looks for the names in its annotations.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
