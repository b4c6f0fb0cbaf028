"""The write block: what counts is the cluster's state, also while a block is still being set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError, IndexMissingError
from opensearch_funnel.engine.client import connect
from opensearch_funnel.migrating.write_block import block_writes, lift_block, writes_blocked
from opensearch_funnel.settings import Settings

pytestmark = pytest.mark.engine

_SOON_S = 120.0
# A loop may go round a million times at most, and a function may be called as often as one likes.
_SLOW = (
    "long turn() { long sum = 0; for (int i = 0; i < 900000; i++) { sum += i % 7 * i } return sum }"
    "long all = 0; for (int k = 0; k < 1000; k++) { all += turn() } ctx._source.number = all"
)


@pytest.fixture
def index(client: OpenSearch, index_name: str) -> str:
    body = {"settings": {"number_of_shards": 1, "number_of_replicas": 0}}
    client.indices.create(index=index_name, body=body)
    client.index(index=index_name, id="1", body={"number": 0})
    return index_name


def _state(client: OpenSearch, index: str) -> dict[str, Any]:
    found = client.cluster.state(metric="blocks", index=index)["blocks"]
    block: dict[str, Any] = found.get("indices", {}).get(index, {}).get("8", {})
    return block


def _write_is_under_way(client: OpenSearch, index: str) -> bool:
    """Say whether a shard is at a bulk, so that a block has to wait for it."""
    found = client.tasks.list(
        params={"actions": "indices:data/write/bulk*", "detailed": "true", "group_by": "none"}
    )["tasks"]
    return any(
        f"[{index}]" in task["description"] and task.get("status", {}).get("phase") == "primary"
        for task in found
    )


@contextmanager
def _waiting_block(settings: Settings, client: OpenSearch, index: str) -> Iterator[Future[Any]]:
    """Be in the middle of setting a block, while a slow write is under way."""
    patient = connect(settings.model_copy(update={"timeout": _SOON_S}), pool_size=2)
    script = {"script": {"source": _SLOW}}
    lines: list[dict[str, Any]] = [{"update": {"_id": "1"}}, script] * 3
    with ThreadPoolExecutor(2) as pool:
        write = pool.submit(patient.bulk, body=lines, index=index)
        until = time.monotonic() + _SOON_S
        while not _write_is_under_way(client, index):
            assert not write.done(), write.result()
            assert time.monotonic() < until, "the write has not begun"
        block = pool.submit(block_writes, patient, index=index)
        while "uuid" not in _state(client, index):
            assert not block.done(), "the write was too fast for this test"
            assert time.monotonic() < until, "the block is not there"
        yield block
        assert not write.result()["errors"]


def test_a_block_that_became_one_after_its_setting_was_cleared_is_seen_and_lifted(
    client: OpenSearch, engine_settings: Settings, index: str
) -> None:
    with _waiting_block(engine_settings, client, index) as block:
        client.indices.put_settings(index=index, body={"index.blocks.write": None})
        assert writes_blocked(client, index=index)
        block.result()
    settings = client.indices.get_settings(index=index, params={"flat_settings": "true"})
    assert "index.blocks.write" not in settings[index]["settings"]
    assert writes_blocked(client, index=index)
    with pytest.raises(EngineError) as refused:
        client.index(index=index, id="2", body={})
    assert refused.value.kind == "cluster_block_exception"
    lift_block(client, index=index)
    assert not writes_blocked(client, index=index)
    client.index(index=index, id="2", body={})


def test_a_block_that_waits_for_a_write_is_lifted_for_good(
    client: OpenSearch, engine_settings: Settings, index: str
) -> None:
    with _waiting_block(engine_settings, client, index) as block:
        lift_block(client, index=index)
        assert not _state(client, index)
        # What the first asker is told does not matter: it may be gone.
        block.exception()
    assert not writes_blocked(client, index=index)
    client.index(index=index, id="2", body={})


def test_a_block_is_set_and_lifted_and_lifting_none_does_nothing(
    client: OpenSearch, index: str
) -> None:
    block_writes(client, index=index)
    block_writes(client, index=index)
    assert writes_blocked(client, index=index)
    lift_block(client, index=index)
    lift_block(client, index=index)
    assert not writes_blocked(client, index=index)
    client.index(index=index, id="2", body={})


def test_an_index_that_is_gone_is_not_taken_for_a_blocked_one(
    client: OpenSearch, index: str
) -> None:
    block_writes(client, index=index)
    for step in (lift_block, writes_blocked, block_writes):
        with pytest.raises(IndexMissingError):
            step(client, index=f"{index}-gone")
    lift_block(client, index=index)
