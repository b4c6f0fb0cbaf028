"""``funnel models export``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import get_args

import rich_click as click

from opensearch_funnel.cli.output import emit, output_option, print_lines
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.encoders.describing import describe
from opensearch_funnel.encoders.manifest import Kind, Pooling, Precision
from opensearch_funnel.encoders.manifest_files import write_manifest
from opensearch_funnel.encoders.packing import Packing

_MEGABYTE = 1_000_000


@click.command()
@click.argument("checkpoint", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--kind", type=click.Choice(get_args(Kind)), help="What it computes.")
@click.option("--pooling", type=click.Choice(get_args(Pooling)), help="How its states are pooled.")
@click.option(
    "--precision",
    type=click.Choice(["int8", "fp32"]),
    default="int8",
    show_default=True,
    help="What it multiplies in.",
)
@click.option("--max-tokens", type=click.IntRange(min=3), help="Of a text, or of a pair.")
@click.option("--licence", default="", help="Of the weights, if the checkpoint does not name it.")
@output_option
def export(
    checkpoint: Path,
    folder: Path,
    *,
    kind: Kind | None,
    pooling: Pooling | None,
    precision: Precision,
    max_tokens: int | None,
    licence: str,
    output: str,
) -> None:
    """Turn a checkpoint (safetensors) into one ONNX graph, and write its manifest beside it.

    The BERT family (BERT, DistilBERT, MiniLM, RoBERTa, XLM-R) needs no torch; every other
    architecture needs the extra export, and fp32. Where torch is installed, the graph is compared
    with the checkpoint and refused if it is off by more than 1e-4. What the options leave open is
    read from the checkpoint's files. The manifest goes to FOLDER.toml; put both into
    FUNNEL_HOME/manifests to use the model by its name.

    Example: funnel models export trained/model my-reranker --kind cross_encoder --licence MIT
    """
    found = describe(checkpoint, kind=kind)
    if not (licence or found.licence):
        raise InputError("no file of the checkpoint names its licence: say --licence")
    packing = Packing(
        kind=found.kind,
        pooling=pooling or found.pooling,
        precision=precision,
        max_tokens=max_tokens or found.max_tokens,
        licence=licence or found.licence,
        query_prefix=found.query_prefix,
        document_prefix=found.document_prefix,
        unit_length=found.unit_length,
    )
    from opensearch_funnel.exporting.export import export as export_checkpoint

    made = export_checkpoint(checkpoint, folder, packing)
    manifest = folder.with_name(f"{folder.name}.toml")
    write_manifest(made, manifest)
    size = made.size
    compared = made.parity
    emit(
        {
            "folder": str(folder),
            "manifest": str(manifest),
            "bytes": size,
            "parity": asdict(compared) if compared else None,
        },
        output=output,
        table=lambda console: print_lines(
            console,
            [
                f"{size / _MEGABYTE:.1f} MB in {folder}, described by {manifest}",
                f"within {compared.greatest:.1e} of {compared.against}"
                if compared
                else "not compared with the checkpoint: torch is not installed (extra: export)",
            ],
        ),
    )
