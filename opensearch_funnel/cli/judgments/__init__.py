"""``funnel judgments``: query sets and judgments, in the formats that people have."""

from __future__ import annotations

import rich_click as click

from opensearch_funnel.cli.lazy import LazyGroup

MODULES = {
    "convert": "converting:convert",
    "check": "checking:check",
    "sample": "sampling:sample",
    "agreement": "agreeing:agreement",
}


@click.group(cls=LazyGroup, modules=MODULES, package="opensearch_funnel.cli.judgments")
def judgments() -> None:
    """Convert, check, sample and compare judged queries.

    Formats: BEIR folders, TREC qrels and runs, Quepid's CSV, judgments and query sets of the
    Search Relevance Workbench, and names that ir_datasets knows.
    """
