"""Aliases from one index to another, in one call that can still be called off.

Two facts of the engine carry this. One call of the alias API is one change of the cluster state:
searches and writes see all of it or nothing. And a ``remove`` with ``must_exist`` makes the whole
call fail where the alias is gone. So each attempt gets a fence, an alias of its own that the call
takes away: whoever takes the fence away first, the swap or the one who calls it off, has decided.
A call that is still on its way when its sender has died cannot move anything after that.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError

Aliases = dict[str, dict[str, Any]]
_MISSING = "aliases_not_found_exception"


def swap_actions(
    aliases: Mapping[str, Mapping[str, Any]], *, old: str, new: str, gone: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return the actions that move aliases, each with its filter, routing and flags.

    Args:
        aliases: what ``old`` has and ``new`` gets, each with its properties.
        old: the concrete index that has them.
        new: the one that gets them.
        gone: aliases that are taken away, each from its index; where one is not there, nothing
            is done at all.

    Example:
        >>> swap_actions({"films": {"is_write_index": True}}, old="a", new="b", gone={"f": "b"})
        ... # doctest: +NORMALIZE_WHITESPACE
        [{'remove': {'index': 'b', 'alias': 'f', 'must_exist': True}},
         {'remove': {'index': 'a', 'alias': 'films', 'must_exist': True}},
         {'add': {'index': 'b', 'alias': 'films', 'is_write_index': True}}]
    """
    actions = [_removal(index, alias) for alias, index in gone.items()]
    for alias, properties in aliases.items():
        actions.append(_removal(old, alias))
        actions.append({"add": {"index": new, "alias": alias, **properties}})
    return actions


def swap_aliases(
    client: OpenSearch,
    aliases: Mapping[str, Mapping[str, Any]],
    *,
    old: str,
    new: str,
    gone: Mapping[str, str],
) -> None:
    """Move aliases from one index to another, all at once.

    Args:
        client: the cluster.
        aliases: what ``old`` has and ``new`` gets, each with its properties.
        old: the concrete index that has them.
        new: the one that gets them.
        gone: aliases that are taken away, each from its index; where one is not there, nothing
            is done at all.

    Raises:
        EngineError: nothing was moved; of the kind ``aliases_not_found_exception`` where the swap
            was called off. Without a status nobody knows: look where the alias is.
    """
    actions = swap_actions(aliases, old=old, new=new, gone=gone)
    client.indices.update_aliases(body={"actions": actions})


def fence_name(index: str) -> str:
    """Return a name for the fence of one swap: no two attempts share one.

    It is written down before it is made, so that whoever comes next can take it away.
    """
    return f"{index}-fence-{uuid4().hex[:12]}"


def raise_fence(client: OpenSearch, *, index: str, fence: str) -> None:
    """Give an index the fence that its swap takes away."""
    action = {"add": {"index": index, "alias": fence, "is_hidden": True}}
    client.indices.update_aliases(body={"actions": [action]})


def call_off(client: OpenSearch, *, index: str, fence: str) -> bool:
    """Take a fence away, so that the swap that needs it can never be made.

    Returns:
        Whether it was there: if not, the swap was made, or called off before.
    """
    try:
        client.indices.update_aliases(body={"actions": [_removal(index, fence)]})
    except IndexMissingError:
        return False
    except EngineError as error:
        if error.kind != _MISSING:
            raise
        return False
    return True


def called_off(error: EngineError) -> bool:
    """Say whether a swap failed because somebody had called it off."""
    return error.kind == _MISSING


def aliases_of(client: OpenSearch, *, index: str) -> Aliases:
    """Read the aliases of a concrete index, each with its properties.

    Raises:
        IndexMissingError: there is no such index.
    """
    found = client.indices.get_alias(index=index)
    aliases: Aliases = found[index]["aliases"]
    return aliases


def indices_behind(client: OpenSearch, *, alias: str) -> set[str]:
    """Name the concrete indices behind an alias; none where there is no such alias."""
    if not client.indices.exists_alias(name=alias):
        return set()
    return set(client.indices.get_alias(name=alias))


def _removal(index: str, alias: str) -> dict[str, Any]:
    return {"remove": {"index": index, "alias": alias, "must_exist": True}}
