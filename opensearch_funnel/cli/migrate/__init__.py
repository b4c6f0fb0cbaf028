"""``funnel migrate``: an existing index on its way to one with funnel fields."""

from __future__ import annotations

import rich_click as click

from opensearch_funnel.cli.lazy import LazyGroup

MODULES = {
    "plan": "planning",
    "run": "running",
    "status": "running",
    "pause": "running",
    "resume": "running",
    "verify": "proving",
    "cutover": "switching",
    "rollback": "switching",
    "repair": "repairing",
    "compare": "comparing",
    "drop": "dropping",
    "cleanup": "switching",
}


@click.group(cls=LazyGroup, modules=MODULES, package="opensearch_funnel.cli.migrate")
def migrate() -> None:
    """Bring an index that is in use into the form that the funnel searches, without downtime.

    In this order: plan, run, verify, cutover; rollback undoes the cutover, cleanup ends it.
    """
