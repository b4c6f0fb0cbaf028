"""``funnel models evaluate``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from opensearch_funnel.cli.choices import dataset_option, names_option, split_option
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, output_option, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.encoders.manifest import Manifest
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.engine.vector_forms import FORMS, FormName
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.model_figures import ModelFigures

_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a model must keep to; 0 and an empty language allow everything."""

    size: float = 0.0
    """Megabytes of its files."""
    document_bytes: float = 0.0
    query_ms: float = 0.0
    """At the median."""
    language: str = ""

    def before(self, manifest: Manifest) -> str:
        """Say why a model is not even run; empty if it is."""
        if self.size and manifest.size > self.size * _MEGABYTE:
            return f"{manifest.size / _MEGABYTE:.1f} MB are more than {self.size:g}"
        if self.language and self.language not in manifest.languages:
            known = ", ".join(manifest.languages) or "nothing"
            return f"its manifest says {known} of its languages, not {self.language}"
        return ""

    def after(self, figures: ModelFigures) -> str:
        """Say which limit a model broke when it was run; empty if none."""
        if self.query_ms and figures.query_ms[0] > self.query_ms:
            return f"{figures.query_ms[0]:.1f} ms a query are more than {self.query_ms:g}"
        if self.document_bytes and figures.bytes_per_document > self.document_bytes:
            given = figures.bytes_per_document
            return f"{given:,.0f} bytes a document are more than {self.document_bytes:g}"
        return ""


@click.command()
@click.argument("names", nargs=-1, required=True)
@dataset_option("Where they search, in the BEIR layout.")
@split_option("test")
@click.option("--queries", type=click.IntRange(min=1), default=None, help="At most so many.")
@names_option(
    "--forms",
    known=(*FORMS, "none"),
    default=FORMS,
    help_text="How the engine keeps vectors, with commas between; none asks no engine.",
)
@click.option("--max-size", type=click.FloatRange(min=0), default=0, help="Megabytes of its files.")
@click.option("--max-bytes", type=click.FloatRange(min=0), default=0, help="Bytes a document.")
@click.option("--max-ms", type=click.FloatRange(min=0), default=0, help="To encode a query.")
@click.option("--language", default="", help="Only models that name it, for example en.")
@click.option("--plot", type=click.Path(path_type=Path), default=None, help="A .png, .svg or .pdf.")
@output_option
@engine_options
def evaluate(
    settings: Settings,
    *,
    names: tuple[str, ...],
    dataset: Path,
    split: str,
    queries: int | None,
    forms: tuple[str, ...],
    plot: Path | None,
    output: str,
    **limits: Any,
) -> None:
    """Measure models alone on a data set, side by side: quality, speed, memory and bytes.

    Each model searches all documents exactly, in this process; a cross-encoder reranks the top 50
    of a BM25. The vectors of dense models are indexed in the embedded node (or --url) in each form,
    and what the engine finds is compared with the exact answer.

    Example: funnel models evaluate splade-tiny bge-small-en-v1.5 --dataset datasets/scifact
    """
    from opensearch_funnel.evaluating.datasets import read_dataset, sampled

    allowed = Limits(
        size=limits["max_size"],
        document_bytes=limits["max_bytes"],
        query_ms=limits["max_ms"],
        language=limits["language"],
    )
    manifests = [load_manifest(name) for name in dict.fromkeys(names)]
    left_out = {m.name: why for m in manifests if (why := allowed.before(m))}
    chosen = [m for m in manifests if m.name not in left_out]
    if not chosen:
        raise InputError("; ".join(f"{name}: {why}" for name, why in left_out.items()))
    judged = read_dataset(dataset, split=split)
    if queries is not None:
        judged = sampled(judged, queries)
    wanted = [form for form in FORMS if form in forms and "none" not in forms]
    found = []
    for figures in _measured(chosen, judged, forms=wanted, settings=settings):
        if why := allowed.after(figures):
            left_out[figures.name] = why
        else:
            found.append(figures)
    title = f"{judged.name}/{judged.split}: {len(judged.queries):,} queries"
    if plot is not None:
        from opensearch_funnel.evaluating.model_plot import draw_models

        draw_models(found, plot, title=title)
    emit(
        {
            "dataset": judged.name,
            "split": judged.split,
            "queries": len(judged.queries),
            "models": [figures.to_dict() for figures in found],
            "left_out": left_out,
            "plot": str(plot) if plot is not None else None,
        },
        output=output,
        table=lambda console: _print(console, found, title=title, left_out=left_out),
    )


def _measured(
    manifests: Iterable[Manifest], judged: Any, *, forms: Sequence[FormName], settings: Settings
) -> Iterator[ModelFigures]:
    from opensearch_funnel.build.service import reachable_engine
    from opensearch_funnel.build.vector_figures import measure_forms
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.evaluating.model_figures import measure_model

    with terminal_progress() as progress:
        client = None
        for manifest in manifests:
            figures, run = measure_model(
                manifest, judged, threads=settings.threads, progress=progress
            )
            if forms and run.vectors is not None:
                if client is None:
                    client = connect(reachable_engine(settings, progress=progress))
                made = measure_forms(client, run, judged, forms=forms, progress=progress)
                figures = replace(figures, forms=made)
            yield figures


def _print(
    console: Console, found: Sequence[ModelFigures], *, title: str, left_out: dict[str, str]
) -> None:
    print_lines(console, [title])
    console.print(models_table(found))
    in_engine = [model for model in found if model.forms]
    if in_engine:
        console.print("\nThe vectors in the engine, in bytes a document and milliseconds a search:")
    for model in in_engine:
        console.print(forms_table(model))
    print_lines(console, [f"left out: {name}: {why}" for name, why in left_out.items()])


def models_table(found: Sequence[ModelFigures]) -> Table:
    """Lay out the models themselves, one a column, with 95 % intervals."""
    table = Table("", box=None, pad_edge=False)
    for model in found:
        table.add_column(model.name, justify="right", overflow="fold")
    for name in found[0].measures if found else ():
        table.add_row(name, *(_with_interval(model, name) for model in found))
    for label, cell in _ROWS.items():
        table.add_row(label, *(cell(model) for model in found))
    return table


def _with_interval(model: ModelFigures, name: str) -> Text:
    low, high = model.intervals[name]
    return Text(f"{model.measures[name]:.4f}").append(f"\n{low:.3f}-{high:.3f}", "dim")


_ROWS: Mapping[str, Callable[[ModelFigures], str]] = {
    "kind": lambda m: m.kind,
    "precision": lambda m: m.precision,
    "documents/s (cross-encoder: pairs/s)": lambda m: f"{m.documents_s:.1f}",
    "query ms p50 / p95": lambda m: f"{m.query_ms[0]:.1f} / {m.query_ms[1]:.1f}",
    "queries/s": lambda m: f"{m.queries_s:.1f}",
    "MB of files": lambda m: f"{m.size / _MEGABYTE:.1f}",
    "MB of memory at the height": lambda m: (
        "?" if m.memory is None else f"{m.memory / _MEGABYTE:.0f}"
    ),
    "numbers": lambda m: str(m.dimension),
    "terms of a document": lambda m: "" if m.terms is None else f"{m.terms:.0f}",
    "bytes of a document": lambda m: f"{m.bytes_per_document:,.0f}",
}


def forms_table(model: ModelFigures) -> Table:
    """Lay out what the engine made of a model's vectors."""
    table = Table("", box=None, pad_edge=False, title=model.name, title_justify="left")
    quality = ("recall@10", "nDCG@10", "R@100", "of exact")
    for name in (*quality, "bytes", "searched", "build s", "ms"):
        table.add_column(name, justify="right", no_wrap=True)
    exact = model.measures["R@100"]
    for form in model.forms:
        table.add_row(
            form.form,
            f"{form.recall:.3f}",
            f"{form.measures['nDCG@10']:.4f}",
            f"{form.measures['R@100']:.4f}",
            f"{form.measures['R@100'] / exact:.3f}" if exact else "-",
            f"{form.bytes_per_document:,.0f}",
            f"{form.searched_bytes_per_document:,.0f}",
            f"{form.build_s:.1f}",
            f"{form.query_ms:.1f}",
        )
    return table
