"""``funnel judgments ask``: let a language model judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click
from click.exceptions import Exit

from opensearch_funnel.cli.judgments.material import Material, gather, material_options
from opensearch_funnel.cli.judgments.sources import findings_json, tell
from opensearch_funnel.cli.judgments.targets import (
    Target,
    counts_told,
    files_told,
    tell_once,
)
from opensearch_funnel.cli.output import emit, output_option, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.settings import Settings, load_settings

if TYPE_CHECKING:
    from opensearch_funnel.evaluating.formats.detecting import Format
    from opensearch_funnel.evaluating.labelling.journal import Journal
    from opensearch_funnel.evaluating.labelling.model_judge import Outcome


@click.command()
@click.argument("source", metavar="QUERIES")
@click.argument("target", metavar="TO", type=click.Path(path_type=Path))
@material_options
@click.option(
    "--parallel",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    help="How many calls run at once.",
)
@click.option(
    "--dry-run", is_flag=True, help="Say how many calls it takes, tokens and cost; ask nothing."
)
@output_option
def ask(
    *,
    source: str,
    target: Path,
    to_format: Format | None,
    force: bool,
    strict: bool,
    parallel: int,
    dry_run: bool,
    output: str,
    **material: Any,
) -> None:
    """Let the language model of the settings judge the best documents of one or more systems.

    Each grade from 0 to 3 is on disk at once, marked with the model and the prompt, in a journal
    beside TO; the same command goes on where it stopped. It stops at the budget of the settings,
    or when calls keep failing, with what it has: exit code 1. What a model's grades are worth on
    your data is not known until a person has looked: funnel judgments review.

    Example: funnel judgments ask queries.ndjson asked.csv --run a.run --corpus docs.jsonl --dry-run
    """
    from opensearch_funnel.evaluating.labelling.journal import Journal
    from opensearch_funnel.evaluating.labelling.model_judge import ModelJudge
    from opensearch_funnel.evaluating.labelling.prompt import judge_name
    from opensearch_funnel.llm.client import open_llm

    settings = load_settings()
    if not settings.llm_model:
        raise InputError("no language model is set: put its name into FUNNEL_LLM_MODEL")
    found = gather(source, **material)
    tell(found.findings, strict=strict)
    by = judge_name(settings.llm_model)
    to = Target(target, to_format=to_format, split=material["split"], like=found.judgments)
    to.check(found.pairs, by=by, force=force)
    journal = Journal(to.journal, by=by)
    journal.check(found.pairs)
    if dry_run:
        _tell_cost(found, journal=journal, settings=settings, output=output)
        return
    files: list[str] = []
    try:
        with open_llm(settings) as llm, terminal_progress() as progress:
            judge = ModelJudge(
                llm=llm, passages=found.passages, parallel=parallel, progress=progress
            )
            outcome = judge.judge(found.pairs, journal=journal)
    finally:
        files, lost = to.write(journal)
    tell_once(lost)
    left = sum(pair.key not in journal.decisions for pair in found.pairs)
    emit(
        {
            "judged_by": by,
            "pairs": len(found.pairs),
            "left": left,
            "judged_now": outcome.judged,
            "from_cache": outcome.cached,
            "grades_now": {str(g): outcome.grades[g] for g in sorted(outcome.grades)},
            "failures": dict(outcome.failures),
            "stopped": outcome.stopped or None,
            "tokens_in": outcome.tokens.sent,
            "tokens_out": outcome.tokens.written,
            "cost": outcome.cost,
            "journal": str(to.journal),
            "files": files,
            "reviewed": False,
            "findings": findings_json((*found.findings, *lost)),
        },
        output=output,
        table=lambda console: print_lines(
            console, _lines(outcome, material=found, left=left, where=files_told(to.journal, files))
        ),
    )
    if left:
        raise Exit(1)


def _lines(outcome: Outcome, *, material: Material, left: int, where: str) -> list[str]:
    grades = counts_told({str(g): outcome.grades[g] for g in sorted(outcome.grades)})
    pairs = len(material.pairs)
    lines = [
        f"judged {pairs - left:,} of {pairs:,}, now {outcome.judged:,}"
        + (f" ({grades})" if grades else ""),
        f"{outcome.tokens.sent:,} tokens sent and {outcome.tokens.written:,} written",
        f"cost {outcome.cost:.4f}; {outcome.cached:,} answers were known and cost nothing",
        where,
        *(f"failed {count:,} x: {what}" for what, count in outcome.failures.most_common(3)),
    ]
    if outcome.stopped:
        lines.append(f"stopped: {outcome.stopped}")
    if left:
        lines.append(f"{left:,} are left: the same command goes on")
    if pairs > left:
        lines.append(
            "these are a model's grades, not yet checked: funnel judgments review compares them "
            "with your own"
        )
    return lines


def _tell_cost(found: Material, *, journal: Journal, settings: Settings, output: str) -> None:
    from opensearch_funnel.evaluating.labelling.model_judge import estimated, to_ask
    from opensearch_funnel.llm.spending import Prices

    todo = to_ask(found.pairs, journal)
    estimate = estimated(todo, found.passages)
    prices = Prices(sent=settings.llm_input_price, written=settings.llm_output_price)
    priced = bool(prices.sent or prices.written)
    result = {
        "judged_by": journal.by,
        "pairs": len(found.pairs),
        "calls": estimate.calls,
        "tokens_in": estimate.likely.sent,
        "tokens_out": estimate.likely.written,
        "most_tokens": estimate.most.total,
        "cost": prices.cost(estimate.likely) if priced else None,
        "most_cost": prices.cost(estimate.most) if priced else None,
        "tokens_per_day": settings.llm_tokens_per_day,
        "cost_per_day": settings.llm_cost_per_day,
    }
    money = (
        f"cost about {result['cost']:,.2f}, at most {result['most_cost']:,.2f}"
        if priced
        else "cost unknown: FUNNEL_LLM_INPUT_PRICE and FUNNEL_LLM_OUTPUT_PRICE are not set"
    )
    likely = estimate.likely
    tokens = f"about {likely.sent:,} tokens sent and {likely.written:,} written"
    lines = (
        f"{estimate.calls:,} calls to judge {len(found.pairs):,} pairs",
        f"{tokens}, more by a model that thinks aloud; at most {estimate.most.total:,} in all",
        f"a day may take {settings.llm_tokens_per_day:,} (FUNNEL_LLM_TOKENS_PER_DAY)",
        money,
    )
    emit(result, output=output, table=lambda console: print_lines(console, lines))
