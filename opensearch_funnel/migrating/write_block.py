"""The write block of an index: on, off, and whether it is there.

``PUT <index>/_block/write`` answers when every write that was under way has ended: what is read
after that is all there is (https://docs.opensearch.org/latest/api-reference/index-apis/blocks/).
Searches go on.

The engine does that in three steps: a passing block with an id of its own and the setting; the
wait; the plain block in the passing one's place. Whoever asked may be gone by then. Clearing the
setting takes away the plain block only, and the passing one becomes a plain one later, with the
setting still cleared. So what counts is the block in the cluster's state, not the setting.
"""

from __future__ import annotations

import time

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError
from opensearch_funnel.engine.flat_settings import index_setting

_SETTING = "index.blocks.write"
_BLOCK = "8"
"""The engine's number of the write block, passing or plain."""
_AGAIN_S, _GIVE_UP_S = 0.2, 120.0


def block_writes(client: OpenSearch, *, index: str) -> None:
    """Refuse every further write to an index, and wait for those that are under way.

    Raises:
        IndexMissingError: there is no such index.
        EngineError: a shard did not say that its writes have ended; the block may be there.
    """
    answer = client.indices.add_block(index=index, block="write")
    # One that is blocked already is not in the list.
    if not all(one.get("blocked") for one in answer["indices"]):
        raise EngineError(
            f"not every shard of {index} took the write block: see GET _cluster/health"
        )


def lift_block(client: OpenSearch, *, index: str) -> None:
    """Let writes through again; the setting is as if it had never been made.

    Where a block is still being set, for somebody who may be gone, this waits until it is there.

    Raises:
        IndexMissingError: there is no such index.
        EngineError: the cluster did not answer, or the writes that a block waits for do not end.
    """
    give_up = time.monotonic() + _GIVE_UP_S
    while True:
        # Before the look: a block that was asked for earlier is in the state after this change.
        client.indices.put_settings(index=index, body={_SETTING: None})
        if not _in_state(client, index=index):
            return
        cause: EngineError | None = None
        try:
            # Takes up the passing block, waits for the same writes and makes it a plain one.
            block_writes(client, index=index)
        except IndexMissingError:
            raise
        except EngineError as error:
            cause = error
        if time.monotonic() > give_up:
            raise EngineError(
                f"writes to {index} are still refused, for the engine waits for a write that does "
                f"not end: see GET _tasks; then PUT {index}/_block/write, and set {_SETTING} to "
                "null"
            ) from cause
        if cause is not None:
            time.sleep(_AGAIN_S)


def writes_blocked(client: OpenSearch, *, index: str) -> bool:
    """Say whether an index refuses writes, or is about to.

    Raises:
        IndexMissingError: there is no such index.
    """
    if index_setting(client, index=index, name=_SETTING) == "true":
        return True
    return _in_state(client, index=index)


def _in_state(client: OpenSearch, *, index: str) -> bool:
    """Say whether the cluster's state has a write block of an index, passing or plain."""
    answer = client.cluster.state(metric="blocks", index=index)
    # Asked for an index that is gone, the engine answers with the blocks of all.
    return _BLOCK in answer["blocks"].get("indices", {}).get(index, {})
