"""``funnel models``: the models that the funnel runs."""

from __future__ import annotations

import rich_click as click

from opensearch_funnel.cli.lazy import LazyGroup

MODULES = {
    "list": "listing:list_models",
    "pull": "listing:pull_models",
    "add": "adding",
    "verify": "listing:verify_models",
    "export": "exporting",
    "quantize": "quantizing",
    "evaluate": "evaluating",
}


@click.group(cls=LazyGroup, modules=MODULES, package="opensearch_funnel.cli.models")
def models() -> None:
    """List, fetch, add, judge and verify the models that the funnel runs.

    A manifest says what a model is, where its files come from, and the SHA-256 of each. Commands
    that need a model fetch it themselves; pull does so before.
    """
