"""Assembling: safe zips, all or nothing, readable by the node's user."""

import hashlib
import os
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import pytest

from opensearch_funnel.core.errors import NodeError
from opensearch_funnel.engine.node.assemble import assemble_node, unpack
from opensearch_funnel.engine.node.lock import Coordinate, LockedArtifact, NodeLock


@pytest.fixture
def strict_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def zip_of(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def locked(path: Path, target: str, packaging: str = "jar") -> LockedArtifact:
    content = path.read_bytes()
    return LockedArtifact(
        Coordinate("org.example", path.stem, "1", packaging),
        PurePosixPath(target),
        hashlib.sha256(content).hexdigest(),
        len(content),
    )


@pytest.fixture
def parts(tmp_path: Path) -> tuple[NodeLock, dict[str, Path]]:
    """A node of three files: a library, a module and a plugin."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "server").write_bytes(b"server")
    (files / "reindex").write_bytes(b"reindex")
    plugin = zip_of(files / "knn.zip", {"plugin-descriptor.properties": b"name=knn\n"})
    artifacts = (
        locked(files / "server", "lib"),
        locked(files / "reindex", "modules/reindex"),
        locked(plugin, "plugins/opensearch-knn", "zip"),
    )
    paths = dict(zip((a.sha256 for a in artifacts), sorted(files.iterdir()), strict=True))
    by_content = {hashlib.sha256(p.read_bytes()).hexdigest(): p for p in files.iterdir()}
    assert paths.keys() == by_content.keys()
    return NodeLock("3.6.0", artifacts), by_content


def test_each_file_lands_in_its_folder(
    parts: tuple[NodeLock, dict[str, Path]], tmp_path: Path
) -> None:
    lock, paths = parts
    folder = assemble_node(lock, paths, tmp_path / "home" / lock.folder_name)
    assert (folder / "lib" / "server-1.jar").read_bytes() == b"server"
    assert (folder / "plugins/opensearch-knn/plugin-descriptor.properties").is_file()
    descriptor = folder / "modules/reindex/plugin-descriptor.properties"
    assert "classname=org.opensearch.index.reindex.ReindexModulePlugin\n" in descriptor.read_text()
    assert (folder / "bin").is_dir()
    assert names_in(folder.parent) == [folder.name]


@pytest.mark.usefixtures("strict_umask")
def test_every_user_may_read_it_whatever_the_umask(
    parts: tuple[NodeLock, dict[str, Path]], tmp_path: Path
) -> None:
    lock, paths = parts
    folder = assemble_node(lock, paths, tmp_path / lock.folder_name)
    for path in (folder, *folder.rglob("*")):
        needed = stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)
        assert path.stat().st_mode & needed == needed, path


def test_a_failed_assembly_leaves_nothing(
    parts: tuple[NodeLock, dict[str, Path]], tmp_path: Path
) -> None:
    lock, paths = parts
    broken = dict(paths)
    broken[lock.artifacts[2].sha256] = paths[lock.artifacts[0].sha256]
    with pytest.raises(NodeError, match="is not a zip"):
        assemble_node(lock, broken, tmp_path / "home" / lock.folder_name)
    assert names_in(tmp_path / "home") == []


def test_what_a_killed_assembly_left_is_cleared(
    parts: tuple[NodeLock, dict[str, Path]], tmp_path: Path
) -> None:
    lock, paths = parts
    folder = tmp_path / "home" / lock.folder_name
    (folder.parent / f".{folder.name}-abandoned" / "lib").mkdir(parents=True)
    assemble_node(lock, paths, folder)
    assert names_in(folder.parent) == [folder.name]


@pytest.mark.parametrize("name", ["../out", "/etc/out", "a/../../out", "..\\out", "C:/out"])
def test_a_zip_that_climbs_out_is_refused(name: str, tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "evil.zip", {name: b"x"})
    target = tmp_path / "deep" / "target"
    target.mkdir(parents=True)
    with pytest.raises(NodeError, match="unsafe path"):
        unpack(archive, target)
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith("out")]


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(NodeError, match="unsafe path 'link'"):
        unpack(tmp_path / "evil.zip", tmp_path)


def test_a_library_in_the_gap_is_left_out(tmp_path: Path) -> None:
    archive = zip_of(
        tmp_path / "p.zip", {"a.jar": b"a" * 100, "huge.jar": b"h" * 100, "b.jar": b"b"}
    )
    with zipfile.ZipFile(archive) as opened:
        gap = (opened.getinfo("huge.jar").header_offset, opened.getinfo("b.jar").header_offset)
    with archive.open("r+b") as stream:
        stream.seek(gap[0])
        stream.write(bytes(gap[1] - gap[0]))
    target = tmp_path / "target"
    target.mkdir()
    unpack(archive, target, gap=gap)
    assert names_in(target) == ["a.jar", "b.jar"]
    assert (target / "b.jar").read_bytes() == b"b"
