"""The ingest pipeline with the one that an index had: applied, shown, applied again, removed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.core.errors import InvalidPlanError, StageUnavailableError
from opensearch_funnel.engine.applying import (
    apply_notes,
    apply_pipeline,
    remove_pipeline,
    show_pipelines,
)
from opensearch_funnel.settings import Settings
from tests.engine.faulty_applies import apply_until_kept, faulty, ways_to_go_wrong
from tests.engine.ingest_defaults import (
    DEFAULT,
    THEIRS,
    cleaned_index,
    default_of,
    plan_for,
    their_pipeline,
)
from tests.engine.left_behind import left
from tests.engine.live import fake_service, funnel_of, ready
from tests.engine.shelf import stand_in_service

pytestmark = pytest.mark.engine

FOX = "a red fox"


@pytest.fixture
def url(client: OpenSearch) -> Iterator[str]:
    with stand_in_service(client) as address:
        yield address


@pytest.fixture
def index(client: OpenSearch, index_name: str) -> Iterator[str]:
    with cleaned_index(client, index_name):
        yield index_name


def test_what_apply_makes_is_recorded_shown_and_undone(
    client: OpenSearch, index: str, url: str
) -> None:
    before = left(client)
    plan = plan_for(client, index)
    done = apply_pipeline(client, plan, service_url=url, ingest=True)
    assert done.ingest_of == {index: ""}
    assert len(done.models) == 2
    assert default_of(client, index) == done.name
    (shown,) = [one for one in show_pipelines(client) if one["name"] == done.name]
    assert shown["ingest_of"] == {index: ""}
    encode = shown["ingest_body"]["processors"][0]["ml_inference"]
    assert encode["model_id"] == done.models[1]
    assert any("bulk request" in note for note in apply_notes(client, plan, applied=done))
    remove_pipeline(client, done.name)
    assert default_of(client, index) is None
    assert left(client) == before


def test_applying_again_changes_nothing_and_keeps_it_on(
    client: OpenSearch, index: str, url: str
) -> None:
    plan = plan_for(client, index)
    done = apply_pipeline(client, plan, service_url=url, ingest=True)
    after = left(client)
    for ingest in (True, False):
        assert apply_pipeline(client, plan, service_url=url, ingest=ingest) == done
        assert left(client) == after
    other = apply_pipeline(client, plan_for(client, index, depth=77), service_url=url)
    assert other.ingest_of == {index: ""}
    client.index(index=index, id="1", body={"text": FOX})
    assert funnel_of(client, index, "1") == ready(FOX, key="1")


def test_it_can_be_switched_on_later(client: OpenSearch, index: str, url: str) -> None:
    plan = plan_for(client, index)
    first = apply_pipeline(client, plan, service_url=url, default=True)
    assert first.ingest_of == {}
    client.index(index=index, id="1", body={"text": FOX})
    assert "funnel" not in client.get(index=index, id="1")["_source"]
    apply_pipeline(client, plan, service_url=url, ingest=True)
    client.index(index=index, id="1", body={"text": FOX})
    assert funnel_of(client, index, "1") == ready(FOX, key="1")


def test_what_was_switched_off_by_hand_is_switched_on_by_nothing_but_the_option(
    client: OpenSearch, index: str, url: str
) -> None:
    plan = plan_for(client, index)
    apply_pipeline(client, plan, service_url=url, ingest=True)
    client.indices.put_settings(index=index, body={DEFAULT: None})
    for again in (plan, plan_for(client, index, depth=77)):
        apply_pipeline(client, again, service_url=url)
        assert default_of(client, index) is None
    done = apply_pipeline(client, plan, service_url=url, ingest=True)
    assert default_of(client, index) == done.name


@pytest.mark.parametrize("broken", ["pipeline", "default", "model", "slots"])
def test_applying_again_heals_what_was_broken(
    client: OpenSearch, index: str, url: str, broken: str
) -> None:
    plan = plan_for(client, index)
    done = apply_pipeline(client, plan, service_url=url, ingest=True)
    match broken:
        case "pipeline":
            client.ingest.delete_pipeline(id=done.name)
        case "default":
            client.indices.put_settings(index=index, body={DEFAULT: None})
        case "model":
            model = f"/_plugins/_ml/models/{done.models[1]}"
            client.transport.perform_request("POST", f"{model}/_undeploy")
            client.transport.perform_request("DELETE", model)
        case "slots":
            meta = client.indices.get_mapping(index=index)[index]["mappings"]["_meta"]
            meta["funnel"]["slots"]["b"] = meta["funnel"]["slots"]["a"]
            client.indices.put_mapping(index=index, body={"_meta": meta})
    apply_pipeline(client, plan, service_url=url, ingest=True)
    client.index(index=index, id="1", body={"text": FOX})
    assert funnel_of(client, index, "1") == ready(FOX, key="1")
    body = client.ingest.get_pipeline(id=done.name)[done.name]
    assert ("funnel.sparse_b" in str(body)) == (broken == "slots")


# What is refused, and what is left of it.


def test_a_default_that_does_not_exist_is_refused(client: OpenSearch, index: str, url: str) -> None:
    theirs = their_pipeline(client, index)
    client.ingest.delete_pipeline(id=theirs)
    before = left(client)
    with pytest.raises(InvalidPlanError, match="does not exist"):
        apply_pipeline(client, plan_for(client, index), service_url=url, ingest=True)
    assert left(client) == before
    client.indices.put_settings(index=index, body={DEFAULT: None})


def test_somebody_elses_pipeline_of_that_name_is_not_written_over(
    client: OpenSearch, index: str, url: str
) -> None:
    name = f"{index}-mine"
    client.ingest.put_pipeline(id=name, body=THEIRS)
    before = left(client)
    with pytest.raises(InvalidPlanError, match="--name"):
        apply_pipeline(client, plan_for(client, index), service_url=url, name=name, ingest=True)
    assert left(client) == before
    apply_pipeline(client, plan_for(client, index), service_url=url, name=name)
    remove_pipeline(client, name)
    assert client.ingest.get_pipeline(id=name)[name] == THEIRS


def test_a_template_that_names_it_is_in_the_way_of_a_removal(
    client: OpenSearch, index: str, url: str
) -> None:
    done = apply_pipeline(client, plan_for(client, index), service_url=url, ingest=True)
    template = {
        "index_patterns": [f"{index}-new-*"],
        "template": {"settings": {DEFAULT: done.name}},
    }
    client.indices.put_index_template(name=index, body=template)
    try:
        with pytest.raises(InvalidPlanError, match=r"index\.default_pipeline out of it"):
            remove_pipeline(client, done.name)
        assert default_of(client, index) == done.name
    finally:
        client.indices.delete_index_template(name=index)


def test_a_service_that_knows_no_documents_is_refused(client: OpenSearch, index: str) -> None:
    before = left(client)
    with fake_service() as fake:
        # Enough for a search, as a service of an older version answers.
        fake.says({"body": "{}"})
        with pytest.raises(StageUnavailableError, match="no funnel fields"):
            apply_pipeline(client, plan_for(client, index), service_url=fake.url, ingest=True)
    assert left(client) == before


@ways_to_go_wrong
def test_an_apply_that_goes_wrong_anywhere_leaves_everything_as_it_was(  # noqa: PLR0913, PLR0917
    client: OpenSearch,
    engine_settings: Settings,
    index: str,
    url: str,
    fault: str,
    replaces: bool,
) -> None:
    theirs = their_pipeline(client, index)
    plan = plan_for(client, index)
    if replaces:
        apply_pipeline(client, plan_for(client, index, depth=77), service_url=url, ingest=True)
    writes = apply_until_kept(
        client,
        partial(faulty, engine_settings, fault=fault),
        plan,
        apply=lambda bad: apply_pipeline(bad, plan, service_url=url, default=True, ingest=True),
    )
    assert writes > 10, "there were that many writes to go wrong"
    done = apply_pipeline(client, plan, service_url=url, default=True, ingest=True)
    assert done.ingest_of == {index: theirs}
    client.index(index=index, id="1", body={"text": FOX})
    assert funnel_of(client, index, "1") == ready(FOX, key="1")


@pytest.mark.parametrize("at", range(1, 10))
def test_a_removal_that_was_interrupted_is_finished_by_the_next(
    client: OpenSearch, engine_settings: Settings, index: str, url: str, at: int
) -> None:
    theirs = their_pipeline(client, index)
    before = left(client)
    done = apply_pipeline(
        client, plan_for(client, index), service_url=url, default=True, ingest=True
    )
    bad = faulty(engine_settings, at=at, fault="interrupted")
    with pytest.raises(KeyboardInterrupt):
        remove_pipeline(bad, done.name)
    client.index(index=index, id="1", body={"text": FOX})
    with suppress(InvalidPlanError):  # everything went already
        remove_pipeline(client, done.name)
    assert left(client) == before
    assert default_of(client, index) == theirs


def test_the_command_line_applies_shows_and_removes(  # noqa: PLR0913, PLR0917
    client: OpenSearch,
    node_url: str,
    index: str,
    url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    theirs = their_pipeline(client, index)
    monkeypatch.setenv("FUNNEL_URL", node_url)
    monkeypatch.setenv("FUNNEL_SERVICE_URL", url)
    monkeypatch.setenv("COLUMNS", "300")
    apply = ["pipeline", "apply", "--index", index, "--rerank", "off", "--ingest"]
    before = left(client)
    assert main([*apply, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert f"PUT /_ingest/pipeline/funnel-{index}" in printed
    assert theirs in printed
    assert "<id of model encode>" in printed
    assert left(client) == before
    assert main(apply) == 0
    shown = capsys.readouterr()
    assert "encodes writes to" in shown.out
    assert "funnel migrate repair" in shown.err
    assert default_of(client, index) == f"funnel-{index}"
    assert main(["pipeline", "show"]) == 0
    assert f"│ {index} " in capsys.readouterr().out
    assert main(["pipeline", "remove", "--index", index, "--output", "json"]) == 0
    assert f'"encoded_writes_to": [\n    "{index}"' in capsys.readouterr().out
    assert left(client) == before
