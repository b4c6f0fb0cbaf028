"""Options that take several names with commas between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import rich_click as click


def names_option(
    flag: str, *, known: Sequence[str], help_text: str
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add an option that takes any of the known names, all of them by default.

    Args:
        flag: the option, for example ``--systems``.
        known: the names there are, in the order of the default.
        help_text: what the option is for.
    """

    def chosen(_ctx: click.Context, _option: click.Parameter, value: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise click.BadParameter(
                f"no {', '.join(unknown) or 'name given'}; there are: {', '.join(known)}"
            )
        return names

    return click.option(
        flag, default=",".join(known), show_default=True, callback=chosen, help=help_text
    )
