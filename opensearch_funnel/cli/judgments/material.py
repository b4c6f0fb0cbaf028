"""What is to be judged, as several commands take it: queries, runs and a corpus."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from opensearch_funnel.cli.choices import listed
from opensearch_funnel.cli.judgments.sources import (
    format_option,
    queries_option,
    read_source,
    split_option,
    strict_option,
    told_format,
)
from opensearch_funnel.core.errors import InputError

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.formats.findings import Finding
    from opensearch_funnel.evaluating.formats.model import Judgments
    from opensearch_funnel.evaluating.labelling.passages import Passage
    from opensearch_funnel.evaluating.labelling.pool import Pair

_OPTIONS = (
    click.option(
        "--run",
        "runs",
        type=click.Path(dir_okay=False, path_type=Path),
        multiple=True,
        required=True,
        help="A TREC run whose best documents are judged; may be given several times.",
    ),
    click.option(
        "--depth",
        type=click.IntRange(1),
        default=10,
        show_default=True,
        help="How many documents of each ranking.",
    ),
    click.option(
        "--seed", default=0, show_default=True, help="Another one shuffles in another way."
    ),
    click.option("--unjudged", is_flag=True, help="Leave out what QUERIES judges already."),
    format_option("--format", "format_name", "What QUERIES is;"),
    split_option,
    queries_option,
    format_option("--to-format", "to_format", "What TO is to be;"),
    click.option("--force", is_flag=True, help="Replace files at TO that have no journal."),
    strict_option,
)

passages_option = click.option(
    "--corpus",
    "--dataset",
    type=click.Path(exists=True, path_type=Path),
    default=None,
    help="The documents: a BEIR folder, or a file that funnel load takes  [default: that of a "
    "BEIR folder given as the first argument]",
)
fields_option = click.option(
    "--fields",
    default="title,text",
    show_default=True,
    callback=lambda _ctx, _option, value: listed(value),
    help="The field that is the title, then those that are the text.",
)


def material_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say what is judged; they come as ``material``'s arguments."""
    for option in reversed((*_OPTIONS, passages_option, fields_option)):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Material:
    """What is to be judged."""

    judgments: Judgments
    pairs: tuple[Pair, ...]
    passages: Mapping[str, Passage]
    findings: tuple[Finding, ...]


def gather(
    source: str,
    *,
    runs: tuple[Path, ...],
    depth: int,
    seed: int,
    unjudged: bool,
    format_name: str | None,
    split: str,
    queries: Path | None,
    corpus: Path | None,
    fields: tuple[str, ...],
) -> Material:
    """Read queries, runs and the texts of the documents.

    Raises:
        InputError: a file cannot be used, or there is nothing in common between them.
    """
    from opensearch_funnel.evaluating.formats.trec_run import read_run
    from opensearch_funnel.evaluating.labelling.pool import pooled

    read_as = told_format(source, format_name)
    read = read_source(source, format_name=read_as, split=split, queries=queries)
    found = [read_run(path) for path in runs]
    pool = pooled(
        [one.run for one in found], read.judgments, depth=depth, seed=seed, unjudged=unjudged
    )
    corpus = documents_of(source, format_name=read_as, corpus=corpus)
    pairs, passages, unknown = with_texts(pool.pairs, corpus=corpus, fields=fields)
    # That nobody has judged the queries yet is why they are here.
    findings = (
        *(finding for finding in read.findings if finding.kind.name != "UNJUDGED"),
        *(finding for one in found for finding in one.findings),
        *pool.findings,
        *unknown,
    )
    return Material(read.judgments, pairs, passages, findings)


def documents_of(source: str, *, format_name: str, corpus: Path | None) -> Path:
    """Return where the documents are: what was named, or the BEIR folder with the queries."""
    from opensearch_funnel.documents.readers import CORPUS_FILES

    if corpus is not None:
        return corpus
    if format_name == "beir":
        for own in (Path(source) / name for name in CORPUS_FILES):
            if own.is_file():
                return own
    raise click.UsageError("name the documents by --corpus: without their texts nobody can judge")


def with_texts(
    pairs: tuple[Pair, ...], *, corpus: Path, fields: tuple[str, ...]
) -> tuple[tuple[Pair, ...], Mapping[str, Passage], tuple[Finding, ...]]:
    """Return the pairs whose documents the corpus has, their texts, and what it lacks."""
    from opensearch_funnel.evaluating.formats.findings import Findings, Kind
    from opensearch_funnel.evaluating.labelling.passages import read_passages

    passages = read_passages(corpus, {pair.doc_id for pair in pairs}, fields=fields)
    findings = Findings()
    for pair in pairs:
        if pair.doc_id not in passages:
            example = f"document {pair.doc_id!r} for query {pair.query_id!r}"
            findings.add(Kind.RUN_UNKNOWN_DOCUMENT, example)
    there = tuple(pair for pair in pairs if pair.doc_id in passages)
    if pairs and not there:
        raise InputError(f"{corpus} has none of the documents, such as {pairs[0].doc_id!r}")
    return there, passages, findings.all()
