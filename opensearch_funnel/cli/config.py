"""``funnel config``: the settings in force, and where each comes from."""

from __future__ import annotations

import os
from typing import Any

import rich_click as click
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.settings import CONFIG_FILE, Settings, settings_table


@click.group()
def config() -> None:
    """The settings of this machine."""


@config.command()
@output_option
@engine_options
def show(settings: Settings, *, output: str) -> None:
    """Print every setting with its origin; secrets stay hidden.

    Example: FUNNEL_URL=http://127.0.0.1:9200 funnel config show
    """
    in_file = settings_table(CONFIG_FILE)
    rows: dict[str, dict[str, Any]] = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        shown = "(hidden)" if isinstance(value, SecretStr) else value
        origin = _origin(name, in_file=in_file, given=name in settings.model_fields_set)
        rows[name] = {"value": shown, "origin": origin}

    def table(console: Console) -> None:
        grid = Table("setting", "value", "origin")
        for name, row in rows.items():
            grid.add_row(name, str(row["value"]), row["origin"])
        console.print(grid)

    emit({"settings": rows}, output=output, table=table)


def _origin(name: str, *, in_file: dict[str, Any], given: bool) -> str:
    variable = f"FUNNEL_{name.upper()}"
    if not given:
        return "default"
    if variable in os.environ:
        return variable
    return str(CONFIG_FILE) if name in in_file else "flag"
