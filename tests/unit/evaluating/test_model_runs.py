"""A model alone on a data set, and its precisions against fp32."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from opensearch_funnel.cli.models import models
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.encoders.manifest import Manifest, Verdict
from opensearch_funnel.encoders.manifest_files import load_manifest
from opensearch_funnel.encoders.opening import open_encoder
from opensearch_funnel.encoders.token_vectors import TokenEncoder, max_sim
from opensearch_funnel.evaluating.datasets import Dataset, read_dataset, sampled
from opensearch_funnel.evaluating.judging import judge, mean_tau, ordered
from opensearch_funnel.evaluating.model_runs import run_model
from tests.unit.encoders.conftest import (
    HIDDEN,
    home,
    make_manifest,
    tiny_model,
    tiny_tensors,
    write_safetensors,
)

__all__ = ["home", "make_manifest", "tiny_model"]

WORDS = ("hotel", "paris", "fish", "sea", "a", "the", "b", "c", "d", "e")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Thirty documents of words that the tiny model knows, and six judged queries."""
    random = np.random.default_rng(3)
    made = tmp_path / "words"
    (made / "qrels").mkdir(parents=True)
    texts = [" ".join(random.choice(WORDS, size=6)) for _ in range(30)]
    documents = [{"_id": f"d{i}", "title": "", "text": text} for i, text in enumerate(texts)]
    queries = [{"_id": f"q{i}", "text": " ".join(texts[i].split()[:2])} for i in range(6)]
    for name, rows in (("corpus", documents), ("queries", queries)):
        (made / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    lines = "".join(f"q{i}\td{i}\t1\n" for i in range(6))
    (made / "qrels" / "train.tsv").write_text(f"query-id\tcorpus-id\tscore\n{lines}")
    return made


@pytest.fixture
def dataset(folder: Path) -> Dataset:
    return read_dataset(folder, split="train")


def test_dense_and_sparse_models_are_searched_exactly(
    dataset: Dataset, tiny_model: Path, make_manifest: Any
) -> None:
    texts = [d.source["text"] for d in dataset.documents()]
    dense: Any = open_encoder(make_manifest(tiny_model, kind="dense", pooling="mean"))
    found = run_model(dense, dataset)
    scores = dense.encode_documents(texts) @ dense.encode_query(dataset.queries[0].text)
    assert found.run["q0"][:5] == tuple(f"d{i}" for i in np.argsort(-scores, kind="stable")[:5])
    assert (found.bytes_per_document, found.terms) == (4 * HIDDEN, None)
    assert len(found.query_ms) == 6

    sparse: Any = open_encoder(make_manifest(tiny_model))
    found = run_model(sparse, dataset)
    rows, query = sparse.encode_documents(texts), sparse.encode_query(dataset.queries[1].text)
    products = [sum(row.get(t, 0.0) * w for t, w in query.items()) for row in rows]
    best = sorted(range(len(rows)), key=lambda i: (-products[i], i))[:5]
    assert found.run["q1"][:5] == tuple(f"d{i}" for i in best)
    terms = sum(map(len, rows)) / len(rows)
    assert found.terms == pytest.approx(terms)
    assert found.bytes_per_document == pytest.approx(8 * terms)


def test_token_vectors_are_searched_by_their_best_matches(
    dataset: Dataset, tiny_model: Path, tmp_path: Path, make_manifest: Any
) -> None:
    copy = tmp_path / "late"
    copy.mkdir()
    for path in tiny_model.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    projection = np.random.default_rng(2).normal(0, 1, (HIDDEN, HIDDEN)).astype(np.float32)
    write_safetensors(copy / "model.safetensors", {**tiny_tensors(), "linear.weight": projection})
    manifest = make_manifest(
        copy, kind="token_vectors", pooling="none", more="[token_vectors]\nquery_tokens = 8\n"
    )
    encoder = open_encoder(manifest)
    assert isinstance(encoder, TokenEncoder)
    texts = [d.source["text"] for d in dataset.documents()]
    query = encoder.encode_query(dataset.queries[2].text)
    scores = [max_sim(query, vectors) for vectors in encoder.encode_documents(texts)]
    best = sorted(range(len(texts)), key=lambda i: (-scores[i], i))[:3]
    assert run_model(encoder, dataset).run["q2"][:3] == tuple(f"d{i}" for i in best)


def test_a_cross_encoder_reranks_what_words_find(
    dataset: Dataset, tiny_model: Path, make_manifest: Any
) -> None:
    encoder: Any = open_encoder(make_manifest(tiny_model, kind="cross_encoder", pooling="pair"))
    found = run_model(encoder, dataset).run["q0"]
    texts = {d.doc_id: d.source["text"] for d in dataset.documents()}
    scores = encoder.score(dataset.queries[0].text, [texts[i] for i in found])
    assert list(scores) == sorted(scores, reverse=True)


def test_a_sample_of_queries_is_the_same_every_time(dataset: Dataset) -> None:
    few = sampled(dataset, 3)
    assert few == sampled(dataset, 3)
    assert len(few.queries) == 3
    assert set(few.qrels) == {query.query_id for query in few.queries}
    assert sampled(dataset, 6) == dataset


def test_orders_are_compared_over_the_documents_of_the_first() -> None:
    same = {"q": ["a", "b", "c", "d"], "one": ["a"]}
    assert mean_tau(same, same) == 1.0
    assert mean_tau(same, {"q": ["d", "c", "b", "a"], "one": []}) == -1.0
    # Two that the other lacks are tied behind the rest: four of five pairs agree, tau-b.
    assert mean_tau(same, {"q": ["a", "b"], "one": []}) == pytest.approx(5 / np.sqrt(6 * 5))


def verdict(ndcg: float, *, speed: float, precision: Any = "int8") -> Verdict:
    return Verdict(
        precision=precision, dataset="d", ndcg=ndcg, reference=0.8, kendall_tau=1, speed=speed
    )


@pytest.mark.parametrize(
    ("found", "first"),
    [
        ([verdict(0.797, speed=2)], "int8"),
        ([verdict(0.795, speed=2)], "fp32"),
        ([verdict(0.9, speed=0.5)], "fp32"),
        ([], "fp32"),
        ([verdict(0.8, speed=2), verdict(0.8, speed=3, precision="fp16")], "fp16"),
    ],
)
def test_the_fastest_that_loses_little_is_the_default(found: list[Verdict], first: str) -> None:
    assert ordered(("int8", "fp16", "fp32"), found)[0] == first


def test_a_precision_is_judged_against_fp32(
    dataset: Dataset, tiny_model: Path, make_manifest: Any
) -> None:
    manifest: Manifest = make_manifest(tiny_model, kind="dense", pooling="mean")
    (same,) = judge(manifest, dataset, precisions=["fp32"])
    assert same.kendall_tau == pytest.approx(1)
    assert same.loss == 0
    (found,) = judge(manifest, dataset, precisions=["int8"])
    assert found.reference == same.ndcg
    assert 0.5 < found.kendall_tau < 1
    assert found.speed > 0
    with pytest.raises(InputError, match="has no fp32 to compare with"):
        judge(replace(manifest, precisions=("int8",)), dataset, precisions=["int8"])


@pytest.mark.usefixtures("home")
def test_the_command_writes_its_verdict_into_the_manifest(
    folder: Path, tiny_model: Path, make_manifest: Any
) -> None:
    make_manifest(tiny_model, kind="dense", pooling="mean")
    asked = ["quantize", "tiny", "--dataset", str(folder), "--precisions", "int8,fp16"]
    dry = CliRunner().invoke(models, [*asked, "--dry-run", "--output", "json"])
    assert json.loads(dry.stdout)["manifest"] is None
    assert load_manifest("tiny").verdicts == ()
    done = CliRunner().invoke(models, [*asked, "--output", "json"])
    said = json.loads(done.stdout)
    manifest = load_manifest("tiny")
    assert [v.precision for v in manifest.verdicts] == ["int8", "fp16"]
    assert manifest.precisions[0] == said["default"]
    assert set(manifest.precisions) == {"fp32", "int8", "fp16"}
    # The files of a model whose manifest was written elsewhere are still found.
    assert open_encoder("tiny").name == "tiny"
    table = CliRunner().invoke(models, asked)
    assert "the default is" in table.stdout


def evaluated(folder: Path, *options: str) -> Any:
    asked = ["evaluate", "tiny", "--dataset", str(folder), "--split", "train", "--forms", "none"]
    return CliRunner().invoke(models, [*asked, *options])


def test_models_are_measured_and_drawn(
    folder: Path, tmp_path: Path, tiny_model: Path, make_manifest: Any
) -> None:
    make_manifest(tiny_model, kind="dense", pooling="mean", more='languages = ["en"]')
    plot = tmp_path / "models.png"
    done = evaluated(folder, "--plot", str(plot), "--language", "en", "--output", "json")
    (model,) = json.loads(done.stdout)["models"]
    assert set(model["measures"]) == {"nDCG@10", "MRR@10", "R@100"}
    assert model["measures"]["R@100"] == 1
    low, high = model["intervals"]["nDCG@10"]
    assert low <= model["measures"]["nDCG@10"] <= high
    assert model["documents_s"] > 0
    assert model["query_ms"][0] <= model["query_ms"][1]
    assert plot.read_bytes().startswith(b"\x89PNG")
    table = evaluated(folder).stdout
    assert "words/train: 6 queries" in table
    assert "tiny" in table


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (["--max-size", "0.001"], "0.0 MB are more than 0.001"),
        (["--language", "de"], "its manifest says nothing of its languages, not de"),
    ],
)
def test_a_model_beyond_a_limit_is_not_even_run(
    folder: Path, tiny_model: Path, make_manifest: Any, limit: list[str], reason: str
) -> None:
    make_manifest(tiny_model, kind="dense", pooling="mean")
    assert reason in str(evaluated(folder, *limit).exception)


@pytest.mark.parametrize(
    ("limit", "reason"),
    [(["--max-bytes", "10"], "64 bytes a document are more than 10"), (["--max-ms", "1e-9"], "ms")],
)
def test_a_model_that_proves_too_slow_or_too_large_is_left_out(
    folder: Path, tiny_model: Path, make_manifest: Any, limit: list[str], reason: str
) -> None:
    make_manifest(tiny_model, kind="dense", pooling="mean")
    said = json.loads(evaluated(folder, *limit, "--output", "json").stdout)
    assert said["models"] == []
    assert reason in said["left_out"]["tiny"]


def test_a_plot_of_another_ending_is_refused(
    folder: Path, tiny_model: Path, make_manifest: Any
) -> None:
    make_manifest(tiny_model, kind="dense", pooling="mean")
    assert "end it with .png" in str(evaluated(folder, "--plot", "models.doc").exception)
