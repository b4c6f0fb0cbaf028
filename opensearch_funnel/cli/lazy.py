"""A group of commands that imports a command's module when the command is used."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import rich_click as click


class LazyGroup(click.RichGroup):
    """Names its commands, and imports one only when it is called.

    So ``funnel --help`` needs neither a client nor a model runtime.

    Args:
        modules: command → the module, below ``package``, that has a command of that name, or
            ``module:name`` where it is called otherwise there; in the order in which a new user
            meets them.
        package: where the modules are.
    """

    def __init__(self, *args: Any, modules: Mapping[str, str], package: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._modules = modules
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order in which a new user meets them."""
        del ctx
        return list(self._modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        del ctx
        place = self._modules.get(cmd_name)
        if place is None:
            return None
        module, _, name = place.partition(":")
        found = import_module(f"{self._package}.{module}")
        command: click.Command = getattr(found, name or cmd_name)
        return command
