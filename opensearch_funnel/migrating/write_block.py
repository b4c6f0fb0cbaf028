"""The write block of an index: on, off, and whether it is there.

``PUT <index>/_block/write`` answers when every write that was under way has ended: what is read
after that is all there is (https://docs.opensearch.org/latest/api-reference/index-apis/blocks/).
Searches go on.
"""

from __future__ import annotations

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError

_SETTING = "index.blocks.write"


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

    Raises:
        IndexMissingError: there is no such index.
    """
    client.indices.put_settings(index=index, body={_SETTING: None})


def writes_blocked(client: OpenSearch, *, index: str) -> bool:
    """Say whether an index refuses writes.

    Raises:
        IndexMissingError: there is no such index.
    """
    (found,) = client.indices.get_settings(index=index, params={"flat_settings": "true"}).values()
    return str(found["settings"].get(_SETTING, "false")) == "true"
