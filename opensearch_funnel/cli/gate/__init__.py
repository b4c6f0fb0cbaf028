"""``funnel gate``: checks for a CI that fails when search gets worse."""

from __future__ import annotations

import rich_click as click

from opensearch_funnel.cli.lazy import LazyGroup

MODULES = {
    "quality": "quality",
    "freshness": "freshness",
    "quantized": "models:quantized",
    "drift": "models:drift",
}
_FIRST = "quality"


class _GateGroup(LazyGroup):
    """Takes options without a command for those of ``quality``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the command in front that was left out."""
        if args and args[0].startswith("-") and args[0] not in ctx.help_option_names:
            args = [_FIRST, *args]
        return super().parse_args(ctx, args)


@click.group(cls=_GateGroup, modules=MODULES, package="opensearch_funnel.cli.gate")
def gate() -> None:
    """Checks for CI: each exits with 1 when search got worse, and says what, by how much and why.

    funnel gate --baseline FILE --dataset DIR is short for funnel gate quality.
    """
