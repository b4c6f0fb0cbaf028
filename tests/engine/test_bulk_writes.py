"""Lines that a migration writes, on a real node: versions, deletes, aliases, blocks."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.engine.bulk import (
    BulkLimits,
    Line,
    bulk_index,
    bulk_write,
    delete_line,
    line_of_bytes,
)
from opensearch_funnel.engine.indices import index_exists
from opensearch_funnel.engine.scanning import StoredDocument, read_page, shard_bounds
from opensearch_funnel.engine.source_bytes import source_hash
from tests.unit.engine.told import Told

pytestmark = pytest.mark.engine

COPYING = {"pipeline": "_none", "require_alias": "true"}
FULL = "index.blocks.read_only_allow_delete"
WAITING = BulkLimits(max_tries=3, first_pause=0.01, longest_pause=0.05, wait_for_blocks=300)


def _create(client: OpenSearch, index: str, **mappings: Any) -> None:
    body = {
        "settings": {"number_of_replicas": 0, "number_of_shards": 1},
        "mappings": mappings,
        "aliases": {f"{index}-writes": {}},
    }
    client.indices.create(index=index, body=body)


def _stored(client: OpenSearch, index: str) -> dict[str, StoredDocument]:
    bound = shard_bounds(client, index)[0]
    page = read_page(client, index, shard=0, after=-1, upto=bound, size=1000)
    return {one.doc_id: one for one in page}


def _versions(client: OpenSearch, index: str) -> dict[str, int]:
    return {doc_id: one.version for doc_id, one in _stored(client, index).items()}


@pytest.mark.parametrize(
    "source",
    [
        b'{"price": 1.50,"raw":{"big":123456789012345678901234567890, "far": 1e400}}',
        b'{\n  "text": "two\\nlines",\r\n  "n": 1\n}',
        b'{"text": "cut \\ud83d", "u": "\\u00e9"}',
        b'{"text": "a" // "why": {\n, "n": 1}',
        b'{"text": "a" /* why */}',
    ],
)
def test_a_document_that_was_read_is_written_as_it_was(
    client: OpenSearch, index_name: str, source: bytes
) -> None:
    mapping = {"raw": {"type": "object", "enabled": False}}
    _create(client, index_name, properties=mapping)
    _create(client, f"{index_name}-copy", properties=mapping)
    client.index(index=index_name, id="é 1", body=source, params={"routing": "a/b"})
    (read,) = _stored(client, index_name).values()
    line = line_of_bytes(read.doc_id, read.source, routing=read.routing, external_version=7)
    outcome = bulk_write(client, [line], index=f"{index_name}-copy-writes", params=COPYING)
    assert outcome.indexed == 1
    (written,) = _stored(client, f"{index_name}-copy").values()
    assert (written.doc_id, written.routing, written.version) == ("é 1", "a/b", 7)
    assert source_hash(written.source) == source_hash(source)
    if b"\n" not in source:
        assert written.source == source


def test_an_older_version_never_overwrites_a_newer_one(
    client: OpenSearch, index_name: str, tmp_path: Path
) -> None:
    _create(client, index_name)
    first = [
        line_of_bytes("a", b'{"n": 1}', external_version=5),
        line_of_bytes("b", b'{"n": 1}', external_version=5),
        delete_line("c", external_version=5),
    ]
    assert bulk_write(client, first, index=index_name).indexed == 3
    second = [
        line_of_bytes("a", b'{"n": 2}', external_version=5),
        line_of_bytes("b", b'{"n": 2}', external_version=6),
        # Deleted under a higher version: the engine remembers, though there never was one.
        line_of_bytes("c", b'{"n": 2}', external_version=4),
        delete_line("a", external_version=4),
        delete_line("nobody"),
    ]
    report = bulk_index(client, second, index=index_name, keep_conflicts=True)
    assert (report.indexed, report.kept, report.dead) == (2, 3, 0)
    assert _versions(client, index_name) == {"a": 5, "b": 6}
    assert bulk_write(client, [delete_line("b", external_version=7)], index=index_name).indexed == 1
    assert _versions(client, index_name) == {"a": 5}
    dead = tmp_path / "dead.gz"
    report = bulk_index(client, second[:1], index=index_name, dead_letters=dead)
    assert (report.indexed, report.kept, report.dead) == (0, 0, 1)
    with pytest.raises(EngineError, match=r"document 'a' could not be deleted.*version conflict"):
        bulk_index(client, second[3:], index=index_name, dead_letters=dead)


def test_a_write_that_depends_on_what_was_read_gives_way(
    client: OpenSearch, index_name: str
) -> None:
    _create(client, index_name)
    lines = [line_of_bytes(name, b'{"n": 1}') for name in "abc"]
    bulk_write(client, lines, index=index_name)
    read = _stored(client, index_name)
    client.index(index=index_name, id="b", body={"n": 2})
    client.delete(index=index_name, id="c")
    changed = [
        line_of_bytes(
            one.doc_id, b'{"n": 3}', if_seq_no=one.seq_no, if_primary_term=one.primary_term
        )
        for one in read.values()
    ]
    outcome = bulk_write(client, changed, index=index_name, keep_conflicts=True)
    assert (outcome.indexed, outcome.kept) == (1, 2)
    found = {name: orjson.loads(one.source) for name, one in _stored(client, index_name).items()}
    assert found == {"a": {"n": 3}, "b": {"n": 2}}


def test_a_default_pipeline_does_not_run_where_it_is_kept_out(
    client: OpenSearch, index_name: str
) -> None:
    _create(client, index_name)
    changing = {"processors": [{"set": {"field": "changed", "value": True}}]}
    client.ingest.put_pipeline(id=index_name, body=changing)
    try:
        client.indices.put_settings(index=index_name, body={"index.default_pipeline": index_name})
        lines = [line_of_bytes("a", b'{"n": 1.0}', external_version=1)]
        bulk_write(client, lines, index=f"{index_name}-writes", params=COPYING)
        assert _stored(client, index_name)["a"].source == b'{"n": 1.0}'
        bulk_write(client, [line_of_bytes("b", b'{"n": 1.0}')], index=index_name)
        assert b"changed" in _stored(client, index_name)["b"].source
    finally:
        client.indices.put_settings(index=index_name, body={"index.default_pipeline": None})
        client.ingest.delete_pipeline(id=index_name)


@pytest.mark.parametrize(
    "lines",
    [
        [line_of_bytes("a", b"{}", external_version=1)],
        [delete_line("a", external_version=1)],
        [delete_line("a"), line_of_bytes("b", b"{}")],
    ],
    ids=["writes", "deletes", "both"],
)
def test_no_index_is_made_in_place_of_one_that_is_gone(
    client: OpenSearch, index_name: str, lines: list[Line]
) -> None:
    with pytest.raises(EngineError, match=r"index_not_found|there is no alias"):
        bulk_write(client, lines, index=index_name, params=COPYING)
    assert not index_exists(client, index=index_name)
    # And an index is not an alias.
    _create(client, index_name)
    with pytest.raises(EngineError, match=r"is not an alias|there is no alias"):
        bulk_write(client, lines, index=index_name, params=COPYING)
    assert _stored(client, index_name) == {}


def test_a_delete_alone_would_make_an_index_of_an_aliass_name(
    client: OpenSearch, index_name: str
) -> None:
    """The fact of the engine that deletes are guarded against."""
    answer = client.bulk(
        index=index_name,
        body=delete_line("a", external_version=1).payload,
        params={"require_alias": "true"},
    )
    assert answer["errors"] is False
    assert index_exists(client, index=index_name)


def test_a_closed_index_stops_the_load(client: OpenSearch, index_name: str, tmp_path: Path) -> None:
    _create(client, index_name)
    client.indices.close(index=index_name)
    dead = tmp_path / "dead.gz"
    with pytest.raises(EngineError, match=r"the index takes no documents: index_closed_exception"):
        bulk_index(client, [line_of_bytes("a", b"{}")], index=index_name, dead_letters=dead)
    assert not dead.exists()


def test_a_load_waits_for_room_on_the_disk(client: OpenSearch, index_name: str) -> None:
    _create(client, index_name)
    client.indices.put_settings(index=index_name, body={FULL: True})
    told = Told()
    errors: list[BaseException] = []

    def make_room() -> None:
        try:
            assert told.said.wait(120)
            client.indices.put_settings(index=index_name, body={FULL: None})
        except BaseException as error:  # noqa: BLE001 - for the thread that can fail the test
            errors.append(error)

    making = threading.Thread(target=make_room)
    making.start()
    lines = [line_of_bytes(f"d{n}", b"{}", external_version=1) for n in range(50)]
    report = bulk_index(
        client,
        lines,
        index=index_name,
        limits=replace(WAITING, max_documents=10),
        progress=told,
    )
    making.join()
    assert errors == []
    assert report.indexed == 50
    assert report.retried > 0
    assert len(told.lines) == 1
    assert len(_stored(client, index_name)) == 50


def test_a_cluster_that_may_only_be_read_is_waited_for_or_stops_the_load(
    client: OpenSearch, index_name: str
) -> None:
    _create(client, index_name)
    setting = "cluster.blocks.read_only_allow_delete"
    told = Told()

    def make_room() -> None:
        told.said.wait(120)
        client.cluster.put_settings(body={"transient": {setting: None}})

    client.cluster.put_settings(body={"transient": {setting: True}})
    try:
        with pytest.raises(EngineError, match=r"FORBIDDEN/13"):
            bulk_write(client, [line_of_bytes("a", b"{}")], index=index_name)
        making = threading.Thread(target=make_room)
        making.start()
        outcome = bulk_write(
            client, [line_of_bytes("a", b"{}")], index=index_name, limits=WAITING, progress=told
        )
        making.join()
    finally:
        client.cluster.put_settings(body={"transient": {setting: None}})
    assert outcome.indexed == 1


def test_a_write_block_is_not_waited_for(client: OpenSearch, index_name: str) -> None:
    _create(client, index_name)
    client.indices.add_block(index=index_name, block="write")
    told = Told()
    with pytest.raises(EngineError, match=r"takes no documents.*index write"):
        bulk_write(
            client, [line_of_bytes("a", b"{}")], index=index_name, limits=WAITING, progress=told
        )
    assert told.lines == []
