"""Take a step back without hiding why."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import ParamSpec

from opensearch_funnel.core.errors import EngineError

logger = logging.getLogger(__name__)

Arguments = ParamSpec("Arguments")


def undo_quietly(
    step: Callable[Arguments, object], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> None:
    """Take one step back; a refusal is logged, so that the error that led here stays the one.

    Args:
        step: what to call.
        args: its arguments.
        kwargs: its named arguments.
    """
    try:
        step(*args, **kwargs)
    except EngineError as error:
        logger.warning("not undone (%s): %s", getattr(step, "__name__", "a step"), error)
