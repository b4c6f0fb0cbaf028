"""Whether a model can be opened without a network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from opensearch_funnel.encoders.fetch import is_here, model_folder, pull
from opensearch_funnel.encoders.manifest import Source


def test_a_model_is_here_once_it_was_pulled(tiny_model: Path, make_manifest: Any) -> None:
    manifest = make_manifest(tiny_model)
    pull(manifest)
    far = Source(kind="hub", address="nobody/nothing", entries={})
    elsewhere = replace(manifest, sources=(far,))
    assert is_here(elsewhere)
    weights = model_folder(manifest) / manifest.weights.name
    weights.write_bytes(weights.read_bytes()[:-1])
    assert not is_here(elsewhere)
    weights.unlink()
    assert not is_here(elsewhere)


def test_a_model_in_a_folder_beside_its_manifest_is_here(
    tiny_model: Path, make_manifest: Any
) -> None:
    manifest = make_manifest(tiny_model)
    assert any(source.kind == "folder" for source in manifest.sources)
    assert is_here(manifest)
    assert not model_folder(manifest).exists()
