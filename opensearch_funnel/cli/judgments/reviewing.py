"""``funnel judgments review``: judge a sample again, blind, and see how far it agrees."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.exceptions import Exit
from rich.console import Console

from opensearch_funnel.cli.judgments.agreeing import print_agreement
from opensearch_funnel.cli.judgments.cards import grades_option, judge_at_terminal
from opensearch_funnel.cli.judgments.material import (
    documents_of,
    fields_option,
    passages_option,
    with_texts,
)
from opensearch_funnel.cli.judgments.sources import (
    findings_json,
    format_option,
    queries_option,
    read_source,
    split_option,
    strict_option,
    tell,
    told_format,
)
from opensearch_funnel.cli.output import emit, output_option, print_lines

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.labelling.review import Reviewed


@click.command()
@click.argument("file")
@click.option(
    "--size", type=click.IntRange(1), default=50, show_default=True, help="How many to judge again."
)
@click.option("--seed", default=0, show_default=True, help="The same one draws the same pairs.")
@click.option(
    "--at-least",
    type=click.FloatRange(-1, 1),
    default=0.4,
    show_default=True,
    help="The kappa below which the judgments are not to be used: exit code 1.",
)
@format_option("--format", "format_name", "What FILE is;")
@split_option
@queries_option
@passages_option
@fields_option
@grades_option
@strict_option
@output_option
def review(
    *,
    file: str,
    size: int,
    seed: int,
    at_least: float,
    format_name: str | None,
    split: str,
    queries: Path | None,
    corpus: Path | None,
    fields: tuple[str, ...],
    top: int,
    strict: bool,
    output: str,
) -> None:
    """Judge a sample of a file's judgments again without seeing them, and compare.

    For judgments by a language model before anything rests on them, and for those of another
    person. Each grade is on disk at once, in a journal beside FILE; the same command goes on.
    When the sample is done, Cohen's kappa is printed. Exit code 1 below --at-least, and while the
    sample is not done.

    Example: funnel judgments review by-model.csv --corpus corpus.jsonl --size 50
    """
    from opensearch_funnel.evaluating.labelling.journal import (
        PERSON,
        Journal,
        as_judgments,
        journal_of,
    )
    from opensearch_funnel.evaluating.labelling.review import reviewed, sampled_pairs
    from opensearch_funnel.evaluating.labelling.sitting import Sitting

    read_as = told_format(file, format_name)
    read = read_source(file, format_name=read_as, split=split, queries=queries)
    pairs = sampled_pairs(read.judgments, size=size, seed=seed, top=top)
    corpus = documents_of(file, format_name=read_as, corpus=corpus)
    pairs, passages, unknown = with_texts(pairs, corpus=corpus, fields=fields)
    findings = (*read.findings, *unknown)
    tell(findings, strict=strict)
    journal = Journal(journal_of(Path(f"{file.rstrip('/')}.review")), by=PERSON)
    journal.check(pairs)
    sitting = Sitting(pairs, journal=journal)
    judge_at_terminal(sitting, passages, top=top)
    result: dict[str, Any] = {
        "pairs": len(pairs),
        "done": sitting.done,
        "journal": str(journal.path),
        "at_least": at_least,
        "findings": findings_json(findings),
    }
    if sitting.left:
        line = (
            f"{sitting.done:,} of {len(pairs):,} reviewed, kept in {journal.path}: no verdict yet"
        )
        emit({**result, "passed": None}, output=output, table=lambda c: print_lines(c, [line]))
        raise Exit(1)
    found = reviewed(read.judgments, as_judgments(journal.decisions, like=read.judgments))
    kappa = found.agreement.kappa
    passed = kappa is not None and kappa >= at_least
    emit(
        {
            **result,
            **found.agreement.to_json(),
            "kappa_interval": found.interval,
            "reviewed_judge_higher": found.higher,
            "reviewed_judge_lower": found.lower,
            "passed": passed,
        },
        output=output,
        table=lambda console: _print(found, at_least=at_least, passed=passed, console=console),
    )
    if not passed:
        raise Exit(1)


def _print(found: Reviewed, *, at_least: float, passed: bool, console: Console) -> None:
    print_agreement(found.agreement, console=console)
    print_lines(console, _verdict(found, at_least=at_least, passed=passed))


def _verdict(found: Reviewed, *, at_least: float, passed: bool) -> list[str]:
    from opensearch_funnel.evaluating.labelling.review import in_words

    kappa = found.agreement.kappa
    apart = f"the file's grade is higher on {found.higher:,}, lower on {found.lower:,}"
    if kappa is None or found.interval is None:
        return [apart, "no verdict: both gave one grade to all, so there is nothing to agree on"]
    low, high = found.interval
    verdict = (
        f"at least {at_least:g}" if passed else f"below {at_least:g}: do not rest on this file"
    )
    lines = [
        f"{apart}; kappa's 95 % interval {low:.2f} to {high:.2f}",
        f"kappa {kappa:.3f} ({in_words(kappa)}) is {verdict}",
    ]
    if found.one_grade:
        lines.append(
            "one of the two gave one grade to all: kappa is then 0, whatever the other did"
        )
    return lines
