"""``funnel models quantize``."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import rich_click as click
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.choices import dataset_option, names_option, split_option
from opensearch_funnel.cli.output import emit, output_option, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.encoders.manifest import Manifest, Precision, Verdict
from opensearch_funnel.encoders.manifest_files import (
    load_manifest,
    manifest_folders,
    write_manifest,
)

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.datasets import Dataset

_PRECISIONS = tuple(p for p in get_args(Precision) if p != "fp32")


@click.command()
@click.argument("name")
@dataset_option("What to judge on, in the BEIR layout.")
@split_option("train")
@click.option(
    "--queries", type=click.IntRange(min=1), default=300, show_default=True, help="At most so many."
)
@names_option(
    "--precisions",
    known=_PRECISIONS,
    default=("int8",),
    help_text="What to judge: int8, fp16, bf16, with commas between.",
)
@click.option("--dry-run", is_flag=True, help="Judge, and leave the manifest as it is.")
@output_option
def quantize(
    name: str,
    *,
    dataset: Path,
    split: str,
    queries: int,
    precisions: tuple[Precision, ...],
    dry_run: bool,
    output: str,
) -> None:
    """Judge a model's precisions against fp32, and make the fastest that is good enough its first.

    Each one searches the data set: nDCG@10 and Kendall's tau against fp32, and texts a second side
    by side. One that loses more than 0.5 % of nDCG@10 is never the default. The figures go into
    the model's manifest. Another default is another fingerprint: indices that were encoded before
    are changed by a migration.

    Example: funnel models quantize my-model --dataset datasets/scifact --precisions int8
    """
    from opensearch_funnel.evaluating.datasets import read_dataset, sampled
    from opensearch_funnel.evaluating.judging import judge, ordered

    manifest = load_manifest(name)
    wanted = tuple(dict.fromkeys((*manifest.precisions, *precisions, "fp32")))
    judged = sampled(read_dataset(dataset, split=split), queries)
    with terminal_progress() as progress:
        verdicts = judge(
            replace(manifest, precisions=wanted), judged, precisions=precisions, progress=progress
        )
    others = tuple(v for v in manifest.verdicts if v.precision not in precisions)
    made = replace(
        manifest, precisions=ordered(wanted, [*others, *verdicts]), verdicts=(*others, *verdicts)
    )
    path = manifest_folders()[0] / f"{name}.toml"
    if not dry_run:
        write_manifest(rooted(made), path)
    emit(
        _described(made, judged, path=path, written=not dry_run),
        output=output,
        table=lambda console: _print(console, made, written=not dry_run),
    )


def rooted(manifest: Manifest) -> Manifest:
    """Make the folders of its sources absolute: the manifest is written to another place."""
    sources = tuple(
        replace(source, address=str((manifest.folder / source.address).resolve()))
        if source.kind == "folder"
        else source
        for source in manifest.sources
    )
    return replace(manifest, sources=sources)


def _described(manifest: Manifest, judged: Dataset, *, path: Path, written: bool) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "dataset": f"{judged.name}/{judged.split}",
        "queries": len(judged.queries),
        "default": manifest.precisions[0],
        "verdicts": [asdict(v) | {"loss": round(v.loss, 5)} for v in manifest.verdicts],
        "manifest": str(path) if written else None,
    }


def _print(console: Console, manifest: Manifest, *, written: bool) -> None:
    table = Table("precision", "nDCG@10", "fp32", "loss", "tau", "speed", "data set")
    for verdict in manifest.verdicts:
        table.add_row(*_row(verdict))
    console.print(table)
    said = f"the default is {manifest.precisions[0]}"
    print_lines(console, [said if written else f"{said} if this is written (--dry-run)"])


def _row(verdict: Verdict) -> list[str]:
    return [
        verdict.precision,
        f"{verdict.ndcg:.4f}",
        f"{verdict.reference:.4f}",
        f"{verdict.loss:+.2%}",
        f"{verdict.kendall_tau:.3f}",
        f"{verdict.speed:.2f}x",
        verdict.dataset,
    ]
