"""``funnel judgments sample``: queries of a log, to be judged."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.judgments.sources import (
    findings_json,
    format_option,
    say,
    strict_option,
    tell,
)
from opensearch_funnel.cli.output import emit, output_option

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.formats.detecting import Format
    from opensearch_funnel.evaluating.formats.findings import Finding
    from opensearch_funnel.evaluating.formats.model import Judgments
    from opensearch_funnel.evaluating.query_log import LoggedQuery
    from opensearch_funnel.evaluating.query_sampling import QuerySample


@click.command()
@click.argument("log", type=click.Path(path_type=Path))
@click.argument("target", metavar="TO", type=click.Path(path_type=Path))
@click.option(
    "--size", type=click.IntRange(1), default=200, show_default=True, help="How many queries."
)
@click.option("--seed", default=0, show_default=True, help="The same one draws the same queries.")
@click.option(
    "--run",
    "run_file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="A TREC run over the queries of the log: easy and hard ones are drawn equally.",
)
@click.option(
    "--queries",
    type=click.Path(dir_okay=False, path_type=Path),
    default=None,
    help="The texts of the run's queries: id, tab, text.",
)
@format_option("--to-format", "to_format", "What TO is to be;")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option("--dry-run", is_flag=True, help="Say what would be drawn, and write nothing.")
@strict_option
@output_option
def sample(
    *,
    log: Path,
    target: Path,
    size: int,
    seed: int,
    run_file: Path | None,
    queries: Path | None,
    to_format: Format | None,
    force: bool,
    dry_run: bool,
    strict: bool,
    output: str,
) -> None:
    """Draw the queries of an evaluation set from a query log.

    LOG is an export of UBI's ubi_queries (ndjson), or text: a query a line, with a tab and a count
    behind it or without. Head, torso and tail are the queries that make a third of all searches
    each; as many of each are drawn. With --run, each of them also in halves, by how far the best
    scores of a ranking lie apart.

    Example: funnel judgments sample ubi_queries.ndjson queries.ndjson --size 200 --seed 7
    """
    from opensearch_funnel.evaluating.formats.detecting import format_of_target
    from opensearch_funnel.evaluating.formats.writing import judgments_files, save
    from opensearch_funnel.evaluating.query_log import read_query_log
    from opensearch_funnel.evaluating.query_sampling import sample_queries

    if (run_file is None) != (queries is None):
        raise click.UsageError("--run and --queries go together: the run knows queries by id")
    if to_format is None:
        detected = format_of_target(target, judged=False)
        to_format = detected.format
        say(f"{target}: written as {to_format} ({detected.reason})")
    read = read_query_log(log)
    findings = read.findings
    spread = None
    if run_file is not None and queries is not None:
        spread, told = _spreads(run_file, queries, logged=read.queries)
        findings += told
    drawn = sample_queries(read.queries, size=size, seed=seed, spread=spread)
    written = judgments_files(_as_judgments(drawn), target, format=to_format)
    findings += written.findings
    tell(findings, strict=strict)
    if not dry_run:
        save(written.files, replacing=force)
    emit(
        {
            "queries": len(drawn.queries),
            "seed": seed,
            "files": [str(path) for path in written.files],
            "written": not dry_run,
            "strata": [asdict(stratum) for stratum in drawn.strata],
            "findings": findings_json(findings),
        },
        output=output,
        table=lambda console: _print(drawn, console=console),
    )


def _spreads(
    run_file: Path, queries: Path, *, logged: tuple[LoggedQuery, ...]
) -> tuple[dict[str, float], tuple[Finding, ...]]:
    from opensearch_funnel.evaluating.formats.findings import Findings, Kind
    from opensearch_funnel.evaluating.formats.trec import query_texts
    from opensearch_funnel.evaluating.formats.trec_run import read_run
    from opensearch_funnel.evaluating.query_sampling import spreads
    from opensearch_funnel.training.clicks import same_query

    read = read_run(run_file)
    texts = {query_id: same_query(text) for _, query_id, text in query_texts(queries)}
    known = spreads(read.run, texts)
    findings = Findings()
    found = {}
    for query in logged:
        if (same := same_query(query.text)) in known:
            found[query.text] = known[same]
        else:
            findings.add(Kind.NOT_RANKED, f"{query.text!r}")
    return found, (*read.findings, *findings.all())


def _as_judgments(drawn: QuerySample) -> Judgments:
    from opensearch_funnel.evaluating.formats.model import JudgedQuery, Judgments, made_id

    queries = []
    for found in drawn.queries:
        fields: dict[str, Any] = {"band": found.band, "searches": str(found.query.count)}
        if found.difficulty != "unknown":
            fields["difficulty"] = found.difficulty
        text = found.query.text
        queries.append(JudgedQuery(query_id=made_id(text), text=text, fields=fields))
    return Judgments(queries=tuple(queries), made_ids=True)


def _print(drawn: QuerySample, *, console: Console) -> None:
    table = Table("part", "difficulty", "queries", "searches", "drawn")
    for stratum in drawn.strata:
        cells = (stratum.queries, stratum.searches, stratum.drawn)
        table.add_row(stratum.band, stratum.difficulty, *(f"{cell:,}" for cell in cells))
    console.print(table)
