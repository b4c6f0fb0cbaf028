"""``funnel models list``, ``pull`` and ``verify``."""

from __future__ import annotations

from typing import Any

import rich_click as click
from click.exceptions import Exit
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.output import emit, output_option, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.encoders.fetch import broken_files, model_folder, pull
from opensearch_funnel.encoders.manifest import Manifest
from opensearch_funnel.encoders.manifest_files import list_manifests, load_manifest

_MEGABYTE = 1_000_000


@click.command("list")
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


@click.command("pull")
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
        table=lambda console: print_lines(
            console, [f"{name} is in {folder}" for name, folder in folders.items()]
        ),
    )


@click.command("verify")
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
        table=lambda console: print_lines(console, lines or ["no model is here yet"]),
    )
    if wrong := [name for name, broken in found.items() if broken]:
        Console(stderr=True).print(
            f"error: fetch again with: funnel models pull {' '.join(wrong)}", highlight=False
        )
        raise Exit(1)


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
