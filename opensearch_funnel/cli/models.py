"""``funnel models``: the models that the funnel runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import rich_click as click
from click.exceptions import Exit
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.encoders.fetch import broken_files, model_folder, pull
from opensearch_funnel.encoders.manifests import (
    Kind,
    Manifest,
    Pooling,
    Precision,
    list_manifests,
    load_manifest,
)
from opensearch_funnel.encoders.packing import POOLINGS, Packing, pack

_MEGABYTE = 1_000_000


@click.group()
def models() -> None:
    """List, fetch and verify the models that the funnel runs.

    A manifest says what a model is, where its files come from, and the SHA-256 of each. Commands
    that need a model fetch it themselves; pull does so before.
    """


@models.command("list")
@output_option
def list_models(output: str) -> None:
    """Show every model there is a manifest for, and whether its files are here.

    Example: funnel models list --output json
    """
    found = [_described(manifest) for manifest in list_manifests()]
    table = Table("model", "kind", "precisions", "dimension", "tokens", "licence", "MB", "here")
    table.columns[0].no_wrap = True
    for model in found:
        table.add_row(
            model["name"],
            model["kind"],
            ", ".join(model["precisions"]),
            str(model["dimension"]),
            str(model["max_tokens"]),
            model["licence"],
            f"{model['bytes'] / _MEGABYTE:.1f}",
            "yes" if model["here"] else "no",
        )
    emit({"models": found}, output=output, table=lambda console: console.print(table))


@models.command("pull")
@click.argument("names", nargs=-1)
@output_option
def pull_models(names: tuple[str, ...], output: str) -> None:
    """Fetch models, all of them if none is named. What is here and right is left alone.

    Example: funnel models pull splade-tiny bge-small-en-v1.5
    """
    folders = {}
    with terminal_progress() as progress:
        for manifest in _chosen(names):
            folders[manifest.name] = str(pull(manifest, progress=progress))
    emit(
        {"models": [{"name": name, "folder": folder} for name, folder in folders.items()]},
        output=output,
        table=lambda console: _print_lines(
            console, [f"{name} is in {folder}" for name, folder in folders.items()]
        ),
    )


@models.command("verify")
@click.argument("names", nargs=-1)
@output_option
def verify_models(names: tuple[str, ...], output: str) -> None:
    """Compare the files of models with their SHA-256; all that are here if none is named.

    Fails if a file is missing or wrong.

    Example: funnel models verify splade-tiny
    """
    chosen = _chosen(names)
    if not names:
        chosen = [manifest for manifest in chosen if model_folder(manifest).is_dir()]
    found = {manifest.name: broken_files(manifest) for manifest in chosen}
    lines = [
        line
        for name, broken in found.items()
        for line in ([f"{name}: {reason}" for reason in broken] or [f"{name}: right"])
    ]
    emit(
        {"models": [{"name": name, "broken": broken} for name, broken in found.items()]},
        output=output,
        table=lambda console: _print_lines(console, lines or ["no model is here yet"]),
    )
    if wrong := [name for name, broken in found.items() if broken]:
        Console(stderr=True).print(
            f"error: fetch again with: funnel models pull {' '.join(wrong)}", highlight=False
        )
        raise Exit(1)


@models.command("quantize")
@click.argument("checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--kind", type=click.Choice(get_args(Kind)), required=True, help="What it computes.")
@click.option(
    "--pooling",
    type=click.Choice(get_args(Pooling)),
    default=None,
    help="How it pools  [default: max for splade, mean for dense, pair for cross_encoder]",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="int8",
    show_default=True,
    help="What it multiplies in.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    default=256,
    show_default=True,
    help="Most tokens of a text, or of a pair.",
)
@click.option("--licence", required=True, help="Of the weights.")
@output_option
def quantize(
    checkpoint: Path,
    folder: Path,
    *,
    kind: Kind,
    pooling: Pooling | None,
    precision: Precision,
    max_tokens: int,
    licence: str,
    output: str,
) -> None:
    """Turn a checkpoint (safetensors) into a small graph, and write its manifest beside it.

    The manifest goes to FOLDER.toml; put both into FUNNEL_HOME/manifests to use the model by its
    name.

    Example: funnel models quantize trained/model my-reranker --kind cross_encoder --licence MIT
    """
    packing = Packing(
        kind=kind,
        pooling=pooling or POOLINGS[kind],
        precision=precision,
        max_tokens=max_tokens,
        licence=licence,
    )
    text = pack(checkpoint, folder, packing)
    manifest = folder.with_name(f"{folder.name}.toml")
    manifest.write_text(text, encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    emit(
        {"folder": str(folder), "manifest": str(manifest), "bytes": size},
        output=output,
        table=lambda console: _print_lines(
            console, [f"{size / _MEGABYTE:.1f} MB in {folder}, described by {manifest}"]
        ),
    )


def _chosen(names: tuple[str, ...]) -> list[Manifest]:
    return [load_manifest(name) for name in names] if names else list_manifests()


def _described(manifest: Manifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "kind": manifest.kind,
        "description": manifest.description,
        "precisions": list(manifest.precisions),
        "fingerprint": manifest.fingerprint(),
        "dimension": manifest.dimension,
        "max_tokens": manifest.max_tokens,
        "licence": manifest.licence,
        "bytes": manifest.size,
        "sources": [str(source) for source in manifest.sources],
        # Sizes only: reading every file to hash it is what verify is for.
        "here": all(
            (path := model_folder(manifest) / f.name).is_file() and path.stat().st_size == f.size
            for f in manifest.files
        ),
    }


def _print_lines(console: Console, lines: list[str]) -> None:
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
