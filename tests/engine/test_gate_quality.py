"""``funnel gate quality`` on the real node: a baseline, and a search that got worse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.cli.main import main
from opensearch_funnel.evaluating.datasets import read_dataset
from opensearch_funnel.evaluating.gating.snapshot import read_snapshot
from opensearch_funnel.evaluating.indexing import evaluation_index_name

pytestmark = pytest.mark.engine

THINGS = (
    *("anchor", "bridge", "candle", "desert", "engine", "forest", "garden", "hammer"),
    *("island", "jungle", "kettle", "lantern"),
)


@pytest.fixture
def things(tmp_path: Path, client: OpenSearch) -> Iterator[Path]:
    """Twelve documents, each with a query of its own word."""
    folder = tmp_path / f"things-{tmp_path.name}"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": word, "title": word, "text": f"About one {word}."} for word in THINGS]
    queries = [{"_id": f"q-{word}", "text": f"the {word}"} for word in THINGS]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    (folder / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    grades = "".join(f"q-{word}\t{word}\t1\n" for word in THINGS)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{grades}")
    yield folder
    client.indices.delete(index=f"funnel-eval-{folder.name.lower()}-*")


def called(folder: Path, url: str, *arguments: str) -> int:
    baseline = str(folder.parent / "gate.json")
    fixed = ["gate", "--dataset", str(folder), "--baseline", baseline, "--url", url]
    return main([*fixed, *arguments])


def test_a_search_that_got_worse_closes_the_gate(
    things: Path, client: OpenSearch, node_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(things, node_url, "--update", "--systems", "bm25") == 0
    assert "bm25: nDCG@10 1.0000, R@100 1.0000" in capsys.readouterr().out
    kept = read_snapshot(things.parent / "gate.json")
    timing = kept.systems["bm25"].latency_ms
    assert timing is not None
    assert (timing.timed, timing.degraded) == (12, 0)
    assert 0 < timing.p50 <= timing.p95
    assert kept.by.opensearch == client.info()["version"]["number"]
    assert kept.by.cpus > 0

    # How long answers take here is no test's concern.
    assert called(things, node_url, "--latency-ratio", "1000") == 0
    assert "passed: 5 of 5 checks" in capsys.readouterr().out
    index = evaluation_index_name(read_dataset(things))
    for word in THINGS[:8]:
        client.index(index=index, id=word, body={"title": "", "text": "nothing"})
    client.indices.refresh(index=index)
    arguments = ("--latency-ratio", "0", "--output", "json")
    assert called(things, node_url, *arguments) == 1
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    failed = [one for one in said["checks"] if one["outcome"] == "failed"]
    assert [one["check"] for one in failed] == ["bm25 nDCG@10", "bm25 R@100"]
    assert failed[0]["difference"] == pytest.approx(-8 / 12, abs=1e-6)
    assert failed[0]["p"] == 2 / 2**8
    assert failed[0]["corrected_p"] == 4 / 2**8


def test_nobody_at_the_address_is_an_error_and_leaves_the_baseline(
    things: Path, node_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert called(things, node_url, "--update", "--systems", "bm25", "--latency-ratio", "0") == 0
    before = (things.parent / "gate.json").read_bytes()
    for arguments in ([], ["--update"]):
        assert called(things, "http://127.0.0.1:9", *arguments) == 1
        assert "no OpenSearch answers at http://127.0.0.1:9" in capsys.readouterr().err
    assert (things.parent / "gate.json").read_bytes() == before


@pytest.mark.model
def test_a_plan_is_gated_and_what_changed_in_it_is_told(
    things: Path, node_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "funnel.toml"
    plan.write_text("[plan.bm25]\nweight = 1.0\n")
    arguments = ("--plan", str(plan), "--execution", "client", "--latency-ratio", "1000")
    assert called(things, node_url, "--update", "--systems", "hybrid", *arguments) == 0
    kept = read_snapshot(things.parent / "gate.json")
    assert kept.by.execution == "client"
    assert sorted(kept.by.models) == ["bge-small-en-v1.5", "splade-tiny"]
    assert all(len(fingerprint) == 12 for fingerprint in kept.by.models.values())
    assert kept.by.plan_id.startswith(kept.by.plan["alias"])
    capsys.readouterr()
    plan.write_text("[plan.bm25]\nweight = 3.0\n")
    assert called(things, node_url, *arguments, "--output", "json") == 0
    said = json.loads(capsys.readouterr().out)
    assert said["notes"] == ["changed since the baseline: bm25.weight 1.0 -> 3.0"]
    assert [one["check"] for one in said["checks"]] == [
        *("hybrid nDCG@10", "hybrid R@100"),
        *("hybrid p50", "hybrid p95", "hybrid timed answers"),
    ]
