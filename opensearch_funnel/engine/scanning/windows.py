"""Pages that are no larger than what an index gives out at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError

_SETTING = "index.max_result_window"
Answer = TypeVar("Answer")


def ask_within_window(
    client: OpenSearch, index: str, *, size: int, ask: Callable[[int], Answer]
) -> tuple[Answer, int]:
    """Ask for so many documents, or for as many as an index gives out at once.

    The setting is read where the engine refuses, so that an index with the default, which holds
    all pages of ours, costs no request more; and it may be changed at any time.

    Args:
        client: made by ``connect``.
        index: one concrete index, or an alias of one.
        size: the most that is wanted; at most 10,000, the setting's default.
        ask: searches for so many.

    Returns:
        The answer, and how many documents were asked for: as many hits mean that there are more.

    Raises:
        EngineError: what ``ask`` raises for any other reason.
    """
    try:
        return ask(size), size
    except EngineError as error:
        # The engine names the setting in what it says.
        if _SETTING not in str(error):
            raise
        window = _window(client, index)
        if window >= size:
            raise
    return ask(window), window


def _window(client: OpenSearch, index: str) -> int:
    found = client.indices.get_settings(
        index=index, name=_SETTING, params={"flat_settings": "true", "include_defaults": "true"}
    )
    (one,) = found.values()
    return int({**one.get("defaults", {}), **one["settings"]}[_SETTING])
