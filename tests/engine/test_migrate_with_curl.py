"""``scripts/migrate-with-curl`` on the real node: a shell, curl and sed move an index."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.engine import records, remote_models
from opensearch_funnel.resources import filled
from opensearch_funnel.service.process import wait_for_plan
from opensearch_funnel.testing import WordVector, WordWeights
from tests.docs.cluster_state import State, cluster_state, restore
from tests.engine.shelf import stand_in_service

pytestmark = pytest.mark.engine

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "migrate-with-curl"
SPARSE, DENSE = WordWeights(), WordVector(dimension=384)
DOCUMENTS = 120
PATIENCE_S = 300


class HeldWeights:
    """The sparse stand-in; it encodes no document while it is held."""

    fingerprint = SPARSE.fingerprint

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()

    def encode_query(self, text: str) -> dict[str, float]:
        return SPARSE.encode_query(text)

    def encode_documents(self, texts: Sequence[str]) -> list[dict[str, float]]:
        self.free.wait(PATIENCE_S)
        return SPARSE.encode_documents(texts)


@dataclass(frozen=True, slots=True)
class Move:
    """One index to move, and where to."""

    client: OpenSearch
    url: str
    name: str
    weights: HeldWeights

    @property
    def source(self) -> str:
        return f"{self.name}-old"

    @property
    def target(self) -> str:
        return f"{self.name}-new"

    def begin(self, *arguments: str, **changes: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "FUNNEL_URL": self.url,
            "ALIAS": self.name,
            "TARGET": self.target,
            "PIPELINE": self.name,
            **changes,
        }
        return subprocess.Popen(
            [str(SCRIPT), *arguments],
            env={key: value for key, value in environment.items() if value},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **changes: str) -> tuple[int, str, str]:
        process = self.begin(*arguments, **changes)
        out, err = process.communicate(timeout=PATIENCE_S)
        return process.returncode, out, err

    def done(self, *arguments: str, **changes: str) -> str:
        status, out, err = self.run(*arguments, **changes)
        assert status == 0, out + err
        return out

    def refused(self, *arguments: str, **changes: str) -> str:
        status, out, err = self.run(*arguments, **changes)
        assert status == 1, out + err
        return err


@pytest.fixture
def untouched(client: OpenSearch) -> Iterator[State]:
    before = cluster_state(client)
    yield before
    restore(client, before)


@pytest.fixture
def bare(client: OpenSearch, node_url: str, index_name: str, untouched: State) -> Move:
    """An index of a user's own behind an alias, and an ingest pipeline that does nothing."""
    del untouched  # asked for so that what is made here goes
    client.ingest.put_pipeline(id=index_name, body={"processors": []})
    move = Move(client, node_url, index_name, HeldWeights())
    make_source(move)
    return move


@pytest.fixture
def move(bare: Move) -> Iterator[Move]:
    """The same, and the pipeline encodes."""
    models = PlanModels(sparse=bare.weights, dense=DENSE)
    with stand_in_service(bare.client, models=models) as url:
        make_pipeline(bare.client, bare.name, service_url=url)
        yield bare
        bare.weights.free.set()


def make_pipeline(client: OpenSearch, name: str, *, service_url: str) -> None:
    plan_id = f"{name}.1"
    values = {
        "PLAN_ID": plan_id,
        "ALIAS": name,
        "SERVICE_URL": service_url,
        "SERVICE_URL_PATTERN": service_url.replace(".", r"\."),
        "SPARSE_FINGERPRINT": SPARSE.fingerprint,
        "DENSE_FINGERPRINT": DENSE.fingerprint,
    }
    client.cluster.put_settings(body=filled("cluster-settings.v1", **values))
    plan = filled("plan.v1", **values)
    plan["plan"]["deadlines"] = {"encode_ms": 20_000}
    records.put_record(client, f"plan:{plan_id}", plan)
    wait_for_plan(service_url, plan_id)
    connector = filled("connector-encode.v1", **values)
    connector["credential"] = {"unused": "unused"}
    connector["client_config"]["read_timeout"] = 60
    del connector["actions"][0]["headers"]["Authorization"]
    connector_id = remote_models.create_connector(client, connector)
    model_id = remote_models.create_model(client, connector, connector_id=connector_id)
    body = filled("ingest-pipeline.v1", PLAN_ID=plan_id, ENCODE_MODEL_ID=model_id)
    client.ingest.put_pipeline(id=name, body=body)


def make_source(move: Move, **body: Any) -> None:
    settings = {
        "number_of_shards": 2,
        "number_of_replicas": 0,
        "max_result_window": 12_000,
        "search.default_pipeline": "_none",
        "default_pipeline": "_none",
        "analysis": {
            "filter": {"few": {"type": "stop", "stopwords": ["the", 'qu"ote']}},
            "analyzer": {"own": {"tokenizer": "standard", "filter": ["lowercase", "few"]}},
        },
    }
    mappings = {
        "dynamic": "strict",
        "properties": {
            "title": {"type": "text", "analyzer": "own"},
            "text": {"type": "text"},
            "number": {"type": "long"},
        },
    }
    given = {"settings": settings, "mappings": mappings, "aliases": {move.name: {}}, **body}
    move.client.indices.create(index=move.source, body=given)
    lines: list[Any] = []
    for number in range(DOCUMENTS):
        source = {
            "title": f"The fox {number}",
            "text": f"word{number % 9}",
            "number": 2**60 + number,
        }
        lines += [{"index": {"_id": f"d{number}", "routing": f"r{number % 3}"}}, source]
    done = move.client.bulk(index=move.source, body=lines, params={"refresh": "true"})
    assert not done["errors"]


def hits(client: OpenSearch, index: str) -> dict[str, tuple[Any, Any]]:
    """Return each document's routing and source, without what the funnel added."""
    body = {"size": 1000, "query": {"match_all": {}}}
    found = client.search(index=index, body=body, params={"search_pipeline": "_none"})
    for hit in found["hits"]["hits"]:
        hit["_source"].pop("funnel", None)
    return {hit["_id"]: (hit["_routing"], hit["_source"]) for hit in found["hits"]["hits"]}


def alias_of(move: Move) -> set[str]:
    return set(move.client.indices.get_alias(name=move.name))


def test_an_index_is_copied_encoded_swapped_and_taken_back(move: Move) -> None:
    client = move.client
    copied = move.done("copy", "--writers-stopped")
    said = f"{move.source} has 120 documents, {move.target} has 120; 0 of these are not encoded"
    assert said in copied
    assert alias_of(move) == {move.source}
    assert hits(client, move.target) == hits(client, move.source)
    kept, made = (
        client.indices.get(index=name, params={"flat_settings": "true"})[name]
        for name in (move.source, move.target)
    )
    own = {
        key
        for key in kept["settings"]
        if key.startswith(("index.analysis", "index.max", "index.number"))
    }
    assert {key: made["settings"][key] for key in own} == {
        key: kept["settings"][key] for key in own
    }
    fields = dict(made["mappings"]["properties"])
    assert fields.pop("funnel")["properties"]["dense_a"]["dimension"] == 384
    assert {**made["mappings"], "properties": fields} == kept["mappings"]

    assert said in move.done("verify")
    swapped = move.done("swap")
    assert f"SOURCE={move.source}" in swapped
    assert alias_of(move) == {move.target}
    written = {"title": "the hound", "text": "new", "number": 1}
    client.index(index=move.name, id="new", body=written, params={"routing": "r0"})
    stored = client.get(index=move.name, id="new", params={"routing": "r0"})["_source"]
    assert stored["funnel"]["state"] == "ready"
    blocked = client.indices.get_settings(index=move.source, params={"flat_settings": "true"})
    assert blocked[move.source]["settings"]["index.blocks.write"] == "true"

    assert "--discard-writes" in move.refused("back", SOURCE=move.source)
    assert alias_of(move) == {move.target}
    client.indices.refresh(index=move.target)
    assert "with 1 documents more" in move.done("back", "--discard-writes", SOURCE=move.source)
    assert alias_of(move) == {move.source}
    client.index(index=move.name, id="again", body=written, params={"routing": "r0"})


def test_writes_are_refused_during_the_copy_if_that_is_what_was_asked_for(move: Move) -> None:
    assert "takes no writes until swap" in move.done("copy", "--block-writes")
    settings = move.client.indices.get_settings(index=move.source, params={"flat_settings": "true"})
    assert settings[move.source]["settings"]["index.blocks.write"] == "true"
    move.done("swap")
    made = move.client.indices.get_settings(index=move.target, params={"flat_settings": "true"})
    assert "index.blocks.write" not in made[move.target]["settings"]
    assert made[move.target]["settings"]["index.default_pipeline"] == move.name


def test_a_swap_names_the_search_pipeline_and_keeps_the_write_index(move: Move) -> None:
    action = {"index": move.source, "alias": move.name, "is_write_index": True}
    move.client.indices.update_aliases(body={"actions": [{"add": action}]})
    move.done("copy", "--writers-stopped")
    pipelines = {
        "phase_results_processors": [],
        "response_processors": [{"truncate_hits": {"target_size": 5}}],
    }
    ask = move.client.transport.perform_request
    ask("PUT", f"/_search/pipeline/{move.name}", body=pipelines)
    move.done("swap", SEARCH_PIPELINE=move.name)
    found = move.client.indices.get_alias(name=move.name)
    assert found == {move.target: {"aliases": {move.name: {"is_write_index": True}}}}
    settings = move.client.indices.get_settings(index=move.target, params={"flat_settings": "true"})
    assert settings[move.target]["settings"]["index.search.default_pipeline"] == move.name


def test_documents_that_could_not_be_encoded_are_counted_and_repaired(move: Move) -> None:
    ask = move.client.transport.perform_request
    body = ask("GET", f"/_ingest/pipeline/{move.name}")[move.name]
    # A pipeline whose model is gone encodes nothing, and loses no document either.
    broken = {
        "description": body["description"],
        "processors": [dict(p) for p in body["processors"]],
    }
    inference = dict(broken["processors"][0]["ml_inference"], model_id="gone")
    broken["processors"][0] = {"ml_inference": inference}
    ask("PUT", f"/_ingest/pipeline/{move.name}", body=broken)
    assert "120 of these are not encoded" in move.done("copy", "--writers-stopped")
    assert "--with-pending" in move.refused("swap")
    assert alias_of(move) == {move.source}
    ask("PUT", f"/_ingest/pipeline/{move.name}", body=body)
    assert f"0 documents of {move.target} are not encoded" in move.done("repair")
    assert hits(move.client, move.target) == hits(move.client, move.source)
    move.done("swap")
    assert alias_of(move) == {move.target}


def test_a_copy_that_is_interrupted_stops_its_task_and_goes_on(move: Move) -> None:
    move.weights.free.clear()
    process = move.begin("copy", "--writers-stopped")
    assert process.stdout is not None
    # It asks for the task's state when there is a task.
    lines = iter(process.stdout.readline, "")
    assert any(line.startswith("  ") for line in lines)
    process.send_signal(signal.SIGINT)
    move.weights.free.set()
    _, err = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130, err
    assert "--resume goes on from there" in err
    wait_until_no_reindex(move.client)
    assert alias_of(move) == {move.source}
    assert "exists" in move.refused("copy", "--writers-stopped")
    move.done("copy", "--writers-stopped", "--resume")
    assert hits(move.client, move.target) == hits(move.client, move.source)


def wait_until_no_reindex(client: OpenSearch) -> None:
    for _ in range(600):
        if not client.tasks.list(params={"actions": "*reindex"})["nodes"]:
            return
        time.sleep(0.1)
    raise AssertionError("the copy goes on")


def test_a_writer_that_was_not_stopped_is_noticed(bare: Move) -> None:
    bare.done("copy", "--writers-stopped")
    one = {"title": "late", "text": "late", "number": 0}
    bare.client.index(index=bare.source, id="late", body=one, params={"routing": "r"})
    assert "the counts differ" in bare.refused("verify")
    assert "the counts differ" in bare.refused("swap")
    assert alias_of(bare) == {bare.source}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"settings": {"default_pipeline": "theirs"}}, "runs an ingest pipeline of its own"),
        ({"settings": {"final_pipeline": "theirs"}}, "runs an ingest pipeline of its own"),
        (
            {"mappings": {"_source": {"excludes": ["secret"]}}},
            "does not keep all of _source",
        ),
        (
            {"mappings": {"properties": {"funnel": {"type": "text"}}}},
            "has a field 'funnel' of its own",
        ),
        ({"mappings": {"_meta": {"funnel": {"schema": 1}}}}, "has funnel fields already"),
        ({"aliases": {"{name}": {}, "{name}-2": {}}}, "has other aliases, which would stay behind"),
        (
            {"aliases": {"{name}": {"filter": {"term": {"number": 1}}}}},
            "has a filter or routing",
        ),
        ({"aliases": {"{name}": {"routing": "1"}}}, "has a filter or routing"),
        ({"aliases": {}}, "there is no alias"),
    ],
)
def test_what_it_would_lose_is_refused_and_nothing_made(
    bare: Move, change: dict[str, Any], reason: str
) -> None:
    bare.client.indices.delete(index=bare.source)
    aliases = {
        name.format(name=bare.name): body
        for name, body in change.get("aliases", {bare.name: {}}).items()
    }
    body = {**{kind: change[kind] for kind in change if kind != "aliases"}, "aliases": aliases}
    bare.client.indices.create(index=bare.source, body=body)
    assert reason in bare.refused("copy", "--writers-stopped")
    assert not bare.client.indices.exists(index=bare.target)


def test_what_is_wrong_with_a_call_is_said_in_one_line(bare: Move) -> None:
    assert "would be lost" in bare.refused("copy")
    assert "copy knows no --fast" in bare.refused("copy", "--fast")
    assert "is an index and no alias" in bare.refused("verify", ALIAS=bare.source)
    assert "ALIAS is not set" in bare.refused("verify", ALIAS="")
    assert "there is no alias" in bare.refused("swap", ALIAS="nowhere")
    assert "nothing answers at" in bare.refused("verify", FUNNEL_URL="http://127.0.0.1:9")
    assert "status 404" in bare.refused("copy", "--writers-stopped", PIPELINE="nowhere")
    other = f"{bare.name}-other"
    both = {"actions": [{"add": {"index": other, "alias": bare.name}}]}
    bare.client.indices.create(index=other)
    bare.client.indices.update_aliases(body=both)
    assert "stands for several indices" in bare.refused("copy", "--writers-stopped")


def test_its_help_says_what_it_does_not_do(bare: Move) -> None:
    status, out, _ = bare.run("--help")
    assert status == 0
    for word in (
        "WHAT IT DOES NOT DO",
        "compares counts",
        "Stop every writer",
        "drops every write",
    ):
        assert word in out
    assert bare.run("explode")[0] == 2


@contextmanager
def guarded() -> Iterator[tuple[str, list[str]]]:
    """A server that refuses everybody, and remembers what they showed."""
    shown: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            shown.append(self.headers.get("Authorization", ""))
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    server = HTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", shown
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_password_goes_to_the_cluster_and_into_no_message(bare: Move) -> None:
    with guarded() as (url, shown):
        account = {"FUNNEL_USERNAME": "u", "FUNNEL_PASSWORD": "canary"}
        err = bare.refused("verify", FUNNEL_URL=url, **account)
    assert shown == ["Basic dTpjYW5hcnk="]
    assert "status 401" in err
    assert "canary" not in err
