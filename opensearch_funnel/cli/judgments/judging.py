"""``funnel judgments judge``: judge by hand, in the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from opensearch_funnel.cli.judgments.cards import again_option, grades_option, judge_at_terminal
from opensearch_funnel.cli.judgments.material import gather, material_options
from opensearch_funnel.cli.judgments.sources import findings_json, tell
from opensearch_funnel.cli.judgments.targets import (
    Target,
    counts_told,
    files_told,
    tell_once,
)
from opensearch_funnel.cli.output import emit, output_option, print_lines

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.formats.detecting import Format


@click.command()
@click.argument("source", metavar="QUERIES")
@click.argument("target", metavar="TO", type=click.Path(path_type=Path))
@material_options
@grades_option
@again_option
@output_option
def judge(
    *,
    source: str,
    target: Path,
    to_format: Format | None,
    force: bool,
    strict: bool,
    top: int,
    again: bool,
    output: str,
    **material: Any,
) -> None:
    """Judge the best documents of one or more systems by hand, one at a time.

    The documents of a query come in an order of chance, so that nobody sees which system found
    what. Each grade is on disk before the next is asked for, in a journal beside TO; the same
    command goes on where it stopped. At every end TO is written anew from the journal. Keys can
    also come as lines of standard input.

    Example: funnel judgments judge queries.ndjson mine.csv --run bm25.run --corpus corpus.jsonl
    """
    from opensearch_funnel.evaluating.labelling.journal import PERSON, Journal
    from opensearch_funnel.evaluating.labelling.sitting import Sitting

    found = gather(source, **material)
    tell(found.findings, strict=strict)
    to = Target(target, to_format=to_format, split=material["split"], like=found.judgments)
    to.check(found.pairs, by=PERSON, force=force)
    journal = Journal(to.journal, by=PERSON)
    journal.check(found.pairs)
    sitting = Sitting(found.pairs, journal=journal, again=again)
    files: list[str] = []
    try:
        judge_at_terminal(sitting, found.passages, top=top)
    finally:
        files, lost = to.write(journal)
    tell_once(lost)
    counts = sitting.counts()
    lines = (
        f"judged {sitting.done:,} of {len(sitting.pairs):,}"
        + (f" ({counts_told(counts)})" if counts else ""),
        files_told(to.journal, files) if journal.decisions else "nothing is written",
    )
    emit(
        {
            "pairs": len(sitting.pairs),
            "done": sitting.done,
            "left": sitting.left,
            "grades": counts,
            "journal": str(to.journal),
            "files": files,
            "findings": findings_json((*found.findings, *lost)),
        },
        output=output,
        table=lambda console: print_lines(console, lines),
    )
