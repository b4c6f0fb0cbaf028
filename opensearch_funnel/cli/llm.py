"""``funnel llm``: the language model of the settings, and what it has cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.settings import load_settings

if TYPE_CHECKING:
    from opensearch_funnel.llm.ledger import Total


@click.group()
def llm() -> None:
    """The language model of the settings, and what it has cost."""


@llm.command()
@output_option
def check(*, output: str) -> None:
    """Ask the language model one word, and say how long that took and what it cost.

    The question is new every time: nothing is taken from the answers that are kept. What it takes
    is written into the ledger like every other call.

    Example: FUNNEL_LLM_URL=http://127.0.0.1:11434/v1 FUNNEL_LLM_MODEL=qwen3 funnel llm check
    """
    from opensearch_funnel.llm.client import Prompt, open_llm
    from opensearch_funnel.llm.spending import Message

    settings = load_settings()
    question = (Message("user", "Answer with the one word: ready"),)
    with open_llm(settings) as model:
        answer = model.ask(Prompt(messages=question, purpose="check", remember=False))
    result = {
        "url": settings.llm_url,
        "model": settings.llm_model,
        "answer": " ".join(answer.value.split())[:60],
        "seconds": round(answer.seconds, 3),
        "tries": answer.tries,
        "tokens_in": answer.tokens.sent,
        "tokens_out": answer.tokens.written,
        "estimated": answer.estimated,
        "cost": answer.cost,
        "priced": bool(settings.llm_input_price or settings.llm_output_price),
    }
    emit(result, output=output)


@llm.command()
@click.option(
    "--days",
    type=click.IntRange(min=1, max=36_500),
    default=30,
    show_default=True,
    help="How many days to look back, today (UTC) among them.",
)
@output_option
def ledger(*, days: int, output: str) -> None:
    """Print what calls to language models took: by day, purpose and model.

    Example: funnel llm ledger --days 7
    """
    from opensearch_funnel.llm.client import open_ledger

    settings = load_settings()
    book = open_ledger(settings)
    totals = book.totals(days=days)
    today = [total for total in totals if total.day == book.today()]
    result = {
        "path": str(book.path),
        "rows": [asdict(total) for total in totals],
        "today": {
            "tokens": sum(total.tokens_in + total.tokens_out for total in today),
            "tokens_allowed": settings.llm_tokens_per_day,
            "cost": sum(total.cost for total in today),
            "cost_allowed": settings.llm_cost_per_day,
        },
        "cost": sum(total.cost for total in totals),
    }
    emit(result, output=output, table=lambda console: _print(totals, console=console))


def _print(totals: Sequence[Total], *, console: Console) -> None:
    if not totals:
        console.print("no calls")
        return
    grid = Table("day", "purpose", "model", "calls", "tokens in", "tokens out", "cost", "of which")
    grid.columns[0].no_wrap = True
    for total in totals:
        counts = {
            "cached": total.cached,
            "failed": total.failed,
            "open": total.open,
            "estimated": total.estimated,
        }
        grid.add_row(
            total.day,
            total.purpose,
            total.model,
            f"{total.calls:,}",
            f"{total.tokens_in:,}",
            f"{total.tokens_out:,}",
            f"{total.cost:,.4f}",
            ", ".join(f"{count:,} {name}" for name, count in counts.items() if count),
        )
    console.print(grid)
