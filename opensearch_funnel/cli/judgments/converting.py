"""``funnel judgments convert``: from any format to any other that can hold it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click

from opensearch_funnel.cli.judgments.sources import (
    corpus_ids,
    corpus_option,
    findings_json,
    format_option,
    queries_option,
    read_source,
    say,
    split_option,
    strict_option,
    tell,
    told_format,
)
from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.core.errors import InputError

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.formats.detecting import Format
    from opensearch_funnel.evaluating.formats.findings import Finding


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO", type=click.Path(path_type=Path))
@format_option("--from-format", "from_format", "What FROM is;")
@format_option("--to-format", "to_format", "What TO is to be;")
@split_option
@queries_option
@corpus_option
@click.option("--round", "rounding", is_flag=True, help="Round grades where TO has whole ones.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--dry-run", is_flag=True, help="Say what would be written, and write nothing.")
@strict_option
@output_option
def convert(
    *,
    source: str,
    target: Path,
    from_format: str | None,
    to_format: Format | None,
    split: str,
    queries: Path | None,
    corpus: Path | None,
    rounding: bool,
    force: bool,
    dry_run: bool,
    strict: bool,
    output: str,
) -> None:
    """Write judgments, a query set or a run in another format.

    What is odd in FROM and what TO cannot hold is told with its count; a query, an id or a grade
    that TO cannot hold at all is an error, and then nothing is written.

    Example: funnel judgments convert esci_us_judgments.json ratings.csv
    """
    from opensearch_funnel.evaluating.formats.detecting import format_of_target
    from opensearch_funnel.evaluating.formats.writing import save

    read_as = told_format(source, from_format)
    if to_format is None:
        detected = format_of_target(target, judged=read_as != "workbench-queries")
        to_format = detected.format
        say(f"{target}: written as {to_format} ({detected.reason})")
    if read_as == "trec-run":
        files, findings, counts = _run(source, target, to_format=to_format)
    else:
        files, findings, counts = _judgments(
            source,
            target,
            formats=(read_as, to_format),
            split=split,
            queries=queries,
            corpus=corpus,
            rounding=rounding,
        )
    tell(findings, strict=strict)
    if not dry_run:
        save(files, replacing=force)
    emit(
        {
            "from_format": read_as,
            "to_format": to_format,
            "files": [str(path) for path in files],
            "written": not dry_run,
            **counts,
            "findings": findings_json(findings),
        },
        output=output,
        table=lambda console: console.print(
            f"{'would write' if dry_run else 'wrote'} {', '.join(map(str, files))}: "
            + ", ".join(f"{count:,} {name}" for name, count in counts.items()),
            highlight=False,
            soft_wrap=True,
            markup=False,
        ),
    )


_Converted = tuple[dict[Path, str], tuple["Finding", ...], dict[str, int]]


def _judgments(
    source: str,
    target: Path,
    *,
    formats: tuple[str, Format],
    split: str,
    queries: Path | None,
    corpus: Path | None,
    rounding: bool,
) -> _Converted:
    from opensearch_funnel.evaluating.formats.against import judgments_against_corpus
    from opensearch_funnel.evaluating.formats.writing import judgments_files

    read_as, to_format = formats
    read = read_source(source, format_name=read_as, split=split, queries=queries)
    ids = corpus_ids(corpus, name=source, format_name=read_as)
    unknown = () if ids is None else judgments_against_corpus(read.judgments, ids)
    written = judgments_files(
        read.judgments, target, format=to_format, split=split, rounding=rounding
    )
    counts = {"queries": len(read.judgments.queries), "judgments": read.judgments.count}
    return dict(written.files), (*read.findings, *unknown, *written.findings), counts


def _run(source: str, target: Path, *, to_format: str) -> _Converted:
    from opensearch_funnel.evaluating.formats.trec_run import read_run, run_files

    if to_format != "trec-run":
        raise InputError(f"{source} is a run, which can be written as trec-run and nothing else")
    read = read_run(Path(source))
    lengths = [len(ranking) for ranking in read.run.rankings.values() if ranking]
    counts = {"queries": len(lengths), "documents": sum(lengths)}
    return run_files(read.run, target), read.findings, counts
