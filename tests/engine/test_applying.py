"""Applying and removing search pipelines on the real node: what is left, whatever happens.

The service runs in this process, with small stand-ins for the encoders.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import InvalidPlanError, StageUnavailableError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan
from opensearch_funnel.engine import state
from opensearch_funnel.engine.applying import apply_pipeline, bound_plan, remove_pipeline
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.engine.indices import index_body
from opensearch_funnel.engine.records import STATE_INDEX
from opensearch_funnel.service.app import create_app
from opensearch_funnel.service.plans import LoadedPlans
from opensearch_funnel.service.texts import IndexTexts
from opensearch_funnel.settings import Settings
from opensearch_funnel.testing import WordVector, WordWeights, served
from tests.engine.faulty_applies import apply_until_kept, faulty, ways_to_go_wrong
from tests.engine.left_behind import documents, known_pipelines, left, pipelines
from tests.engine.shelf import stand_in_slot

pytestmark = pytest.mark.engine

SPARSE, DENSE = WordWeights(), WordVector()
DEFAULT = "index.search.default_pipeline"
TRUSTED = "plugins.ml_commons.trusted_connector_endpoints_regex"
PRIVATE_IP = "plugins.ml_commons.connector.private_ip_enabled"
CLOSED = "http://127.0.0.1:9"
FOX = {"query": {"match": {"text": "red fox"}}}
OpenModels = Callable[[FunnelPlan], PlanModels]


def stand_ins(plan: FunnelPlan) -> PlanModels:
    del plan
    return PlanModels(sparse=SPARSE, dense=DENSE)


@contextmanager
def service(client: OpenSearch, open_models: OpenModels = stand_ins) -> Iterator[str]:
    plans = LoadedPlans(
        read_plan=lambda plan_id: state.load_plan(client, plan_id), open_models=open_models
    )
    app = create_app(plans, IndexTexts(client), engine_url="test", preload=list)
    with served(app) as url:
        yield url


@pytest.fixture
def url(client: OpenSearch) -> Iterator[str]:
    with service(client) as address_:
        yield address_


@pytest.fixture
def index(client: OpenSearch, index_name: str) -> Iterator[str]:
    """An index for the funnel; after the test the cluster is as it was."""
    before = left(client)
    client.indices.create(index=index_name, body=index_body(slot=stand_in_slot()))
    yield index_name
    # Searched by name: a test that failed must not fail the next one, too.
    for name in known_pipelines(client, index_name):
        remove_pipeline(client, name)
    client.indices.delete(index=f"{index_name}*")
    assert left(client) == before


def plan_for(client: OpenSearch, index: str, **changes: Any) -> FunnelPlan:
    patient = Deadlines(rewrite_ms=20_000, rank_ms=20_000)
    return bound_plan(client, FunnelPlan(alias=index, deadlines=patient, **changes))


def default_of(client: OpenSearch, index: str) -> str | None:
    found = client.indices.get_settings(index=index, params={"flat_settings": "true"})
    value: str | None = found[index]["settings"].get(DEFAULT)
    return value


def persistent(client: OpenSearch) -> dict[str, Any]:
    found = client.cluster.get_settings(params={"flat_settings": "true"})
    values: dict[str, Any] = found["persistent"]
    return values


# What an index runs by default.


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_pipelines_that_replaced_each_other_as_default_leave_an_index_that_answers(
    client: OpenSearch, index: str, url: str, order: tuple[int, int]
) -> None:
    plan = plan_for(client, index)
    for number in (1, 2):
        apply_pipeline(client, plan, service_url=url, name=f"{index}-{number}", default=True)
    assert default_of(client, index) == f"{index}-2"
    for number in order:
        remove_pipeline(client, f"{index}-{number}")
        client.search(index=index, body=FOX)
    assert default_of(client, index) is None


def test_a_pipeline_that_is_made_default_again_comes_before_the_other_one(
    client: OpenSearch, index: str, url: str
) -> None:
    plan = plan_for(client, index)
    for number in (1, 2, 1):
        apply_pipeline(client, plan, service_url=url, name=f"{index}-{number}", default=True)
    assert default_of(client, index) == f"{index}-1"
    remove_pipeline(client, f"{index}-1")
    assert default_of(client, index) == f"{index}-2"
    remove_pipeline(client, f"{index}-2")
    assert default_of(client, index) is None


def test_a_copy_of_an_index_answers_after_the_pipeline_has_gone(
    client: OpenSearch, index: str, url: str
) -> None:
    done = apply_pipeline(client, plan_for(client, index), service_url=url, default=True)
    copy = f"{index}-copy"
    client.indices.create(index=copy, body={"settings": {DEFAULT: done.name, "hidden": True}})
    remove_pipeline(client, done.name)
    client.search(index=copy, body=FOX)
    assert default_of(client, copy) is None


def test_no_default_on_purpose_comes_back(client: OpenSearch, index: str, url: str) -> None:
    client.indices.put_settings(index=index, body={DEFAULT: "_none"})
    done = apply_pipeline(client, plan_for(client, index), service_url=url, default=True)
    assert default_of(client, index) == done.name
    remove_pipeline(client, done.name)
    assert default_of(client, index) == "_none"


def test_a_default_that_was_deleted_meanwhile_does_not_come_back(
    client: OpenSearch, index: str, url: str
) -> None:
    theirs = f"/_search/pipeline/{index}-theirs"
    client.transport.perform_request("PUT", theirs, body={"request_processors": []})
    client.indices.put_settings(index=index, body={DEFAULT: f"{index}-theirs"})
    plan = plan_for(client, index)
    done = apply_pipeline(client, plan, service_url=url, default=True, replace_default=True)
    client.transport.perform_request("DELETE", theirs)
    remove_pipeline(client, done.name)
    client.search(index=index, body=FOX)
    assert default_of(client, index) is None


def test_an_index_that_was_replaced_behind_its_alias_is_no_obstacle(
    client: OpenSearch, index: str, url: str
) -> None:
    alias = f"{index}-alias"
    mappings = client.indices.get_mapping(index=index)[index]
    settings = {"index": {"knn": True}}
    for generation in (1, 2):
        client.indices.create(
            index=f"{alias}-{generation}",
            body={**mappings, "settings": settings, "aliases": {alias: {}}},
        )
        plan = plan_for(client, alias)
        done = apply_pipeline(client, plan, service_url=url, default=True)
        assert done.default_of == {f"{alias}-{generation}": ""}
        if generation == 1:
            client.indices.delete(index=f"{alias}-1")
    remove_pipeline(client, done.name)
    assert default_of(client, f"{alias}-2") is None


# What is left when it fails, or is interrupted.


@ways_to_go_wrong
def test_an_apply_that_goes_wrong_anywhere_leaves_everything_as_it_was(  # noqa: PLR0913, PLR0917
    client: OpenSearch,
    engine_settings: Settings,
    index: str,
    url: str,
    fault: str,
    replaces: bool,
) -> None:
    plan = plan_for(client, index)
    other_url = url
    if replaces:
        apply_pipeline(client, plan_for(client, index, depth=77), service_url=url, default=True)
        other_url = url.replace("127.0.0.1", "localhost")
    before = left(client)
    writes = apply_until_kept(
        client,
        partial(faulty, engine_settings, fault=fault),
        plan,
        apply=lambda bad: apply_pipeline(bad, plan, service_url=other_url, default=True),
    )
    assert writes > 8, "there were that many writes to go wrong"
    done = apply_pipeline(client, plan, service_url=other_url, default=True)
    assert not [key for key in documents(client) if key.startswith("unfinished:")]
    assert len(left(client)["models"] - before["models"]) == 1
    assert not degraded_search(client, index)
    remove_pipeline(client, done.name)


def degraded_search(client: OpenSearch, index: str) -> bool:
    return bool(degraded(client.search(index=index, body=FOX)))


@pytest.mark.parametrize("at", range(1, 9))
def test_a_removal_that_was_interrupted_is_finished_by_the_next(
    client: OpenSearch, engine_settings: Settings, index: str, url: str, at: int
) -> None:
    before = left(client)
    done = apply_pipeline(client, plan_for(client, index), service_url=url, default=True)
    bad = faulty(engine_settings, at=at, fault="interrupted")
    with pytest.raises(KeyboardInterrupt):
        remove_pipeline(bad, done.name)
    client.search(index=index, body=FOX)
    with suppress(InvalidPlanError):  # everything went already
        remove_pipeline(client, done.name)
    assert left(client) == before


# The cluster settings that let it call a service.


def test_removing_one_pipeline_leaves_the_other_ones_service_reachable(
    client: OpenSearch, index: str, url: str
) -> None:
    before = persistent(client)
    plan = plan_for(client, index)
    with service(client) as second:
        a = apply_pipeline(client, plan, service_url=url, name=f"{index}-a")
        b = apply_pipeline(client, plan, service_url=second + "/", name=f"{index}-b", default=True)
        assert b.service_url == second
        remove_pipeline(client, a.name)
        assert not degraded_search(client, index)
        assert persistent(client)[PRIVATE_IP] == "true"
        port = second.rpartition(":")[2]
        ours = [one for one in persistent(client)[TRUSTED] if one.endswith("/v1/plans/.*$")]
        assert ours == [rf"^http://127\.0\.0\.1:{port}/v1/plans/.*$"]
        remove_pipeline(client, b.name)
    assert persistent(client) == before


def test_a_slash_at_the_end_names_the_same_service(
    client: OpenSearch, index: str, url: str
) -> None:
    plan = plan_for(client, index)
    first = apply_pipeline(client, plan, service_url=url)
    assert apply_pipeline(client, plan, service_url=url + "/") == first


def test_what_somebody_else_set_stays(client: OpenSearch, index: str, url: str) -> None:
    before = persistent(client)
    set_before = {TRUSTED: ["^https://before$"], PRIVATE_IP: "false"}
    client.cluster.put_settings(body={"persistent": set_before})
    try:
        done = apply_pipeline(client, plan_for(client, index), service_url=url)
        now = [*persistent(client)[TRUSTED], "^https://meanwhile$"]
        client.cluster.put_settings(body={"persistent": {TRUSTED: now}})
        remove_pipeline(client, done.name)
        assert persistent(client)[TRUSTED] == ["^https://before$", "^https://meanwhile$"]
        assert persistent(client)[PRIVATE_IP] == "false"
    finally:
        client.cluster.put_settings(body={"persistent": {TRUSTED: None, PRIVATE_IP: None}})
    assert persistent(client) == before


def test_a_transient_setting_that_is_in_the_way_is_named_and_not_copied(
    client: OpenSearch, index: str, url: str
) -> None:
    before = left(client)
    plan = plan_for(client, index)
    client.cluster.put_settings(body={"transient": {TRUSTED: ["^https://elsewhere$"]}})
    try:
        with pytest.raises(InvalidPlanError, match=r"transient cluster setting .*trusted"):
            apply_pipeline(client, plan, service_url=url)
    finally:
        client.cluster.put_settings(body={"transient": {TRUSTED: None}})
    assert left(client) == before
    done = apply_pipeline(client, plan, service_url=url)
    client.cluster.put_settings(body={"transient": {TRUSTED: ["^https://elsewhere$"]}})
    try:
        remove_pipeline(client, done.name)
    finally:
        client.cluster.put_settings(body={"transient": {TRUSTED: None}})
    assert left(client) == before


# That something answers, and goes on to.


def test_an_address_where_nothing_answers_is_refused_and_nothing_is_left(
    client: OpenSearch, index: str
) -> None:
    before = left(client)
    with pytest.raises(StageUnavailableError, match=r"127\.0\.0\.1:9 .*[Rr]efused.*--no-check"):
        apply_pipeline(client, plan_for(client, index), service_url=CLOSED, default=True)
    assert left(client) == before


def test_a_plan_that_the_service_cannot_run_is_refused_with_its_reason(
    client: OpenSearch, index: str, url: str
) -> None:
    before = left(client)
    values = plan_for(client, index).to_dict()
    values["sparse"]["fingerprint"] = "ffffffffffff"
    with pytest.raises(StageUnavailableError, match="ffffffffffff"):
        apply_pipeline(client, FunnelPlan.from_dict(values), service_url=url)
    assert left(client) == before


def test_searches_go_the_old_way_until_the_service_has_loaded_the_plan(
    client: OpenSearch, index: str
) -> None:
    seen = []

    def slowly(plan: FunnelPlan) -> PlanModels:
        time.sleep(2.0)
        seen.append(pipelines(client))
        return stand_ins(plan)

    with service(client, slowly) as url:
        done = apply_pipeline(client, plan_for(client, index), service_url=url, default=True)
        assert not degraded_search(client, index)
        remove_pipeline(client, done.name)
    assert len(seen) == 1
    assert done.name not in seen[0]


@pytest.mark.parametrize("broken", ["pipeline", "body", "model", "settings", "plan"])
def test_applying_again_heals_what_was_broken(
    client: OpenSearch, index: str, url: str, broken: str
) -> None:
    plan = plan_for(client, index)
    done = apply_pipeline(client, plan, service_url=url)
    healthy = left(client)
    path = f"/_search/pipeline/{done.name}"
    match broken:
        case "pipeline":
            client.transport.perform_request("DELETE", path)
        case "body":
            client.transport.perform_request("PUT", path, body={"request_processors": []})
        case "model":
            model = f"/_plugins/_ml/models/{done.models[0]}"
            client.transport.perform_request("POST", f"{model}/_undeploy")
            client.transport.perform_request("DELETE", model)
        case "settings":
            client.cluster.put_settings(body={"persistent": {TRUSTED: None, PRIVATE_IP: None}})
        case "plan":
            client.delete(index=STATE_INDEX, id=f"plan:{plan.plan_id}")
    apply_pipeline(client, plan, service_url=url, default=True)
    assert not degraded_search(client, index)
    healed = left(client)
    assert len(healed["models"]) == len(healthy["models"])
    assert len(healed["connectors"]) == len(healthy["connectors"])
    assert healed["settings"] == healthy["settings"]
    assert healed["state"].keys() == healthy["state"].keys()


def test_the_command_line_can_apply_a_plan_before_its_service_runs(
    client: OpenSearch,
    node_url: str,
    index: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("FUNNEL_URL", node_url)
    apply = ["pipeline", "apply", "--index", index, "--rerank", "off", "--service-url", CLOSED]
    assert main(apply) == 1
    assert "--no-check" in capsys.readouterr().err
    assert known_pipelines(client, index) == []
    assert main([*apply, "--no-check"]) == 0
    assert known_pipelines(client, index) == [f"funnel-{index}"]


# The plans in the cluster's state.


def test_a_plan_is_kept_as_long_as_a_pipeline_runs_it(
    client: OpenSearch, index: str, url: str
) -> None:
    def plans() -> set[str]:
        return {key for key in documents(client) if key.startswith(f"plan:{index}.")}

    old, new = plan_for(client, index), plan_for(client, index, depth=77)
    apply_pipeline(client, old, service_url=url, name=f"{index}-1")
    apply_pipeline(client, old, service_url=url, name=f"{index}-2")
    apply_pipeline(client, new, service_url=url, name=f"{index}-1")
    assert plans() == {f"plan:{old.plan_id}", f"plan:{new.plan_id}"}
    apply_pipeline(client, new, service_url=url, name=f"{index}-2")
    assert plans() == {f"plan:{new.plan_id}"}
    remove_pipeline(client, f"{index}-1")
    assert plans() == {f"plan:{new.plan_id}"}
    remove_pipeline(client, f"{index}-2")
    assert plans() == set()
