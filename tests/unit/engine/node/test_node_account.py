"""The node's folders and the user that it runs as."""

import os
from pathlib import Path

import pytest

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.node.account import (
    MARK,
    Account,
    make_folders,
    make_reachable,
    node_account,
    reachable_java,
    require_way_in,
    write_configuration,
)
from opensearch_funnel.engine.node.configuration import NodeFolders
from opensearch_funnel.engine.node.java import JavaRuntime

SELF = Account(name="self")
OTHER = Account(name="somebody", uid=12345, gid=12345)


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that other users cannot enter, as pytest's own and root's home are."""
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o700)
    return folder


def test_root_becomes_somebody_else_and_others_stay_themselves() -> None:
    assert node_account().is_other == (os.geteuid() == 0)


def test_the_folders_are_made_and_marked(tmp_path: Path) -> None:
    folders = NodeFolders(tmp_path / "new" / "data")
    make_folders(folders, SELF)
    assert all(folder.is_dir() for folder in folders.every)
    assert (folders.root / MARK).is_file()
    make_folders(folders, SELF)


def test_a_folder_with_other_files_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(NodeError, match="is not empty and not the data folder of a node"):
        make_folders(NodeFolders(tmp_path), SELF)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_the_configuration_is_written_anew_and_never_through_a_link(tmp_path: Path) -> None:
    folders = NodeFolders(tmp_path / "data")
    make_folders(folders, SELF)
    precious = tmp_path / "precious"
    precious.write_text("untouched")
    (folders.config / "opensearch.yml").symlink_to(precious)
    write_configuration(folders, port=9251)
    assert sorted(folders.config.iterdir()) == sorted(folders.configuration)
    assert "http.port: 9251\n" in (folders.config / "opensearch.yml").read_text()
    assert precious.read_text() == "untouched"


def test_a_data_folder_of_a_third_user_is_not_given_away(tmp_path: Path) -> None:
    folders = NodeFolders(tmp_path / "data")
    make_folders(folders, SELF)
    somebody = Account("somebody", uid=os.getuid() + 1, gid=1)
    if os.getuid() == 0:
        os.chown(folders.root, 4242, 4242)
    with pytest.raises(NodeError, match="belongs to another user"):
        make_folders(folders, somebody)


def test_a_closed_way_is_named(closed: Path) -> None:
    with pytest.raises(NodeError, match="the user somebody, who cannot enter"):
        require_way_in(closed / "deep", OTHER)
    with pytest.raises(NodeError, match="cannot enter"):
        make_reachable(closed / "deep", OTHER)
    assert not (closed / "deep").exists()
    require_way_in(closed / "deep", SELF)


def test_a_java_in_a_closed_folder_is_copied_once(closed: Path, tmp_path: Path) -> None:
    home = closed / "java"
    (home / "bin").mkdir(parents=True)
    (home / "bin" / "java").write_text("#!/bin/sh\n")
    (home / "bin" / "java").chmod(0o700)
    (home / "lib").mkdir()
    (home / "lib" / "modules").write_text("classes")
    (home / "lib" / "modules").chmod(0o600)
    java = JavaRuntime(home, 25, frozenset(), "a test")
    cache = tmp_path / "cache"
    cache.mkdir()
    copied = reachable_java(java, OTHER, home=cache)
    assert copied.home.parent == cache
    assert copied.executable.stat().st_mode & 0o777 == 0o755
    assert (copied.home / "lib" / "modules").stat().st_mode & 0o777 == 0o644
    assert reachable_java(java, OTHER, home=cache) == copied
    assert len(list(cache.iterdir())) == 1
    assert reachable_java(java, SELF, home=cache) == java
