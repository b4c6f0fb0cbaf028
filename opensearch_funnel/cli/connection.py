"""The options of every command that talks to a cluster."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import rich_click as click

from opensearch_funnel.settings import Settings, load_settings


def engine_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--url`` and hand the command its ``settings``.

    Credentials come from ``FUNNEL_USERNAME`` and ``FUNNEL_PASSWORD`` alone: a password on a
    command line can be read by everyone on the machine.
    """

    @click.option("--url", default=None, help="Address of the cluster  [env: FUNNEL_URL]")
    @wraps(command)
    def with_settings(*args: Any, url: str | None, **kwargs: Any) -> Any:
        settings: Settings = load_settings(url=url)
        return command(*args, settings=settings, **kwargs)

    return with_settings
