"""Models held against models: what quantising loses, and how far term weights drift."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from opensearch_funnel.cli.gate import gate
from opensearch_funnel.documents.document import Document
from opensearch_funnel.evaluating.gating.drift import (
    drift_of,
    moved_terms,
    overlap,
    sampled_texts,
    top_kept,
)
from tests.unit.encoders.conftest import ManifestMaker, home, make_manifest, tiny_model

__all__ = ["home", "make_manifest", "tiny_model"]

WORDS = ("hotel", "paris", "fish", "sea", "a", "the", "b", "c", "d", "e")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty documents of words that the tiny model knows, each with a query of its own text."""
    random = np.random.default_rng(3)
    made = tmp_path / "words"
    (made / "qrels").mkdir(parents=True)
    texts = [" ".join(random.choice(WORDS, size=6)) for _ in range(30)]
    documents = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(texts)]
    queries = [{"_id": f"q{i:02d}", "text": text} for i, text in enumerate(texts)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (made / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    lines = "".join(f"q{i:02d}\td{i}\t1\n" for i in range(30))
    (made / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{lines}")
    return made


@pytest.fixture
def two_models(home: Path, tiny_model: Path, make_manifest: ManifestMaker) -> Any:
    """Make ``tiny``, and ``other``, which reads other words before each text."""

    def make(**kind: str) -> None:
        prefixes = 'query_prefix = "sea fish "\ndocument_prefix = "hotel "\n'
        make_manifest(tiny_model, more=prefixes, **kind)
        (home / "manifests" / "tiny.toml").rename(home / "manifests" / "other.toml")
        make_manifest(tiny_model, **kind)

    return make


def called(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
    command = [*map(str, arguments), "--output", "json"]
    result = CliRunner().invoke(gate, command, standalone_mode=False)
    assert result.exception is None, result.exception
    return result.return_value, json.loads(result.stdout)


def refused(*arguments: str | Path) -> str:
    result = CliRunner().invoke(gate, [*map(str, arguments)], standalone_mode=False)
    return str(result.exception)


def test_a_model_that_loses_too_much_fails(folder: Path, two_models: Any) -> None:
    two_models(kind="dense", pooling="mean")
    asked = ("quantized", "other:int8", "--against", "tiny", "--dataset", folder)
    code, plain = called(*asked)
    (check,) = plain["checks"]
    assert code == 1
    assert check["full"] == 1.0
    assert check["loss"] == pytest.approx(1 - check["quantized"])
    assert check["loss"] > 0.05
    assert check["p"] < 0.01
    assert list(plain["models"]) == ["tiny:fp32", "other:int8"]
    assert "where 0.50% may be lost" in check["finding"]
    code, plain = called(*asked, "--tolerance", "100")
    assert (code, plain["warnings"]) == (0, [])


def test_a_loss_that_may_be_chance_passes_with_a_warning(folder: Path, two_models: Any) -> None:
    two_models(kind="dense", pooling="mean")
    asked = ("quantized", "other:int8", "--against", "tiny", "--dataset", folder)
    code, plain = called(*asked, "--alpha", "1e-9")
    assert code == 0
    assert "loses more than is allowed, which 30 queries do not show" in plain["warnings"][0]


def test_a_precision_is_held_against_the_models_own_fp32(folder: Path, two_models: Any) -> None:
    two_models(kind="dense", pooling="mean")
    code, plain = called("quantized", "tiny:int8", "--dataset", folder, "--queries", "20")
    (check,) = plain["checks"]
    assert list(plain["models"]) == ["tiny:fp32", "tiny:int8"]
    assert (code, check["queries"]) == (0, 20)
    # One text, one vector: it finds itself in any precision.
    assert (check["full"], check["quantized"], check["p"]) == (1.0, 1.0, 1.0)
    assert "0.50%" in check["finding"]


def test_models_that_cannot_be_compared_are_refused(folder: Path, two_models: Any) -> None:
    two_models(kind="dense", pooling="mean")
    for first, against, why in (
        ("tiny", "tiny", "tiny:fp32 and tiny:fp32 give the same numbers"),
        ("tiny:fp16", "tiny", "no precision 'fp16': use fp32 or int8"),
        ("tinny", "tiny", "no model 'tinny'"),
        ("tiny:int8", "splade-tiny", "tiny:int8 is a dense model and splade-tiny:fp32 a splade"),
    ):
        said = refused("quantized", first, "--against", against, "--dataset", folder)
        assert why in said
    assert "is no splade model" in refused("drift", "tiny", "other", "--dataset", folder)
    assert "give the same numbers" in refused("drift", "tiny", "tiny", "--dataset", folder)


def test_drift_between_two_models_is_measured(folder: Path, two_models: Any) -> None:
    two_models()
    asked = ("drift", "tiny", "other", "--dataset", folder, "--documents", "12")
    code, plain = called(*asked, "--at-least", "0.99")
    jaccard, kept, terms, weight = plain["checks"]
    assert code == 1
    assert plain["documents"] == 12
    assert (jaccard["check"], jaccard["outcome"]) == ("weighted Jaccard", "failed")
    assert 0 < jaccard["mean"] < 0.99
    low, high = jaccard["interval"]
    assert low <= jaccard["mean"] <= high
    assert {one["outcome"] for one in (kept, terms, weight)} == {"shown"}
    assert weight["mean"] == pytest.approx(weight["new"] - weight["old"], abs=1e-5)
    moves = [abs(one["new"] - one["old"]) for one in plain["moved"]]
    assert moves == sorted(moves, reverse=True)
    assert moves[0] > 0
    assert called(*asked, "--at-least", "0")[0] == 0
    # The same sample gives the same figures, another seed others.
    assert called(*asked, "--at-least", "0.99")[1] == plain
    assert called(*asked, "--seed", "1")[1]["checks"][0]["mean"] != jaccard["mean"]
    near, _, _, _ = called("drift", "tiny:fp32", "tiny:int8", "--dataset", folder)[1]["checks"]
    assert near["mean"] > jaccard["mean"]


def test_drift_is_that_of_its_definition() -> None:
    old = {"d1": {"fox": 2.0, "red": 1.0}, "d2": {"dog": 1.0}, "d3": {}}
    new = {"d1": {"fox": 1.0, "hen": 1.0}, "d2": {"dog": 1.0}, "d3": {}}
    gate = drift_of("a", "b", {d: (old[d], new[d]) for d in old}, at_least=0.75)
    jaccard, kept, terms, weight = (check.figures for check in gate.checks)
    # d1: min 1 of fox over max 2 + 1 + 1; d2 and d3: the same.
    assert jaccard["mean"] == 0.75
    assert gate.passed
    assert kept["mean"] == pytest.approx((0.5 + 1 + 1) / 3, abs=1e-6)
    assert (terms["old"], terms["new"], terms["mean"]) == (1.0, 1.0, 0.0)
    assert (weight["old"], weight["mean"]) == (pytest.approx(4 / 3, abs=1e-6), -0.333333)
    assert [one["term"] for one in gate.figures["moved"]] == ["fox", "hen", "red", "dog"]
    assert not drift_of("a", "b", {d: (old[d], new[d]) for d in old}, at_least=0.7501).passed


def test_terms_that_lie_alike_are_ordered_by_name() -> None:
    assert overlap({"a": 1.0}, {"b": 1.0}) == 0.0
    assert top_kept({}, {"a": 1.0}) == 1.0
    assert top_kept(dict.fromkeys("abcd", 1.0), dict.fromkeys("abxy", 1.0), top=3) == pytest.approx(
        2 / 3
    )
    moved = moved_terms([{"b": 1.0, "a": 1.0, "same": 2.0}], [{"same": 2.0}], most=2)
    assert [one.term for one in moved] == ["a", "b"]


def test_a_sample_stays_where_documents_come_and_go() -> None:
    def documents(*numbers: int) -> list[Document]:
        return [Document(f"d{n}", {"title": "T", "text": f"text {n}"}) for n in numbers]

    found = sampled_texts(documents(*range(100)), 10)
    assert len(found) == 10
    assert all(text == f"T. text {doc_id[1:]}" for doc_id, text in found.items())
    assert sampled_texts(reversed(documents(*range(100))), 10) == found
    more = sampled_texts(documents(*range(101)), 10)
    assert len(found.keys() & more.keys()) >= 9
    assert sampled_texts(documents(*range(100)), 10, seed=1).keys() != found.keys()
