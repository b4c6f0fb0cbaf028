"""``funnel demo``: from nothing to an answering funnel, with figures."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import rich_click as click
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.output import emit, output_option, print_lines
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.settings import NODE_PORT, load_settings

if TYPE_CHECKING:
    from opensearch_funnel.demo.story import Story


@click.command()
@click.option("--once", is_flag=True, help="Exit when done, and stop what was started.")
@click.option("--url", default=None, help="A cluster of yours, instead of the embedded node.")
@click.option("--port", default=NODE_PORT, show_default=True, help="Port of the embedded node.")
@output_option
def demo(*, once: bool, url: str | None, port: int, output: str) -> None:
    """Turn the documentation of Python's standard library into a funnel, and measure it.

    Starts an OpenSearch, indexes the corpus for BM25, encodes it, applies the search pipeline,
    asks the same plain questions before and after, and measures every system on 100 judged
    questions. What was fetched and encoded is used again by the next run.

    Example: funnel demo --once --output json
    """
    from opensearch_funnel.build.evaluation import Bench
    from opensearch_funnel.demo.story import ALIAS, Clock, Fetched, told
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.engine.node import start_node, stop_node

    start = time.monotonic()
    clock = Clock()
    with terminal_progress() as shown, ExitStack() as stack:
        progress = Fetched(shown)
        settings = load_settings(url=url)
        if url is None:
            with clock.step("node"):
                node = start_node(port=port, home=settings.home, progress=progress)
            if once and not node.was_running:
                stack.callback(stop_node, port=node.port, home=settings.home)
            settings = settings.model_copy(update={"url": node.url})
        bench = Bench(client=connect(settings), settings=settings, progress=progress)
        story, service = stack.enter_context(told(bench, home=settings.home, clock=clock))
        total = time.monotonic() - start
        emit(
            _as_json(story, seconds=total, fetched=progress.bytes),
            output=output,
            table=lambda console: _print(story, seconds=total, console=console),
        )
        if not once:
            progress.say(
                f"the funnel answers on {settings.url}/{ALIAS}/_search, the service runs at "
                f"{service}; Ctrl-C stops"
            )
            while True:
                time.sleep(1)


def _as_json(story: Story, *, seconds: float, fetched: int) -> dict[str, Any]:
    report = story.measured.report.to_json()
    return {
        "opensearch": story.version,
        "documents": story.documents,
        "encoded": story.encoded,
        "fetched_bytes": fetched,
        "questions": report["queries"],
        "systems": report["systems"],
        "gain_over_bm25": {name: round(value, 4) for name, value in story.gain.items()},
        "degraded": sum(system["degraded"] for system in report["systems"].values())
        + sum(example.degraded for example in story.examples),
        "plan": story.plan.to_dict(),
        "examples": [
            {
                "question": example.question,
                "bm25": list(example.before),
                "funnel": list(example.after),
                "degraded": example.degraded,
            }
            for example in story.examples
        ],
        "seconds": {**story.seconds, "total": round(seconds, 2)},
    }


def _print(story: Story, *, seconds: float, console: Console) -> None:
    from opensearch_funnel.cli.evaluation_tables import reranking_lines, systems_table

    console.print(
        f"OpenSearch {story.version}, {story.documents:,} documents of Python's standard library"
    )
    for example in story.examples:
        grid = Table("plain match: BM25", "the same request, by the funnel", title=example.question)
        for before, after in zip(example.before, example.after, strict=False):
            grid.add_row(before, after)
        console.print(grid)
    console.print(systems_table(story.measured.report))
    gain = story.gain
    console.print(
        f"nDCG@10 of the funnel against BM25: {gain['relative']:+.1%} "
        f"(95 % interval {gain['low']:+.1%} to {gain['high']:+.1%})"
    )
    print_lines(console, reranking_lines(story.plan.rerank))
    steps = ", ".join(f"{name} {taken:.0f} s" for name, taken in story.seconds.items())
    console.print(f"{seconds:.0f} s in all: {steps}")
