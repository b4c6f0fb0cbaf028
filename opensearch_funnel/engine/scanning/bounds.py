"""Up to which operation a search of a shard sees everything that was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, InputError

_SHARDS = "index.number_of_shards"
_FLUSHES = 3


@dataclass(frozen=True, slots=True)
class ShardState:
    """How far the operations of a shard are."""

    shard: int
    bound: int
    """The last operation of which, and of all before it, nothing can change any more."""
    highest: int
    """The last operation that was begun."""


def shard_bounds(client: OpenSearch, index: str, *, settled: bool = False) -> dict[int, int]:
    """Return for each shard an operation such that a search now sees all up to it.

    The bound is the primary's global checkpoint: all operations up to it are done, on every copy.
    Not the highest number given out, for two reasons. Writers are served at once and finish out
    of order, so a lower number may still be under way: it would become visible behind a reader
    that has gone past it. And where a primary is lost, a copy takes over that may never have had
    the operations above the checkpoint, and gives their numbers to others.

    The checkpoint is read before the index is refreshed, so that what it covers is visible after.

    Args:
        client: made by ``connect``.
        index: one concrete index.
        settled: nobody writes any more (a write block), and all that was written must be covered.
            With ``index.translog.durability: async`` the checkpoint stays behind what is done
            until the translog is on disk, up to ``index.translog.sync_interval``; a flush
            brings it forward.

    Returns:
        Shard → bound; -1 where a shard never had an operation.

    Raises:
        IndexMissingError: there is no such index.
        InputError: the name stands for several indices.
        EngineError: a shard has no primary, or could not be refreshed; with ``settled``, there
            are operations still under way.
    """
    states = _settled(client, index) if settled else shard_states(client, index)
    refreshed = client.indices.refresh(index=index)["_shards"]
    if refreshed["failed"]:
        raise EngineError(
            f"{refreshed['failed']} shards of {index} could not be refreshed: "
            "see GET _cluster/health"
        )
    return {state.shard: state.bound for state in states}


def shard_states(client: OpenSearch, index: str) -> list[ShardState]:
    """Read how far the operations of each shard of an index are, by shard.

    ``highest - bound`` is what is under way; between two calls, the growth of ``highest`` is how
    much is written.

    Raises:
        IndexMissingError: there is no such index.
        InputError: the name stands for several indices.
        EngineError: a shard has no primary.
    """
    settings = client.indices.get_settings(index=index, params={"flat_settings": "true"})
    if len(settings) != 1:
        raise InputError(
            f"{index} stands for {len(settings)} indices: name one of {', '.join(sorted(settings))}"
        )
    ((name, found),) = settings.items()
    copies = client.indices.stats(
        index=name,
        metric="docs",
        params={
            "level": "shards",
            "filter_path": "indices.*.shards.*.routing,indices.*.shards.*.seq_no",
        },
    )
    shards = copies.get("indices", {}).get(name, {}).get("shards", {})
    return [
        _state(shards.get(str(shard), []), shard=shard, index=name)
        for shard in range(int(found["settings"][_SHARDS]))
    ]


def _state(copies: list[dict[str, Any]], *, shard: int, index: str) -> ShardState:
    for copy in copies:
        if copy["routing"]["primary"] and "seq_no" in copy:
            found = copy["seq_no"]
            return ShardState(shard, found["global_checkpoint"], found["max_seq_no"])
    # Left out, its documents would be missed without a word.
    raise EngineError(f"shard {shard} of {index} has no primary: see GET _cluster/health")


def _settled(client: OpenSearch, index: str) -> list[ShardState]:
    for attempt in range(1 + _FLUSHES):
        if attempt:
            client.indices.flush(index=index)
        states = shard_states(client, index)
        behind = max(states, key=lambda state: state.highest - state.bound)
        if behind.bound == behind.highest:
            return states
    raise EngineError(
        f"shard {behind.shard} of {index} has {behind.highest - behind.bound} operations under "
        "way: block its writes, or see GET _cluster/health for a copy that does not answer"
    )
