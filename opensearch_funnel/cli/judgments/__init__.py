"""``funnel judgments``: query sets and judgments, in the formats that people have."""

from __future__ import annotations

import rich_click as click

from opensearch_funnel.cli.lazy import LazyGroup

MODULES = {
    "convert": "converting:convert",
    "check": "checking:check",
    "sample": "sampling:sample",
    "judge": "judging:judge",
    "clicks": "clicking:clicks",
    "ask": "asking:ask",
    "review": "reviewing:review",
    "agreement": "agreeing:agreement",
}


@click.group(cls=LazyGroup, modules=MODULES, package="opensearch_funnel.cli.judgments")
def judgments() -> None:
    """Judged queries: convert, check and sample them, judge them in three ways, and compare.

    Formats: BEIR folders, TREC qrels and runs, Quepid's CSV, judgments and query sets of the
    Search Relevance Workbench, and names that ir_datasets knows.
    """
