"""``funnel gate quantized`` and ``drift``: models against models, without a cluster."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from opensearch_funnel.cli.choices import dataset_option, split_option
from opensearch_funnel.cli.gate.showing import gate_output_option, show
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.settings import load_settings

_PERCENT = 100


@click.command()
@click.argument("name")
@click.option(
    "--against", default=None, help="The full model, NAME or NAME:PRECISION  [default: NAME:fp32]"
)
@dataset_option("What both search, in the BEIR layout.")
@split_option("train")
@click.option(
    "--queries", type=click.IntRange(min=1), default=300, show_default=True, help="At most so many."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(0, _PERCENT),
    default=0.5,
    show_default=True,
    help="Percent of the full model's nDCG@10 that may be lost.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="A loss whose p is below this is no chance.",
)
@gate_output_option
def quantized(
    name: str,
    *,
    against: str | None,
    dataset: Path,
    split: str,
    queries: int,
    tolerance: float,
    alpha: float,
    output: str,
) -> int:
    """Fail when a smaller precision of a model finds significantly less than the full one.

    NAME is a model, with a precision behind a colon where its default is not meant. Both search
    all documents exactly, as in funnel models quantize; nDCG@10 is compared query by query.

    Example: funnel gate quantized splade-tiny:int8 --dataset datasets/scifact
    """
    from opensearch_funnel.evaluating.datasets import read_dataset, sampled
    from opensearch_funnel.evaluating.gating.named_models import named_model
    from opensearch_funnel.evaluating.gating.quantized import judge_quantized

    small = named_model(name)
    full = named_model(against or small.manifest.name, precision="fp32")
    judged = sampled(read_dataset(dataset, split=split), queries)
    with terminal_progress() as progress:
        gate = judge_quantized(
            small,
            full,
            judged,
            tolerance=tolerance / _PERCENT,
            alpha=alpha,
            threads=load_settings().threads,
            progress=progress,
        )
    return show(gate, output=output)


@click.command()
@click.argument("old")
@click.argument("new")
@dataset_option("Whose documents both read, in the BEIR layout.")
@click.option(
    "--documents",
    type=click.IntRange(min=1),
    default=500,
    show_default=True,
    help="How many of them.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which of them.")
@click.option(
    "--at-least",
    type=click.FloatRange(0, 1),
    default=0.8,
    show_default=True,
    help="The mean weighted Jaccard that passes.",
)
@gate_output_option
def drift(
    old: str, new: str, *, dataset: Path, documents: int, seed: int, at_least: float, output: str
) -> int:
    """Fail when two versions of a sparse model weigh the terms of documents too differently.

    OLD encoded the index, NEW is to search it: names of models, with a precision behind a colon
    where the default is not meant. No judgments are needed.

    Example: funnel gate drift splade-tiny:fp32 splade-tiny:int8 --dataset datasets/scifact
    """
    from opensearch_funnel.documents.readers import corpus_file, read_documents
    from opensearch_funnel.evaluating.gating.drift import judge_drift, sampled_texts
    from opensearch_funnel.evaluating.gating.named_models import named_model

    before, after = named_model(old), named_model(new)
    texts = sampled_texts(read_documents(corpus_file(dataset), format="beir"), documents, seed=seed)
    with terminal_progress() as progress:
        gate = judge_drift(
            before,
            after,
            texts,
            at_least=at_least,
            threads=load_settings().threads,
            progress=progress,
        )
    return show(gate, output=output)
