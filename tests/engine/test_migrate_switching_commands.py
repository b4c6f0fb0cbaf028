"""``funnel migrate verify|cutover|rollback|cleanup`` as a user types them, with a real model."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.cli.migrate import migrate
from opensearch_funnel.engine.indices import index_exists
from opensearch_funnel.migrating.block_guard import Watch
from opensearch_funnel.migrating.carrying import forget_carried
from opensearch_funnel.migrating.journal import Journal
from opensearch_funnel.migrating.migration import (
    Migration,
    find_migration,
    forget_migration,
    load_migration,
    update_migration,
)
from opensearch_funnel.migrating.recovering import watched
from opensearch_funnel.migrating.swapping import fence_name, raise_fence
from opensearch_funnel.migrating.write_block import block_writes, writes_blocked
from tests.engine.migrations import film, films, make_source

pytestmark = [pytest.mark.engine, pytest.mark.model]

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(node_url: str, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs a command of ``funnel migrate``; returns its exit code and what it printed."""

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["migrate", *arguments, "--url", node_url])
        captured = capsys.readouterr()
        # A table is as wide as the terminal: its frame goes, and lines are joined again.
        plain = "".join(" " if "\u2500" <= one <= "\u257f" else one for one in captured.out)
        return code, " ".join(plain.split()), captured.err

    return run


@pytest.fixture
def migration(client: OpenSearch, index_name: str, typed: Command) -> Iterator[Migration]:
    """An index of films, planned and copied by the commands."""
    source = make_source(client, index_name)
    films(client, source, range(40))
    client.indices.refresh(index=source)
    plan = ["--sparse-model", "splade-tiny", "--dense-model", "none", "--max-tokens", "64"]
    code, _, err = typed("plan", index_name, "--fields", "title,text", *plan, "--no-measure")
    assert code == 0, err
    planned = load_migration(client, index_name)
    yield planned
    present = find_migration(client, index_name)
    if present is not None:
        Journal(client, target=present.target).forget()
        forget_carried(client, present)
        forget_migration(client, index_name)


def _json(result: tuple[int, str, str]) -> dict[str, Any]:
    code, out, err = result
    assert code == 0, err
    told: dict[str, Any] = json.loads(out)
    return told


def test_there_and_back_again(
    client: OpenSearch, migration: Migration, typed: Command, tmp_path: Path
) -> None:
    alias, source, target = migration.alias, migration.source, migration.target
    code, _, err = typed("verify", alias)
    assert code == 1
    assert f"funnel migrate run {alias}" in err
    assert typed("run", alias, "--throttle", "off")[0] == 0
    code, _, err = typed("cutover", alias)
    assert code == 1
    assert f"was not verified: funnel migrate verify {alias}" in err

    queries = tmp_path / "queries.ndjson"
    queries.write_text('{"_id": "q1", "text": "n7"}\nw3\n')
    qrels = tmp_path / "qrels.tsv"
    qrels.write_text("query-id\tcorpus-id\tscore\nq1\td7\t1\n")
    code, out, err = typed("verify", alias, "--queries", str(queries), "--qrels", str(qrels))
    assert code == 0, out + err
    assert "judgments passed" in out
    assert "40 documents compared" in out
    assert f"next: funnel migrate cutover {alias}" in out

    _, out, _ = typed("cutover", alias, "--dry-run")
    assert f"would move {alias} from {source} to {target}" in out
    assert client.indices.get_alias(name=alias).keys() == {source}
    code, out, err = typed("cutover", alias, "--max-block", "60")
    assert code == 0, err
    assert f"{alias} moved from {source} to {target} in" in out
    assert f"funnel pipeline apply --index {alias} --slot a --default --ingest, then" in out
    assert client.indices.get_alias(name=alias).keys() == {target}
    assert writes_blocked(client, index=source)

    client.index(index=alias, id="new", body=film(99))
    client.delete(index=alias, id="d3")
    told = _json(typed("rollback", alias, "--dry-run", "--output", "json"))
    assert (told["written"], told["deleted"], told["dry_run"]) == (1, 1, True)
    code, out, err = typed("rollback", alias, "--max-block", "60")
    assert code == 0, err
    assert f"{alias} moved back from {target} to {source} in" in out
    assert "carried back: 1 documents written and 1 deleted since the cutover" in out
    assert "mapping, settings and aliases are those of the time of the plan" in out
    assert client.get(index=source, id="new")["_source"] == film(99)

    told = _json(typed("cleanup", alias, "--dry-run", "--output", "json"))
    assert (told["index"], told["documents"], told["deleted"]) == (target, 40, False)
    told = _json(typed("cleanup", alias, "--yes", "--output", "json"))
    assert (told["index"], told["deleted"]) == (target, True)
    assert not index_exists(client, index=target)
    code, _, err = typed("cleanup", alias)
    assert code == 1
    assert f"no migration of '{alias}'" in err


def test_what_is_not_proven_ends_with_one(
    client: OpenSearch, migration: Migration, typed: Command
) -> None:
    alias = migration.alias
    assert typed("run", alias, "--throttle", "off")[0] == 0
    client.delete(index=migration.target, id="d7")
    code, out, _ = typed("verify", alias)
    assert code == 1
    assert "missing in the target: 1 (d7)" in out
    assert "not proven (counts, documents): cutover refuses" in out
    code, _, err = typed("cutover", alias)
    assert code == 1
    assert "failed (counts, documents)" in err


def test_cleanup_asks_for_the_name(
    client: OpenSearch, migration: Migration, typed: Command, node_url: str
) -> None:
    alias, target = migration.alias, migration.target
    assert typed("run", alias, "--throttle", "off")[0] == 0
    arguments = ["cleanup", alias, "--url", node_url]
    answer = CliRunner().invoke(migrate, arguments, input="yes\n")
    assert f"{target} (40 documents" in answer.stderr
    assert "is deleted for good; type its name" in answer.stderr
    assert "nothing was deleted" in str(answer.exception)
    assert index_exists(client, index=target)
    answer = CliRunner().invoke(migrate, arguments, input=f"{target}\n")
    assert answer.exit_code == 0, answer.exception
    assert not index_exists(client, index=target)
    assert find_migration(client, alias) is None


@pytest.mark.parametrize("command", ["status", "resume"])
def test_a_cutover_that_was_cut_off_is_put_right_by_whoever_looks(
    client: OpenSearch, migration: Migration, typed: Command, command: str
) -> None:
    alias, source, target = migration.alias, migration.source, migration.target
    assert typed("run", alias, "--throttle", "off")[0] == 0
    fence = fence_name(target)
    raise_fence(client, index=target, fence=fence)
    block_writes(client, index=source)
    watch = Watch(
        alias=alias, blocked=source, moves_to=target, fenced=target, fence=fence, deadline_s=5.0
    )
    update_migration(
        client, alias, lambda now: watched(replace(now, phase="cutting_over", paused=True), watch)
    )
    code, _, err = typed(command, alias)
    assert code == 0, err
    assert f"the cutover of {alias} was cut off: nothing had moved, and it was undone" in err
    assert not writes_blocked(client, index=source)
    assert load_migration(client, alias).phase == "copying"


def test_judgments_need_queries(migration: Migration, typed: Command, tmp_path: Path) -> None:
    code, _, err = typed("verify", migration.alias, "--qrels", str(tmp_path / "q.tsv"))
    assert code == 1
    assert "--qrels needs the queries that were judged: --queries" in err
