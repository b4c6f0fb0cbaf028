"""``funnel judgments check``: what a file has, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from opensearch_funnel.cli.judgments.sources import (
    corpus_ids,
    corpus_option,
    findings_json,
    format_option,
    queries_option,
    read_source,
    split_option,
    strict_option,
    tell,
    told_format,
)
from opensearch_funnel.cli.output import emit, output_option

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.formats.findings import Finding

_Checked = tuple[dict[str, Any], tuple["Finding", ...]]


@click.command()
@click.argument("file")
@format_option("--format", "format_name", "What FILE is;")
@split_option
@queries_option
@corpus_option
@click.option(
    "--judgments",
    "judgments_file",
    default=None,
    help="Of a run: the judgments, to tell queries that only one of the two has.",
)
@strict_option
@output_option
def check(
    *,
    file: str,
    format_name: str | None,
    split: str,
    queries: Path | None,
    corpus: Path | None,
    judgments_file: str | None,
    strict: bool,
    output: str,
) -> None:
    """Say what a file of judgments or a run has, and what is wrong with it.

    Example: funnel judgments check datasets/scifact --split test --strict
    """
    read_as = told_format(file, format_name)
    ids = corpus_ids(corpus, name=file, format_name=read_as)
    if read_as == "trec-run":
        found, findings = _run(file, ids=ids, judgments_file=judgments_file, split=split)
    else:
        found, findings = _judgments(file, ids=ids, options=(read_as, split, queries))
    emit(
        {"file": file, "format": read_as, **found}
        | ({"findings": findings_json(findings)} if output == "json" else {}),
        output=output,
    )
    tell(findings, strict=strict)


def _judgments(
    file: str, *, ids: frozenset[str] | None, options: tuple[str, str, Path | None]
) -> _Checked:
    from opensearch_funnel.evaluating.formats.against import judgments_against_corpus
    from opensearch_funnel.evaluating.formats.grades import plain

    format_name, split, queries = options
    read = read_source(file, format_name=format_name, split=split, queries=queries)
    judgments = read.judgments
    grades = Counter(grade for query in judgments.queries for grade in query.grades.values())
    unknown = () if ids is None else judgments_against_corpus(judgments, ids)
    return {
        "queries": len(judgments.queries),
        "judged_queries": sum(bool(query.grades) for query in judgments.queries),
        "judgments": judgments.count,
        "documents": len({doc_id for query in judgments.queries for doc_id in query.grades}),
        "grades": {plain(grade): grades[grade] for grade in sorted(grades)},
    }, (*read.findings, *unknown)


def _run(
    file: str, *, ids: frozenset[str] | None, judgments_file: str | None, split: str
) -> _Checked:
    from opensearch_funnel.evaluating.formats.against import (
        run_against_corpus,
        run_against_judgments,
    )
    from opensearch_funnel.evaluating.formats.trec_run import read_run

    read = read_run(Path(file))
    findings = read.findings
    if ids is not None:
        findings += run_against_corpus(read.run, ids)
    if judgments_file is not None:
        format_name = told_format(judgments_file, None)
        judged = read_source(judgments_file, format_name=format_name, split=split, queries=None)
        findings += run_against_judgments(read.run, judged.judgments)
    lengths = [len(ranking) for ranking in read.run.rankings.values()]
    return {
        "tag": read.run.tag,
        "queries": len(lengths),
        "documents": sum(lengths),
        "shortest": min(lengths, default=0),
        "longest": max(lengths, default=0),
    }, findings
