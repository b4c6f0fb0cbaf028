"""What changed is written into a plan's file, and nothing else of the file is touched."""

import stat
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from opensearch_funnel.build.plan_file import changes, write_plan
from opensearch_funnel.build.plans import read_plan
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.plan import FunnelPlan, Fusion

WRITTEN = """\
# ours
[settings]
url = "http://search:9200"  # staging

[plan]
alias = "films"
dense = {weight = 1.0, model = "own"}

[plan.rerank]
# slow on Mondays
depth = 40
"""


def test_only_what_changed_is_written(tmp_path: Path) -> None:
    path = tmp_path / "funnel.toml"
    path.write_text(WRITTEN)
    before = read_plan(path)
    after = replace(
        before,
        dense=replace(before.dense, weight=3.0),
        fusion=Fusion(technique="rrf", rank_constant=10),
        rerank=replace(before.rerank, enabled=True, decided=True, reason='"tuned" \\ on 5'),
    )
    write_plan(path, changes(before, after))
    assert read_plan(path) == after
    text = path.read_text()
    for kept in ("# ours", 'url = "http://search:9200"  # staging', "# slow on Mondays"):
        assert kept in text
    assert tomllib.loads(text)["plan"]["fusion"] == {"technique": "rrf", "rank_constant": 10}
    write_plan(path, changes(after, before))
    assert read_plan(path) == before


def test_a_file_that_is_not_there_is_made(tmp_path: Path) -> None:
    before = FunnelPlan(alias="films")
    after = replace(before, depth=100)
    write_plan(tmp_path / "new" / "funnel.toml", changes(before, after))
    assert (tmp_path / "new" / "funnel.toml").read_text() == "[plan]\ndepth = 100\n"


def test_a_copy_has_the_changes_and_the_file_stays(tmp_path: Path) -> None:
    path, copy = tmp_path / "funnel.toml", tmp_path / "tuned.toml"
    path.write_text(WRITTEN)
    copy.write_text("[plan.rerank]\ndepth = 7\n")
    before = read_plan(path)
    after = replace(before, depth=100)
    write_plan(path, changes(before, after), to=copy)
    assert path.read_text() == WRITTEN
    assert read_plan(copy) == after
    assert "# slow on Mondays" in copy.read_text()
    assert "http://search" not in copy.read_text(), "settings may be secret"


def test_a_private_file_stays_private_and_a_link_stays_one(tmp_path: Path) -> None:
    path, link = tmp_path / "funnel.toml", tmp_path / "link.toml"
    path.write_text(WRITTEN)
    path.chmod(0o600)
    link.symlink_to(path)
    write_plan(link, [("depth", 200, 100)])
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_plan(path).depth == 100


def test_a_file_that_is_no_toml_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "funnel.toml"
    path.write_text("[plan\n")
    with pytest.raises(InputError, match="cannot be changed"):
        write_plan(path, [("depth", 200, 100)])
    assert path.read_text() == "[plan\n"
    assert [found.name for found in tmp_path.iterdir()] == ["funnel.toml"]
