"""Set-ups that are broken on purpose: the doctor names each, and the fix that it prints works."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import EngineError
from opensearch_funnel.core.plan import FunnelPlan, Trust
from opensearch_funnel.engine import state
from opensearch_funnel.engine.binding import bound_plan
from opensearch_funnel.engine.indices import index_body, read_funnel_meta, write_funnel_meta
from opensearch_funnel.engine.records import STATE_INDEX
from opensearch_funnel.engine.state import Unfinished
from opensearch_funnel.settings import load_settings
from tests.engine.ward import (
    PATIENT,
    PLAN_FILE,
    TEXTS,
    Ward,
    applied,
    bad,
    fill,
    kept_cluster_settings,
    plan_of,
    slot,
    stand_in,
)

pytestmark = pytest.mark.engine

ML = "/_plugins/_ml"
HOME = load_settings().home
"""Where this machine keeps its models; commands that open none get a home of their own here."""
TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE_IP = "plugins.ml_commons.connector.private_ip_enabled"


@pytest.fixture(autouse=True)
def folder(node_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a user works, on a machine without models: the service has them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUNNEL_URL", node_url)
    monkeypatch.setenv("FUNNEL_HOME", str(tmp_path / "home"))
    (tmp_path / "funnel.toml").write_text(PLAN_FILE, encoding="utf-8")
    return tmp_path


class Wards:
    """Opens a ward where there is none, and another one where a test left it unwell."""

    def __init__(self, client: OpenSearch, *, url: str) -> None:
        self._client = client
        self._url = url
        self._open = ExitStack()
        self._ward: Ward | None = None

    def ward(self, *, folder: Path) -> Ward:
        """Return the ward as it is now: what a fix applied is what the next test breaks."""
        if self._ward is None:
            self._ward = self._opened(folder)
        applied_now = state.load_pipeline(self._client, self._ward.pipeline)
        if applied_now is None:
            return self._ward
        plan = state.load_plan(self._client, applied_now.plan_id)
        return replace(self._ward, applied=applied_now, plan=plan, folder=folder)

    def close(self) -> None:
        self._open.close()
        self._open, self._ward = ExitStack(), None

    def _opened(self, folder: Path) -> Ward:
        index = f"test-{uuid.uuid4().hex[:12]}"
        self._open.enter_context(kept_cluster_settings(self._client))
        self._open.callback(self._client.indices.delete, index=f"{index}*")
        fill(self._client, index)
        url = self._open.enter_context(stand_in(self._client, engine_url=self._url))
        plan = plan_of(self._client, index)
        running = applied(self._client, plan, service_url=url, default=True, ingest=True)
        done = self._open.enter_context(running)
        return Ward(
            client=self._client,
            url=self._url,
            service_url=url,
            index=index,
            plan=plan,
            applied=done,
            folder=folder,
        )


@pytest.fixture(scope="module")
def wards(client: OpenSearch, node_url: str) -> Iterator[Wards]:
    opened = Wards(client, url=node_url)
    yield opened
    opened.close()


@pytest.fixture
def ward(wards: Wards, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Ward:
    """A set-up that is well."""
    for _ in range(2):
        found = wards.ward(folder=folder)
        monkeypatch.setenv("FUNNEL_SERVICE_URL", found.service_url)
        wrong = bad(found.doctor())
        if not wrong:
            return found
        wards.close()
    pytest.fail(f"a set-up that nobody has broken is not well: {wrong}")


def delete_pipeline(ward: Ward) -> None:
    ward.call("DELETE", f"/_search/pipeline/{ward.pipeline}")


def detach_default(ward: Ward) -> None:
    ward.settings(search__default_pipeline=None)


def name_a_missing_default(ward: Ward) -> None:
    ward.settings(search__default_pipeline=f"{ward.pipeline}-gone")
    with pytest.raises(EngineError, match="is not defined"):
        ward.client.search(index=ward.index, body={})


def delete_a_model(ward: Ward) -> None:
    ward.call("POST", f"{ML}/models/{ward.applied.models[0]}/_undeploy")
    ward.call("DELETE", f"{ML}/models/{ward.applied.models[0]}")


def distrust_the_address(ward: Ward) -> None:
    body = {"persistent": {TRUSTED: ["^https://elsewhere/.*$"]}}
    ward.client.cluster.put_settings(body=body)


def close_private_addresses(ward: Ward) -> None:
    """As after a restart: a model that runs keeps calling until it is opened again."""
    ward.client.cluster.put_settings(body={"persistent": {PRIVATE_IP: False}})
    reopen_models(ward)


def override_by_a_transient_setting(ward: Ward) -> None:
    ward.client.cluster.put_settings(body={"transient": {PRIVATE_IP: False}})
    reopen_models(ward)


def reopen_models(ward: Ward) -> None:
    """The next call of a model opens it, and keeps what the setting was then."""
    asked = {"parameters": {"source": "{}", "doc": "{}"}}
    for model in ward.applied.models:
        ward.call("POST", f"{ML}/models/{model}/_undeploy")
        with pytest.raises(EngineError, match="private ip address"):
            ward.call("POST", f"{ML}/models/{model}/_predict", asked)


def put_an_old_plan_back(ward: Ward) -> None:
    body = ward.call("GET", f"/_search/pipeline/{ward.pipeline}")[ward.pipeline]
    old = {**body, "description": f"opensearch-funnel {ward.index}.0ld0ld0ld0ld"}
    ward.call("PUT", f"/_search/pipeline/{ward.pipeline}", old)


def name_another_model_in_meta(ward: Ward) -> None:
    meta = read_funnel_meta(ward.client, index=ward.index)
    meta["slots"]["a"]["dense"] = {"model": "bge-small-en-v1.5", "fingerprint": "0123456789ab"}
    write_funnel_meta(ward.client, index=ward.index, meta=meta)


def block_as_a_full_disk_does(ward: Ward) -> None:
    ward.settings(blocks__read_only_allow_delete=True)


def leave_in_load_settings(ward: Ward) -> None:
    meta = read_funnel_meta(ward.client, index=ward.index)
    before = {"refresh_interval": None, "number_of_replicas": "0"}
    write_funnel_meta(ward.client, index=ward.index, meta={**meta, "loading": before})
    ward.settings(refresh_interval="-1")


def cover_a_plain_index(ward: Ward) -> None:
    other = f"{ward.index}-plain"
    ward.client.indices.create(index=other, body={"settings": {"number_of_replicas": 0}})
    for index in (ward.index, other):
        ward.client.indices.put_alias(index=index, name=f"{ward.index}-all")


def lose_the_record(ward: Ward) -> None:
    ward.client.delete(
        index=STATE_INDEX, id=f"pipeline:{ward.pipeline}", params={"refresh": "true"}
    )


def lower_a_limit(ward: Ward) -> None:
    ward.settings(max_result_window=100)


def add_a_text_field(ward: Ward) -> None:
    mapping = {"properties": {"subtitle": {"type": "text"}}}
    ward.client.indices.put_mapping(index=ward.index, body=mapping)


def want_a_replica(ward: Ward) -> None:
    ward.settings(number_of_replicas=1)


def interrupt_an_apply(ward: Ward) -> None:
    left = Unfinished(
        name=ward.pipeline, service_url=ward.service_url, plan_ids=(ward.plan.plan_id,)
    )
    state.save_unfinished(ward.client, left)


def detach_ingest(ward: Ward) -> None:
    ward.settings(default_pipeline=None)


def delete_ingest_pipeline(ward: Ward) -> None:
    ward.settings(default_pipeline=None)
    ward.call("DELETE", f"/_ingest/pipeline/{ward.pipeline}")
    ward.settings(default_pipeline=ward.pipeline)


def name_a_missing_ingest_pipeline(ward: Ward) -> None:
    ward.settings(default_pipeline=f"{ward.pipeline}-gone")


Break = Callable[[Ward], None]

BROKEN: list[tuple[Break, str, str]] = [
    (delete_pipeline, "pipeline.body", "error"),
    (detach_default, "pipeline.default", "warning"),
    (name_a_missing_default, "index.default_pipeline", "error"),
    (delete_a_model, "pipeline.models", "error"),
    (distrust_the_address, "settings.trusted_address", "warning"),
    (close_private_addresses, "settings.private_ip", "error"),
    (override_by_a_transient_setting, "settings.transient", "error"),
    (put_an_old_plan_back, "pipeline.body", "error"),
    (name_another_model_in_meta, "plan.fingerprints", "error"),
    (block_as_a_full_disk_does, "index.blocks", "error"),
    (leave_in_load_settings, "index.load_settings", "warning"),
    (cover_a_plain_index, "index.aliases", "warning"),
    (lose_the_record, "state.record", "error"),
    (lower_a_limit, "index.limits", "error"),
    (add_a_text_field, "plan.current", "warning"),
    (want_a_replica, "index.health", "warning"),
    (interrupt_an_apply, "state.unfinished", "warning"),
    (detach_ingest, "documents.ingest", "warning"),
    (delete_ingest_pipeline, "documents.ingest", "error"),
    (name_a_missing_ingest_pipeline, "index.ingest_default", "error"),
]


@pytest.mark.parametrize(
    ("break_it", "check", "level"), BROKEN, ids=[one[0].__name__ for one in BROKEN]
)
def test_a_broken_set_up_is_named_and_its_fix_works(
    ward: Ward, break_it: Break, check: str, level: str
) -> None:
    break_it(ward)
    found = bad(ward.doctor())
    assert {name: one["level"] for name, one in found.items()} == {check: level}, found
    ward.shell(found[check]["fix"])
    assert bad(ward.doctor()) == {}, "well again"


def test_a_cluster_that_forgot_everything_is_told_again(ward: Ward) -> None:
    found = ward.client.search(index=STATE_INDEX, body={"size": 1000})["hits"]["hits"]
    ward.client.indices.delete(index=STATE_INDEX)
    try:
        named = bad(ward.doctor())
        assert set(named) == {"state.record"}
        assert STATE_INDEX in named["state.record"]["finding"]
        ward.shell(named["state.record"]["fix"])
        assert bad(ward.doctor()) == {}
    finally:
        # What other tests had recorded, and what was set before the first apply.
        for hit in found:
            others = ward.index not in hit["_id"]
            if others:
                ward.client.index(index=STATE_INDEX, id=hit["_id"], body=hit["_source"])
        ward.client.indices.refresh(index=STATE_INDEX)


def test_a_plan_that_is_not_the_one_of_the_folder_is_written_down_first(ward: Ward) -> None:
    (ward.folder / "funnel.toml").unlink()
    delete_pipeline(ward)
    fix = bad(ward.doctor())["pipeline.body"]["fix"]
    assert "--plan" in fix
    ward.shell(fix)
    assert bad(ward.doctor()) == {}
    again = state.load_pipeline(ward.client, ward.pipeline)
    assert again is not None
    assert again.plan_id == ward.plan.plan_id


def test_a_template_gives_the_pipeline_to_new_indices(ward: Ward) -> None:
    name = f"{ward.index}-template"
    body = {
        "index_patterns": [f"{name}-*"],
        "template": {
            "settings": {
                "index.search.default_pipeline": ward.pipeline,
                "index.number_of_replicas": 0,
            }
        },
    }
    ward.call("PUT", f"/_index_template/{name}", body)
    try:
        named = bad(ward.doctor())
        assert set(named) == {"pipeline.templates"}
        ward.shell(named["pipeline.templates"]["fix"])
        assert bad(ward.doctor()) == {}
        left = ward.call("GET", f"/_index_template/{name}")["index_templates"][0]["index_template"]
        assert left["index_patterns"] == [f"{name}-*"]
        assert left["template"]["settings"] == {"index": {"number_of_replicas": "0"}}
    finally:
        ward.call("DELETE", f"/_index_template/{name}")


def test_a_default_without_normalization_leaves_hybrid_queries_unfused(ward: Ward) -> None:
    theirs = f"{ward.pipeline}-theirs"
    ward.call("PUT", f"/_search/pipeline/{theirs}", {"response_processors": []})
    try:
        ward.settings(search__default_pipeline=theirs)
        named = bad(ward.doctor())
        assert set(named) == {"index.hybrid", "pipeline.default"}
        assert named["index.hybrid"]["fix"] == named["pipeline.default"]["fix"]
        ward.shell(named["index.hybrid"]["fix"])
        assert bad(ward.doctor()) == {}
    finally:
        ward.settings(search__default_pipeline=ward.pipeline)
        ward.call("DELETE", f"/_search/pipeline/{theirs}")


def test_the_table_shows_a_fix_in_one_piece(
    ward: Ward, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    block_as_a_full_disk_does(ward)
    fix = bad(ward.doctor())["index.blocks"]["fix"]
    assert main(["doctor", "--index", ward.index]) == 1
    printed = capsys.readouterr().out
    assert f"    fix: {fix}\n" in printed
    assert "✗ index.blocks" in printed
    ward.shell(fix)


def test_warnings_fail_only_where_that_is_asked_for(ward: Ward) -> None:
    detach_default(ward)
    assert main(["doctor", "--index", ward.index]) == 0
    assert main(["doctor", "--index", ward.index, "--strict"]) == 1


def test_what_is_not_migrated_or_not_applied_is_said(ward: Ward) -> None:
    plain = f"{ward.index}-unknown"
    ward.client.indices.create(index=plain, body={"settings": {"number_of_replicas": 0}})
    other = f"{ward.index}-other"
    fill(ward.client, other)
    named = bad(replace(ward, index=plain).doctor())
    assert set(named) == {"index.found"}
    assert "funnel migrate plan" in named["index.found"]["fix"]
    named = bad(replace(ward, index=other).doctor())
    assert set(named) == {"index.found"}
    fix = named["index.found"]["fix"]
    assert fix == f"funnel pipeline apply --index {other} --default --url {ward.url}"
    named = bad(replace(ward, index=f"{ward.index}-none").doctor())
    assert set(named) == {"index.found"}
    ward.shell(named["index.found"]["fix"])


def test_nothing_is_written(ward: Ward) -> None:
    """What the doctor looks at is the same before and after, to the version of its metadata."""
    # Plugins write into indices of their own when they see fit.
    looked_at = f"{ward.index}*,{STATE_INDEX}"

    def version() -> tuple[Any, ...]:
        found = ward.call("GET", f"/_cluster/state/metadata/{looked_at}")
        stats = ward.call("GET", f"/{looked_at}/_stats/indexing?expand_wildcards=all")
        operations = stats["_all"]["total"]["indexing"]
        return (found["metadata"]["indices"], operations["index_total"], operations["delete_total"])

    ward.doctor()
    before = version()
    ward.doctor()
    assert version() == before


def test_one_shard_with_many_documents_is_split_by_the_fix(ward: Ward) -> None:
    template = ward.client.get(index=ward.index, id="d0", params={"_source_excludes": "title"})
    lines: list[Any] = []
    for number in range(1000):
        funnel = {**template["_source"]["funnel"], "id": f"n{number}"}
        lines += [{"index": {"_id": f"n{number}"}}, {"text": "a red fox", "funnel": funnel}]
    ward.client.bulk(body=lines, index=ward.index, params={"refresh": "true", "pipeline": "_none"})
    named = bad(ward.doctor())
    assert set(named) == {"index.shards"}
    ward.shell(named["index.shards"]["fix"])
    split = f"{ward.index}-split"
    assert ward.client.count(index=split)["count"] == 1000 + len(TEXTS)
    found = ward.client.indices.get_settings(index=split, params={"flat_settings": "true"})
    assert found[split]["settings"]["index.number_of_shards"] == "2"
    ward.client.index(index=split, id="more", body={"text": "fox"}, params={"pipeline": "_none"})


@pytest.mark.model
def test_pending_documents_are_encoded_by_the_fix(
    client: OpenSearch, node_url: str, index_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the real sparse model: what is encoded has to be found again."""
    monkeypatch.setenv("FUNNEL_HOME", str(HOME))
    filled = replace(slot(), dense=None, dimension=0)
    client.indices.create(index=index_name, body=index_body(slot=filled))
    waiting = {"text": "the red fox", "funnel": {"id": "d0", "state": "pending"}}
    for doc_id, source in {"d0": waiting, "d1": {"text": "never seen by the funnel"}}.items():
        client.index(index=index_name, id=doc_id, body=source)
    client.indices.refresh(index=index_name)
    trust = Trust(decided=True, reason="as asked for")
    written = FunnelPlan(alias=index_name, deadlines=PATIENT, trust=trust)
    written = written.with_legs("bm25", "sparse")
    plan = bound_plan(client, written)
    with stand_in(client, engine_url=node_url) as url:
        monkeypatch.setenv("FUNNEL_SERVICE_URL", url)
        with applied(client, plan, service_url=url, default=True) as done:
            ward = Ward(
                client=client,
                url=node_url,
                service_url=url,
                index=index_name,
                plan=plan,
                applied=done,
                folder=Path.cwd(),
            )
            named = bad(ward.doctor())
            assert set(named) == {"documents.encoded"}
            assert "1 pending" in named["documents.encoded"]["finding"]
            assert "1 never encoded" in named["documents.encoded"]["finding"]
            ward.shell(named["documents.encoded"]["fix"])
            assert bad(ward.doctor()) == {}
    repaired = client.get(index=index_name, id="d0")["_source"]["funnel"]
    assert repaired["state"] == "ready"
    assert repaired["sparse_a"]


def test_every_pipeline_is_looked_at_where_none_is_named(ward: Ward) -> None:
    detach_default(ward)
    with redirect_stdout(StringIO()) as printed:
        main(["doctor", "--output", "json"])
    found = json.loads(printed.getvalue())["findings"]
    told = [one for one in found if one["check"] == "pipeline.default"]
    assert ward.pipeline in [one["subject"] for one in told if one["level"] == "warning"]


def test_a_check_says_what_it_is_about(ward: Ward) -> None:
    """Checks have names that stay, one line of finding, and a fix wherever something is wrong."""
    for break_it in (detach_default, lower_a_limit, detach_ingest, want_a_replica):
        break_it(ward)
    for one in ward.doctor():
        assert re.fullmatch(r"[a-z]+(\.[a-z_]+)?", one["check"])
        assert one["finding"]
        assert "\n" not in one["finding"] + one["fix"] + one["advice"]
        if one["level"] in {"warning", "error"}:
            assert one["fix"], one
