"""``funnel load`` on a real node."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import EngineError, InputError
from opensearch_funnel.documents.document import Document
from opensearch_funnel.engine.bulk import BulkLimits, bulk_index
from opensearch_funnel.engine.indices import (
    EncodedBy,
    Slot,
    add_slot,
    count_documents,
    create_index,
    index_body,
    index_exists,
    interrupted_load,
    load_settings_of,
    read_funnel_meta,
    refresh_index,
    write_funnel_meta,
)

pytestmark = pytest.mark.engine

SLOT = Slot(
    sparse=EncodedBy(model="splade", fingerprint="5a"),
    dense=EncodedBy(model="bge", fingerprint="de"),
    dimension=4,
)


def _ndjson(folder: Path, lines: list[dict[str, Any]], name: str = "a.ndjson") -> str:
    path = folder / name
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


def _settings(client: OpenSearch, index: str) -> dict[str, Any]:
    (found,) = client.indices.get_settings(index=index).values()
    settings: dict[str, Any] = found["settings"]["index"]
    return settings


def _load(*arguments: str, url: str) -> int:
    return main(["load", *arguments, "--url", url, "--output", "json"])


def test_a_load_makes_the_index_and_a_second_one_doubles_nothing(
    tmp_path: Path,
    client: OpenSearch,
    node_url: str,
    index_name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = _ndjson(tmp_path, [{"title": f"film {n}", "year": n} for n in range(2500)])
    assert _load(path, "--index", index_name, "--batch", "300", url=node_url) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["created"], result["documents"], result["indexed"]) == (True, 2500, 2500)
    assert (result["dead"], result["dead_letters"]) == (0, None)
    assert count_documents(client, index=index_name) == 2500
    assert _load(path, "--index", index_name, url=node_url) == 0
    assert json.loads(capsys.readouterr().out)["created"] is False
    assert count_documents(client, index=index_name) == 2500
    mapping = client.indices.get_mapping(index=index_name)[index_name]["mappings"]
    assert mapping["properties"]["title"] == {"type": "text", "analyzer": "english"}
    settings = _settings(client, index_name)
    assert settings["number_of_replicas"] == "0"
    assert "refresh_interval" not in settings


def test_refused_documents_are_dead_letters_that_can_be_loaded_again(
    tmp_path: Path,
    client: OpenSearch,
    node_url: str,
    index_name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines: list[dict[str, Any]] = [{"_id": str(n), "year": n} for n in range(20)]
    lines[7]["year"] = "soon"
    lines[9]["_index"] = "other"
    letters = tmp_path / "dead.ndjson.gz"
    path = _ndjson(tmp_path, lines)
    command = (path, "--index", index_name, "--dead-letters", str(letters))
    assert _load(*command, url=node_url) == 1
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert (result["indexed"], result["dead"], result["dead_letters"]) == (18, 2, str(letters))
    assert f"funnel load {letters} --format dead-letters --index {index_name}" in captured.err
    assert count_documents(client, index=index_name) == 18
    with gzip.open(letters, "rt") as stream:
        dead = {letter["_id"]: letter for letter in map(json.loads, stream)}
    assert set(dead) == {"7", "9"}
    assert dead["7"]["body"] == {"year": "soon"}
    assert dead["7"]["status"] == 400
    assert "failed to parse field [year]" in dead["7"]["reason"]

    client.indices.create(
        index=f"{index_name}-2", body={"mappings": {"properties": {"year": {"type": "keyword"}}}}
    )
    second = tmp_path / "again.gz"
    again = (str(letters), "--format", "dead-letters", "--index", f"{index_name}-2")
    assert _load(*again, "--dead-letters", str(second), url=node_url) == 1
    refresh_index(client, index=f"{index_name}-2")
    assert client.get(index=f"{index_name}-2", id="7")["_source"] == {"year": "soon"}


def test_a_broken_third_line_writes_nothing(
    tmp_path: Path,
    client: OpenSearch,
    node_url: str,
    index_name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "a.ndjson"
    path.write_text('{"_id": "1"}\n{"_id": "2"}\n{"_id": \n')
    assert _load(str(path), "--index", index_name, url=node_url) == 1
    assert "a.ndjson:3: not valid JSON" in capsys.readouterr().err
    assert not index_exists(client, index=index_name)


def test_a_name_that_no_index_may_have_is_one_line(
    tmp_path: Path, node_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _ndjson(tmp_path, [{"t": 1}])
    assert _load(path, "--index", "Upper", url=node_url) == 1
    assert "must be lowercase" in capsys.readouterr().err.splitlines()[-1]


def test_an_index_that_was_there_keeps_its_settings_and_is_searchable_at_once(
    tmp_path: Path, client: OpenSearch, node_url: str, index_name: str
) -> None:
    settings = {"number_of_replicas": 0, "refresh_interval": "30s"}
    client.indices.create(index=index_name, body={"settings": settings})
    assert _load(_ndjson(tmp_path, [{"t": 1}]), "--index", index_name, url=node_url) == 0
    assert _settings(client, index_name)["refresh_interval"] == "30s"
    assert count_documents(client, index=index_name) == 1


@pytest.mark.parametrize("ending", [None, KeyboardInterrupt, EngineError])
def test_settings_come_back_however_a_load_ends(
    client: OpenSearch, index_name: str, ending: type[BaseException] | None
) -> None:
    body = index_body(slot=SLOT)
    body["settings"]["refresh_interval"] = "7s"
    body["mappings"]["_meta"]["mine"] = 1
    create_index(client, index=index_name, body=body)

    def run() -> None:
        with load_settings_of(client, index=index_name):
            assert _settings(client, index_name)["refresh_interval"] == "-1"
            assert interrupted_load(client, index=index_name)
            if ending is not None:
                raise ending("stop")

    if ending is None:
        run()
    else:
        with pytest.raises(ending, match="stop"):
            run()
    assert _settings(client, index_name)["refresh_interval"] == "7s"
    assert not interrupted_load(client, index=index_name)
    mapping = client.indices.get_mapping(index=index_name)[index_name]["mappings"]
    assert mapping["_meta"] == body["mappings"]["_meta"]


def _signalled(client: OpenSearch, path: str, *, index: str, url: str, number: int) -> int:
    """Start a load in a process of its own, and send it a signal once documents are in."""
    code = "import sys; from opensearch_funnel.cli.main import main; sys.exit(main())"
    arguments = ["load", path, "--index", index, "--batch", "10", "--url", url]
    running = subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and running.poll() is None:
        time.sleep(0.02)
        if index_exists(client, index=index):
            refresh_index(client, index=index)
            if count_documents(client, index=index) > 0:
                break
    running.send_signal(number)
    return running.wait(timeout=60)


def test_a_killed_load_is_put_right_by_the_next_one(
    tmp_path: Path, client: OpenSearch, node_url: str, index_name: str
) -> None:
    path = _ndjson(tmp_path, [{"_id": str(n), "text": "word " * 200} for n in range(20_000)])
    status = _signalled(client, path, index=index_name, url=node_url, number=signal.SIGKILL)
    assert status == -signal.SIGKILL, "the load ended before it was killed"
    assert _settings(client, index_name)["refresh_interval"] == "-1"
    assert 0 < count_documents(client, index=index_name) < 20_000
    assert _load(path, "--index", index_name, url=node_url) == 0
    assert "refresh_interval" not in _settings(client, index_name)
    assert count_documents(client, index=index_name) == 20_000


def test_ctrl_c_puts_the_settings_back(
    tmp_path: Path, client: OpenSearch, node_url: str, index_name: str
) -> None:
    path = _ndjson(tmp_path, [{"_id": str(n), "text": "word " * 200} for n in range(20_000)])
    status = _signalled(client, path, index=index_name, url=node_url, number=signal.SIGINT)
    assert status == 128 + signal.SIGINT, "the load ended before it was interrupted"
    assert "refresh_interval" not in _settings(client, index_name)
    assert not interrupted_load(client, index=index_name)
    assert 0 < count_documents(client, index=index_name) < 20_000


def test_an_id_that_the_node_refuses_costs_only_its_own_document(
    tmp_path: Path, client: OpenSearch, index_name: str
) -> None:
    # The node answers 400 to the whole request for one id of more than 512 bytes.
    documents = [Document(f"d{n}", {"n": n}) for n in range(50)]
    documents[20] = Document("x" * 513, {"n": 20})
    create_index(client, index=index_name, body=index_body())
    dead = tmp_path / "dead.gz"
    report = bulk_index(client, documents, index=index_name, dead_letters=dead)
    refresh_index(client, index=index_name)
    assert (report.indexed, report.dead) == (49, 1)
    assert count_documents(client, index=index_name) == 49


def test_a_full_disk_stops_the_load_with_the_nodes_reason(
    client: OpenSearch, index_name: str
) -> None:
    create_index(client, index=index_name, body=index_body())
    block = "index.blocks.read_only_allow_delete"
    client.indices.put_settings(index=index_name, body={block: True})
    limits = BulkLimits(max_tries=3, first_pause=0.01)
    with pytest.raises(EngineError, match=r"flood-stage watermark.*gave up after 3 tries"):
        bulk_index(client, [Document("1", {"a": 1})], index=index_name, limits=limits)
    client.indices.put_settings(index=index_name, body={block: None})
    assert bulk_index(client, [Document("1", {"a": 1})], index=index_name).indexed == 1


def test_a_write_block_stops_the_load_at_once(client: OpenSearch, index_name: str) -> None:
    create_index(client, index=index_name, body=index_body())
    client.indices.put_settings(index=index_name, body={"index.blocks.write": True})
    with pytest.raises(EngineError, match=r"the index takes no documents.*index write") as caught:
        bulk_index(client, [Document("1", {"a": 1})], index=index_name)
    assert "gave up" not in str(caught.value)


def _funnel_documents() -> Iterator[Document]:
    rng = np.random.default_rng(1)
    for number in range(40):
        vector = rng.normal(size=4).astype(np.float32)
        funnel = {
            "id": str(number),
            "sparse_a": {"fish": 1.0 + number / 64, "...": 0.5, "u.s": 2.0},
            "dense_a": vector / np.linalg.norm(vector),
            "state": "ready",
        }
        yield Document(str(number), {"title": "t", "funnel": funnel})


def test_funnel_fields_are_searched_by_both_legs(client: OpenSearch, index_name: str) -> None:
    create_index(client, index=index_name, body=index_body(slot=SLOT))
    documents = list(_funnel_documents())
    bulk_index(client, documents, index=index_name)
    refresh_index(client, index=index_name)
    tokens = {"fish": 1.0, "u.s": 0.5}
    sparse = {"neural_sparse": {"funnel.sparse_a": {"query_tokens": tokens}}}
    (best,) = client.search(index=index_name, body={"query": sparse, "size": 1})["hits"]["hits"]
    assert best["_id"] == "39"
    # Lucene keeps 9 significant bits; 1 + 39/64 has fewer, so the product is exact.
    assert best["_score"] == pytest.approx(1.0 + 39 / 64 + 0.5 * 2.0, abs=1e-6)
    wanted = documents[17].source["funnel"]["dense_a"]
    dense = {"knn": {"funnel.dense_a": {"vector": wanted, "k": 3}}}
    hits = client.search(index=index_name, body={"query": dense, "size": 3})["hits"]["hits"]
    assert hits[0]["_id"] == "17"
    # The engine's score of an inner product p above 0 is p + 1.
    assert hits[0]["_score"] == pytest.approx(2.0, abs=1e-5)


def test_a_slot_is_added_to_an_index_once_and_for_one_model(
    client: OpenSearch, index_name: str
) -> None:
    create_index(client, index=index_name, body={"settings": {"index.knn": True}})
    write_funnel_meta(client, index=index_name, meta={"plan": "p"})
    add_slot(client, index=index_name, slot=SLOT)
    add_slot(client, index=index_name, slot=SLOT)
    meta = read_funnel_meta(client, index=index_name)
    assert meta == {"schema": 1, "plan": "p", "slots": {"a": SLOT.meta}}
    other = Slot(sparse=SLOT.sparse, dense=EncodedBy(model="e5", fingerprint="ff"), dimension=4)
    with pytest.raises(InputError, match=r"filled by splade \(5a\) and bge \(de\), not by"):
        add_slot(client, index=index_name, slot=other)


def test_an_index_that_cannot_hold_vectors_is_refused(client: OpenSearch, index_name: str) -> None:
    create_index(client, index=index_name, body=index_body())
    with pytest.raises(InputError, match=r"made without index\.knn"):
        add_slot(client, index=index_name, slot=SLOT)
    assert read_funnel_meta(client, index=index_name) == {}


@pytest.mark.model
def test_a_funnel_load_fills_the_fields_with_the_default_models(
    tmp_path: Path,
    client: OpenSearch,
    node_url: str,
    index_name: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = ["A thief meets his match.", "A big fish tale.", ""]
    lines = [{"_id": str(n), "title": "Film", "text": text} for n, text in enumerate(texts)]
    lines.append({"_id": "3", "year": "2003"})
    path = _ndjson(tmp_path, lines)
    assert _load(path, "--index", index_name, "--funnel", url=node_url) == 0
    capsys.readouterr()
    made = client.get(index=index_name, id="1")["_source"]["funnel"]
    assert made["sparse_a"]["fish"] > 0.5
    assert np.linalg.norm(made["dense_a"]) == pytest.approx(1.0, abs=1e-4)
    assert (made["id"], made["state"], len(made["model"])) == ("1", "ready", 2)
    bare = client.get(index=index_name, id="3")["_source"]["funnel"]
    assert not {"sparse_a", "dense_a"} & set(bare)
    slots = read_funnel_meta(client, index=index_name)["slots"]["a"]
    assert [slots["sparse"]["fingerprint"], slots["dense"]["fingerprint"]] == made["model"]
    assert _load(path, "--index", index_name, "--funnel", url=node_url) == 0
    assert count_documents(client, index=index_name) == 4
