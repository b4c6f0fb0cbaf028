"""``funnel migrate run``, ``resume``, ``pause`` and ``status`` on a real node."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.engine.source_bytes import funnel_of, without_funnel
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import (
    Migration,
    find_migration,
    forget_migration,
    load_migration,
    update_migration,
)
from opensearch_funnel.migrating.planning.planned import plan_migration
from opensearch_funnel.migrating.planning.saving import save_plan
from tests.engine.migrations import films, make_source, planned, stand_in, whole

pytestmark = pytest.mark.engine


def _forget(client: OpenSearch, alias: str) -> None:
    migration = find_migration(client, alias)
    if migration is not None:
        Journal(client, target=migration.target).forget()
        forget_migration(client, alias)


@pytest.fixture
def migration(client: OpenSearch, index_name: str) -> Iterator[Migration]:
    """A plan of stand-ins: nothing is run with it."""
    films(client, make_source(client, index_name), range(20))
    client.indices.refresh(index=index_name)
    yield planned(client, index_name, encoder=stand_in())
    _forget(client, index_name)


@pytest.fixture
def real(client: OpenSearch, index_name: str) -> Iterator[Migration]:
    """A plan of splade-tiny at 64 tokens."""
    films(client, make_source(client, index_name), range(300))
    client.indices.refresh(index=index_name)
    made = plan_migration(
        client,
        index_name,
        text_fields=("title", "text"),
        dense_model="",
        max_tokens=64,
        measured=False,
    )
    yield save_plan(client, made.migration)
    _forget(client, index_name)


def _funnel(*arguments: str, url: str) -> int:
    return main(["migrate", *arguments, "--url", url])


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.model
def test_a_migration_is_run_paused_and_resumed(
    client: OpenSearch,
    node_url: str,
    real: Migration,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _funnel("pause", real.alias, "--output", "json", url=node_url) == 0
    assert _json(capsys) == {"alias": real.alias, "paused": True, "workers": []}
    assert _funnel("run", real.alias, url=node_url) == 1
    assert f"is paused: funnel migrate resume {real.alias}" in capsys.readouterr().err
    resumed = ("resume", real.alias, "--throttle", "off", "--output", "json")
    assert _funnel(*resumed, url=node_url) == 0
    report = _json(capsys)
    assert (report["outcome"], report["written"], report["dead"]) == ("caught_up", 300, 0)
    source, target = whole(client, real.source), whole(client, real.target)
    assert {key: without_funnel(one.source) for key, one in target.items()} == {
        key: one.source for key, one in source.items()
    }
    made = funnel_of(target["d3", None].source)
    assert made is not None
    assert made["sparse_a"]["film"] > 0.1
    assert made["model"] == [real.slots["a"]["sparse"]["fingerprint"]]
    assert _funnel("status", real.alias, "--output", "json", url=node_url) == 0
    status = _json(capsys)
    assert (status["phase"], status["written"], status["behind"]) == ("copying", 300, 0)
    assert not status["paused"]
    events = [entry["event"] for entry in status["log"]]
    assert events == ["planned", "paused", "resumed", "target made"]


@pytest.mark.model
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_that_can_be_gone_on_with(
    client: OpenSearch,
    node_url: str,
    real: Migration,
    number: signal.Signals,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = "import sys; from opensearch_funnel.cli.main import main; sys.exit(main())"
    arguments = ["migrate", "run", real.alias, "--throttle", "40", "--page", "20"]
    running = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--url", node_url],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    journal = Journal(client, target=real.target)

    def written() -> int:
        return sum(one.written for one in journal.slices())

    _wait_until(lambda: written() > 0 or running.poll() is not None)
    running.send_signal(number)
    assert running.wait(timeout=120) == 128 + number, "it ended before it was told to"
    done = written()
    assert 0 < done < 300
    assert [one.owner for one in journal.slices() if one.owner] == []
    arguments = ["run", real.alias, "--throttle", "off", "--output", "json"]
    assert _funnel(*arguments, url=node_url) == 0
    report = _json(capsys)
    assert report["written"] + report["kept"] == 300 - done
    assert len(whole(client, real.target)) == 300


def _wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "not so after two minutes"
        time.sleep(0.05)


@pytest.mark.model
def test_the_models_have_to_be_those_of_the_plan(
    client: OpenSearch, node_url: str, real: Migration, capsys: pytest.CaptureFixture[str]
) -> None:
    update_migration(client, real.alias, lambda now: replace(now, max_tokens=32))
    assert _funnel("run", real.alias, url=node_url) == 1
    error = capsys.readouterr().err
    assert "the models here are not those that the migration" in error
    assert load_migration(client, real.alias).phase == "planned"


def test_the_status_of_one_and_of_all(
    client: OpenSearch,
    node_url: str,
    migration: Migration,
    capsys: pytest.CaptureFixture[str],
) -> None:
    update_migration(
        client,
        migration.alias,
        lambda now: replace(now, phase="copying", paused=True).logged("hm"),
    )
    assert _funnel("status", migration.alias, url=node_url) == 0
    table = " ".join(capsys.readouterr().out.split())
    assert f"target {migration.target} phase copying, paused" in table
    assert "left 20 documents, 20 operations" in table
    assert f"waits: paused: funnel migrate resume {migration.alias}" in table
    assert f"waits: the target {migration.target} is gone" in table
    assert "time left nobody is at work" in table
    assert table.endswith("hm")
    assert _funnel("status", url=node_url) == 0
    assert migration.alias in capsys.readouterr().out
    assert _funnel("status", "--output", "json", url=node_url) == 0
    every = {one["alias"]: one for one in _json(capsys)["migrations"]}
    assert every[migration.alias]["left"] == 20


@pytest.mark.parametrize("command", ["run", "resume", "pause", "status"])
def test_an_alias_without_a_migration_is_told_how_to_get_one(
    node_url: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _funnel(command, "test-nothing", url=node_url) == 1
    error = capsys.readouterr().err
    assert "no migration of 'test-nothing': plan one (funnel migrate plan test-nothing)" in error


@pytest.mark.parametrize("command", ["run", "resume", "pause"])
def test_a_migration_that_is_cut_over_is_not_copied_any_more(
    client: OpenSearch,
    node_url: str,
    migration: Migration,
    command: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    update_migration(client, migration.alias, lambda now: replace(now, phase="cut_over"))
    assert _funnel(command, migration.alias, url=node_url) == 1
    assert "is cut over: there is nothing to copy any more" in capsys.readouterr().err


def test_a_throttle_that_is_none_is_a_wrong_usage(
    node_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _funnel("run", "films", "--throttle", "fast", url=node_url) == 2
    assert "auto, off, or documents a second" in capsys.readouterr().err
