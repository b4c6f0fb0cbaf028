"""The files of ``mappings/``: the program sends the same, and curl alone can send them."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine import records, search_pipelines, service_access
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.engine.indices import EncodedBy, Slot, funnel_mapping, index_body
from opensearch_funnel.engine.ingest_pipelines import ingest_pipeline
from opensearch_funnel.engine.rewriting import KEY_FIELDS
from opensearch_funnel.resources import mapping, mappings_dir
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights
from tests.docs.cluster_state import State, cluster_state, difference, restore
from tests.engine.shelf import stand_in_service

ROOT = Path(__file__).resolve().parents[2]
SERVICE, TOKEN = "http://127.0.0.1:8750", "0123456789abcdef"
PLAN = FunnelPlan(alias="films")
VALUES = {
    "ALIAS": "films",
    "PLAN_ID": PLAN.plan_id,
    "SERVICE_URL": SERVICE,
    "SERVICE_URL_PATTERN": SERVICE.replace(".", r"\\."),
    "SERVICE_TOKEN": TOKEN,
    "SPARSE_FINGERPRINT": "1",
    "DENSE_FINGERPRINT": "2",
    "REWRITE_MODEL_ID": "rewrite-id",
    "RANK_MODEL_ID": "rank-id",
    "ENCODE_MODEL_ID": "encode-id",
    "CONNECTOR_ID": "connector-id",
    "ACTION": "rank",
}


def filled(name: str, values: Mapping[str, str] = VALUES) -> Any:
    """Return a file with its placeholders filled in as ``sed`` does it."""
    text = (mappings_dir() / f"{name}.v1.json").read_text(encoding="utf-8")
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return json.loads(text)


def files() -> list[str]:
    return sorted(path.name for path in mappings_dir().glob("*.json"))


# What the program sends is what the files hold.


@pytest.mark.parametrize("action", search_pipelines.ACTIONS)
def test_the_connectors_are_those_of_the_program(action: str) -> None:
    made = getattr(search_pipelines, f"{action}_connector")
    assert filled(f"connector-{action}") == made(PLAN, service_url=SERVICE, token=TOKEN)


def test_the_search_pipelines_are_those_of_the_program() -> None:
    plain = search_pipelines.funnel_pipeline(PLAN, rewrite_model="rewrite-id", rank_model=None)
    assert filled("search-pipeline") == plain
    reranked = search_pipelines.funnel_pipeline(
        PLAN, rewrite_model="rewrite-id", rank_model="rank-id"
    )
    assert filled("search-pipeline-reranked") == reranked


def test_the_reranker_gets_what_the_program_asks_the_hits_for() -> None:
    rerank, _, *hidden = filled("search-pipeline-reranked")["response_processors"]
    assert rerank["rerank"]["context"]["document_fields"] == list(KEY_FIELDS)
    assert [one["split"]["field"] for one in hidden] == list(KEY_FIELDS)


def test_the_ingest_pipeline_is_that_of_the_program() -> None:
    assert filled("ingest-pipeline") == ingest_pipeline(PLAN, encode_model="encode-id")


def test_the_cluster_settings_are_those_of_the_program() -> None:
    assert filled("cluster-settings") == {
        "persistent": {
            service_access.TRUSTED: [search_pipelines.trusted_pattern(SERVICE)],
            service_access.PRIVATE_IP: True,
        }
    }


def test_the_plan_is_read_by_the_service() -> None:
    record = filled("plan")
    assert record["kind"] == "plan"
    plan = FunnelPlan.from_dict(record["plan"])
    assert plan.active_legs == ("bm25", "sparse", "dense")
    bound = replace(
        PLAN,
        searched_fields=("title", "text"),
        sparse=replace(PLAN.sparse, fingerprint="1"),
        dense=replace(PLAN.dense, fingerprint="2"),
    )
    assert plan == bound


def test_the_templates_give_the_fields_that_the_program_gives() -> None:
    component = filled("component-template")
    assert component["template"] == mapping("funnel-fields.v1")
    by = [
        EncodedBy(model=leg.model, fingerprint=str(n))
        for n, leg in ((1, PLAN.sparse), (2, PLAN.dense))
    ]
    body = index_body(slot=Slot(sparse=by[0], dense=by[1], dimension=384))
    template = filled("index-template")["template"]
    assert template["mappings"]["_meta"] == body["mappings"]["_meta"]
    fields = component["template"]["mappings"]["properties"]
    assert fields == funnel_mapping(dimension=384)["properties"]
    assert template["mappings"]["properties"].items() <= body["mappings"]["properties"].items()


def test_every_file_and_every_placeholder_is_on_the_page() -> None:
    page = (mappings_dir() / "README.md").read_text(encoding="utf-8")
    texts = [(mappings_dir() / name).read_text(encoding="utf-8") for name in files()]
    for name in files():
        short = re.sub(r"^connector-\w+", lambda found: f"-{found[0].split('-')[1]}", name)
        assert f"`{name}`" in page or f"`{short.removesuffix('.v1.json')}`" in page, name
    for placeholder in {found for text in texts for found in re.findall(r"@[A-Z_]+@", text)}:
        assert f"`{placeholder}`" in page
        assert placeholder.strip("@") in VALUES


@pytest.mark.engine
def test_the_state_index_is_that_of_the_program(client: OpenSearch, index_name: str) -> None:
    records.put_record(client, index_name, {"kind": "test"})
    records.delete_record(client, index_name)
    body = filled("state-index")
    client.indices.create(index=index_name, body=body)
    for read in (client.indices.get_mapping, client.indices.get_settings):
        made = read(index=f"{index_name},{records.STATE_INDEX}", params={"expand_wildcards": "all"})
        own, theirs = (without_name(made[name]) for name in (index_name, records.STATE_INDEX))
        assert own == theirs


def without_name(found: dict[str, Any]) -> dict[str, Any]:
    index = found.get("settings", {}).get("index", {})
    for name in ("creation_date", "uuid", "provided_name", "number_of_replicas"):
        index.pop(name, None)
    return found


# And curl alone can send them.


def block(marker: str) -> str:
    """Return the commands of the page below a marker."""
    page = (mappings_dir() / "README.md").read_text(encoding="utf-8")
    found = re.search(rf"<!-- {marker}: runs in a test -->\n```sh\n(.*?)```", page, re.DOTALL)
    assert found is not None
    return found[1]


def run(commands: str, **environment: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-eu", "-c", commands],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def untouched(client: OpenSearch) -> Iterator[State]:
    """What was in the cluster before the test; what a test that failed left goes."""
    before = cluster_state(client)
    yield before
    restore(client, before)


@pytest.mark.engine
@pytest.mark.parametrize("reranked", [False, True])
def test_curl_alone_makes_an_index_that_is_encoded_searched_and_undone(
    client: OpenSearch, node_url: str, untouched: State, index_name: str, *, reranked: bool
) -> None:
    sparse, dense = WordWeights(), WordVector(dimension=384)
    models = PlanModels(sparse=sparse, dense=dense, reranker=OverlapScorer())
    with stand_in_service(client, models=models, token=TOKEN) as service_url:
        given = {
            "FUNNEL_URL": node_url,
            "ALIAS": index_name,
            "PLAN_ID": f"{index_name}.1",
            "SERVICE_URL": service_url,
            "SERVICE_TOKEN": TOKEN,
            "SPARSE_FINGERPRINT": sparse.fingerprint,
            "DENSE_FINGERPRINT": dense.fingerprint,
        }
        commands = block("set up")
        if reranked:
            commands = with_reranker(commands)
        run(commands, **given)
        assert set(client.indices.get_alias(name=index_name)) == {f"{index_name}-funnel-1"}
        written = {"title": "Fox", "text": "a red fox"}
        client.index(index=index_name, id="d1", body=written, params={"refresh": "true"})
        stored = client.get(index=index_name, id="d1")["_source"]
        assert stored["funnel"]["state"] == "ready"
        answer = client.search(index=index_name, body={"query": {"match": {"text": "fox"}}})
        assert not degraded(answer)
        assert answer["aggregations"]["_funnel"]["meta"]["rank"] is reranked
        assert answer["hits"]["hits"][0]["_source"] == written
        run(block("take back"), **given)
        plain = client.search(index=index_name, body={"query": {"match": {"text": "fox"}}})
        assert "aggregations" not in plain
    client.indices.delete(index=f"{index_name}-funnel-1")
    assert not difference(untouched, cluster_state(client))


def with_reranker(commands: str) -> str:
    """Return the commands with the changes that the page names for a plan that reranks."""
    changes = {
        "encode=$(model encode)\n": "encode=$(model encode)\nrank=$(model rank)\n",
        "fill search-pipeline |": "fill search-pipeline-reranked |",
        "fill plan |": """fill plan | sed 's/"enabled": false/"enabled": true/' |""",
        '-e "s|@REWRITE_MODEL_ID@|': '-e "s|@RANK_MODEL_ID@|${rank:-}|g" -e "s|@REWRITE_MODEL_ID@|',
    }
    for old, new in changes.items():
        assert old in commands
        commands = commands.replace(old, new)
    return commands
