"""``funnel gate freshness`` on the real node, with stand-in encoders."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import EngineError, IndexMissingError, InputError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.progress import SilentProgress
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.client import connect
from opensearch_funnel.engine.indices import index_body
from opensearch_funnel.engine.state import AppliedPipeline
from opensearch_funnel.evaluating.gating import probe as probing
from opensearch_funnel.evaluating.gating.checks import Gate
from opensearch_funnel.evaluating.gating.freshness import Freshness
from opensearch_funnel.evaluating.gating.live import live_plan
from opensearch_funnel.evaluating.gating.probe import Probe, probe_in, probe_source, probe_texts
from opensearch_funnel.settings import Settings
from tests.engine.live import PATIENT, CountedWeights, live_index
from tests.engine.shelf import DENSE, MODELS, SPARSE, stand_in_service, stand_in_slot

pytestmark = pytest.mark.engine

PATIENCE = 60.0
LEGS = ("bm25", "sparse", "dense")


class StuckWeights(CountedWeights):
    """Says of every text what it said of the first one."""

    def encode_documents(self, texts: Sequence[str]) -> list[dict[str, float]]:
        self.texts += texts
        return SPARSE.encode_documents([self.texts[0]] * len(texts))


@pytest.fixture(scope="module")
def live(client: OpenSearch) -> Iterator[tuple[str, CountedWeights]]:
    """An index whose documents are encoded by stand-ins; each test leaves it as it was."""
    name, weights = f"test-{uuid.uuid4().hex[:12]}", CountedWeights()
    with stand_in_service(client, models=weights.models) as url:
        with live_index(client, name, url=url):
            yield name, weights
        client.indices.delete(index=name)


@pytest.fixture
def sparse(live: tuple[str, CountedWeights]) -> CountedWeights:
    weights = live[1]
    weights.down = False
    weights.texts.clear()
    return weights


@pytest.fixture
def index(
    client: OpenSearch, live: tuple[str, CountedWeights], sparse: CountedWeights
) -> Iterator[str]:
    del sparse
    yield live[0]
    for doc_id in ids(client, live[0]):
        client.delete(index=live[0], id=doc_id)


def gate_of(client: OpenSearch, index: str, *, within: float = PATIENCE, **options: Any) -> Gate:
    plan, concrete = live_plan(client, index)
    return Freshness(
        client=client, plan=plan, index=concrete, models=MODELS, within=within, **options
    ).run()


def ids(client: OpenSearch, index: str) -> list[str]:
    client.indices.refresh(index=index)
    found = client.search(index=index, params={"search_pipeline": "_none"})["hits"]["hits"]
    return [hit["_id"] for hit in found]


def test_every_leg_finds_a_document_and_what_it_was_changed_to(
    client: OpenSearch, index: str, sparse: CountedWeights
) -> None:
    gate = gate_of(client, index)
    assert gate.passed, gate.to_json()
    assert [check.name for check in gate.checks] == [
        *("new document encoded", *(f"new document by {leg}" for leg in LEGS)),
        *("changed document encoded", "changed document's fields"),
        *(f"changed document by {leg}" for leg in LEGS),
    ]
    fields = gate.checks[5]
    assert all(check.figures["seconds"] >= 0 for check in gate.checks if check != fields)
    assert fields.figures["changed"] == ["hash", "sparse_a", "dense_a"]
    assert len(sparse.texts) == 2
    assert ids(client, index) == []


def test_a_service_that_does_not_encode_fails_and_leaves_nothing(
    client: OpenSearch, index: str, sparse: CountedWeights
) -> None:
    sparse.down = True
    gate = gate_of(client, index)
    outcomes = {check.name: check.outcome for check in gate.checks}
    assert outcomes == {
        "new document encoded": "failed",
        "new document by bm25": "passed",
        "new document by sparse": "not judged",
        "new document by dense": "not judged",
    }
    assert "its fields are pending; see that funnel serve runs" in gate.failed[0].line()
    assert ids(client, index) == []


def test_terms_of_an_older_text_are_found_out(client: OpenSearch, index_name: str) -> None:
    stuck = StuckWeights()
    with (
        stand_in_service(client, models=PlanModels(sparse=stuck, dense=DENSE)) as url,
        live_index(client, index_name, url=url),
    ):
        gate = gate_of(client, index_name)
        assert [check.name for check in gate.failed] == ["changed document's fields"]
        assert gate.failed[0].figures["stayed"] == ["sparse_a"]
        assert "are those of the old text: sparse_a; funnel migrate repair" in (
            gate.failed[0].line()
        )
        outcomes = {check.name: check.outcome for check in gate.checks[-3:]}
        assert outcomes == {
            "changed document by bm25": "passed",
            "changed document by sparse": "not judged",
            "changed document by dense": "passed",
        }
        assert ids(client, index_name) == []


def test_a_document_that_searches_do_not_see_in_time_fails(client: OpenSearch, index: str) -> None:
    client.indices.put_settings(index=index, body={"index.refresh_interval": "-1"})
    try:
        gate = gate_of(client, index, within=0.5)
    finally:
        client.indices.put_settings(index=index, body={"index.refresh_interval": None})
    assert [check.name for check in gate.failed] == [f"new document by {leg}" for leg in LEGS]
    assert all("index.refresh_interval" in check.line() for check in gate.failed)
    assert all(" is -1: allow more (--within)" in check.line() for check in gate.failed)
    assert ids(client, index) == []


class StopAt(SilentProgress):
    """Presses Ctrl-C when something is said."""

    def __init__(self, word: str) -> None:
        object.__setattr__(self, "word", word)

    def say(self, line: str) -> None:
        if getattr(self, "word") in line:  # noqa: B009 - the class it inherits from is frozen
            raise KeyboardInterrupt


def test_ctrl_c_leaves_nothing(client: OpenSearch, index: str, sparse: CountedWeights) -> None:
    with pytest.raises(KeyboardInterrupt):
        gate_of(client, index, progress=StopAt("changed"))
    # The first text was written.
    assert len(sparse.texts) == 1
    assert ids(client, index) == []


def test_a_write_that_arrives_after_the_deletion_is_refused(client: OpenSearch, index: str) -> None:
    with probe_in(client, index=index) as probe:
        # As if Ctrl-C came while the write was on its way.
        probe.version = 1
    probe.version = 0
    with pytest.raises(EngineError, match="could not be written") as caught:
        probe.write({"text": "late"})
    assert caught.value.status == 409
    assert ids(client, index) == []


def test_probes_of_killed_runs_are_deleted_when_they_are_old(
    client: OpenSearch, index: str
) -> None:
    young = f"funnel-gate-{int(time.time())}-0a"
    for doc_id in ("funnel-gate-1000000000-0a", "funnel-gate-of-somebody", young):
        client.index(index=index, id=doc_id, body={"text": "left"})
    client.indices.refresh(index=index)
    gate = gate_of(client, index)
    assert gate.passed
    assert gate.notes == [
        "deleted what killed runs had left: funnel-gate-1000000000-0a",
        f"probes of other runs are there, too: {young}, funnel-gate-of-somebody",
    ]
    assert sorted(ids(client, index)) == [young, "funnel-gate-of-somebody"]


def test_a_refused_write_names_the_index(client: OpenSearch, index: str) -> None:
    client.indices.put_settings(index=index, body={"index.blocks.write": True})
    try:
        with pytest.raises(EngineError, match=f"the probe could not be written to {index}: "):
            gate_of(client, index)
    finally:
        client.indices.put_settings(index=index, body={"index.blocks.write": None})
    assert ids(client, index) == []


def test_a_probe_that_cannot_be_deleted_says_how_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "_WAIT_S", 0.0)
    nobody = connect(Settings(url="http://127.0.0.1:9"))
    with pytest.raises(EngineError, match="DELETE /films/_doc/funnel-gate-1-a") as caught:
        Probe(nobody, "films", "funnel-gate-1-a", version=1).delete()
    assert "\n" not in str(caught.value)
    nobody.close()


def test_an_index_that_is_not_live_is_refused(client: OpenSearch, index_name: str) -> None:
    with pytest.raises(IndexMissingError):
        live_plan(client, index_name)
    client.indices.create(index=index_name, body={"mappings": {}})
    with pytest.raises(InputError, match=f"{index_name} has no funnel fields"):
        live_plan(client, index_name)
    other = f"{index_name}-encoded"
    client.indices.create(index=other, body=index_body(slot=stand_in_slot()))
    with pytest.raises(InputError, match=f"no pipeline funnel-{other} was applied: funnel pipe"):
        live_plan(client, other)
    with stand_in_service(client) as url:
        plan = bound_plan(client, FunnelPlan(alias=other, deadlines=PATIENT))
        done: AppliedPipeline = apply_pipeline(client, plan, service_url=url, check=False)
        try:
            with pytest.raises(InputError, match=f"{other} are not encoded as they are written"):
                live_plan(client, other)
        finally:
            remove_pipeline(client, done.name)


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(
    client: OpenSearch, node_url: str, index: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client.indices.put_alias(index=index, name=f"{index}-alias")
    asked = ["gate", "freshness", index, "--dry-run", "--url", node_url]
    assert main([*asked, "--output", "json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["index"], said["legs"]) == (index, list(LEGS))
    assert sorted(said["writes"]) == ["text", "title"]
    assert main(asked) == 0
    assert f"would write a document to {index}" in capsys.readouterr().out
    assert ids(client, index) == []
    assert main([*asked[:2], f"{index}-alias", *asked[3:]]) == 1
    assert f"no pipeline funnel-{index}-alias was applied" in capsys.readouterr().err
    named = ["--pipeline", f"funnel-{index}"]
    assert main([*asked[:2], f"{index}-alias", *asked[3:], *named]) == 0


def test_the_two_texts_of_a_probe_have_nothing_in_common() -> None:
    first, second = probe_texts()
    assert not set(first.text.lower().split()) & set(second.text.lower().split())
    assert not set(first.word) & set(second.word)
    assert probe_texts()[0] != first
    assert probe_source("x", fields=["a.b", "a.c", "d"]) == {"a": {"b": "x", "c": "x"}, "d": "x"}
