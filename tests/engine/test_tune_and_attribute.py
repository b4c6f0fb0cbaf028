"""``funnel tune`` and ``funnel attribute``, run as a user does: a real node and real models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.build.attributing import attribute_plan
from opensearch_funnel.build.evaluation import Bench, Request
from opensearch_funnel.build.plans import read_plan
from opensearch_funnel.cli.main import main
from opensearch_funnel.evaluating.datasets import read_dataset
from opensearch_funnel.evaluating.measures import Measure
from opensearch_funnel.settings import Settings

pytestmark = pytest.mark.engine

DOCUMENTS, QUERIES = 130, 100
SPLITS = {"train": range(50), "dev": range(50, 75), "test": range(75, QUERIES)}


@pytest.fixture(scope="module")
def abstracts(datasets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A part of cranfield: judged abstracts, and queries in three splits."""
    whole = read_dataset(datasets / "cranfield")
    judged: dict[str, dict[str, int]] = {}
    kept: dict[str, None] = {}
    for query in whole.queries:
        relevant = {d: g for d, g in whole.qrels[query.query_id].items() if g > 0}
        best = dict(sorted(relevant.items(), key=lambda item: -item[1])[:2])
        if len(kept | dict.fromkeys(best)) <= DOCUMENTS:
            kept |= dict.fromkeys(best)
        judged[query.query_id] = {d: g for d, g in relevant.items() if d in kept}
    folder = tmp_path_factory.mktemp("sets") / "abstracts"
    (folder / "qrels").mkdir(parents=True)
    with (folder / "corpus.jsonl").open("w") as corpus:
        for document in whole.documents():
            if document.doc_id in kept:
                line = {"_id": document.doc_id, **document.source}
                corpus.write(json.dumps(line) + "\n")
    asked = [query for query in whole.queries if judged[query.query_id]][:QUERIES]
    assert len(asked) == QUERIES
    with (folder / "queries.jsonl").open("w") as queries:
        for query in asked:
            queries.write(json.dumps({"_id": query.query_id, "text": query.text}) + "\n")
    for split, numbers in SPLITS.items():
        lines = [
            f"{asked[number].query_id}\t{doc_id}\t{grade}"
            for number in numbers
            for doc_id, grade in judged[asked[number].query_id].items()
        ]
        header = "query-id\tcorpus-id\tscore"
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join([header, *lines]) + "\n")
    return folder


@pytest.fixture
def bench(
    client: OpenSearch, engine_settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Bench:
    """Where plans are measured; the command line finds the same node, and is in a folder alone."""
    monkeypatch.setenv("FUNNEL_URL", engine_settings.url)
    monkeypatch.chdir(tmp_path)
    return Bench(client=client, settings=engine_settings)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main([*arguments, "--output", "json"]) == 0
    plain: dict[str, Any] = json.loads(capsys.readouterr().out)
    return plain


def test_a_plan_is_tuned_written_and_measured(
    bench: Bench, abstracts: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "funnel.toml").write_text(
        '# ours\n[plan]\nalias = "films"\ndepth = 30\n[plan.rerank]\ndepth = 20\n'
        "[plan.bm25]\nweight = 0\n[plan.sparse]\nweight = 9\n"
    )
    tune = ("tune", "--dataset", str(abstracts), "--rerank-queries", "20")
    dry = printed(capsys, *tune, "--no-rerank", "--dry-run")
    assert not dry["written"]
    assert "weight = 9" in (tmp_path / "funnel.toml").read_text()
    legs = dry["legs"]
    assert legs["tried_on"] == "50 of 50 train queries"
    assert len(legs["trials"]) >= 50
    # Under auto they are times how far each leg is trusted on this index, which was measured.
    assert legs["present"]["weights"] == pytest.approx({"sparse": 0.9, "dense": 0.1}, abs=0.05)
    assert legs["best"]["nDCG@10"] >= max(one["nDCG@10"] for one in legs["front"])
    front = [(one["ms"], one["nDCG@10"]) for one in legs["front"]]
    assert front == sorted(front)

    # The legs' record is there now; what is chosen does not depend on who searched.
    report = tmp_path / "report.html"
    wet = printed(capsys, *tune, "--report", str(report), "--max-ms", "100000")
    assert wet["legs"]["best"]["nDCG@10"] == legs["best"]["nDCG@10"]
    assert wet["rerank"]["tried_on"] == "20 of 25 dev queries"
    assert wet["written"]
    assert not [name for name in wet["changes"] if name.startswith("trust.")]
    plan = read_plan(tmp_path / "funnel.toml")
    assert plan.alias == "films"
    assert plan.rerank.decided
    assert plan.rerank.reason == wet["rerank"]["evidence"]
    assert wet["changes"]["rerank.decided"] == {"before": False, "after": True}
    assert "# ours" in (tmp_path / "funnel.toml").read_text()
    assert report.read_text().count("<img") == 2

    # An evaluation takes the plan as it is, and does not decide once more.
    request = Request(systems=["funnel"], execution="client", timed=0, leave_one_out=False)
    measured = bench.evaluate(read_dataset(abstracts), plan, request)
    assert measured.plan is not None
    assert measured.plan.rerank == plan.rerank
    if plan.fusion.technique == "auto":
        assert measured.plan.trust.decided
        assert measured.to_json()["plan"]["trust"]["reason"].startswith("sparse ")


def test_what_is_lost_adds_up_to_what_an_evaluation_lacks(bench: Bench, abstracts: Path) -> None:
    dataset = read_dataset(abstracts)
    plan = read_plan(Path("none"), alias="films")
    ndcg = Measure("nDCG", 10)
    for rerank, system in (("off", "hybrid"), ("on", "funnel")):
        found = attribute_plan(bench, dataset, plan, rerank=rerank).attribution  # type: ignore[arg-type]
        request = Request(
            systems=[system],  # type: ignore[list-item]
            measures=[ndcg],
            execution="client",
            rerank=rerank,  # type: ignore[arg-type]
            timed=0,
            leave_one_out=False,
        )
        [measured] = bench.evaluate(dataset, plan, request).report.systems
        assert found.ndcg == pytest.approx(measured.mean(ndcg), abs=1e-9)
        assert sum(found.parts.values()) == pytest.approx(1 - found.ndcg, abs=1e-9)
        for query_id, loss in found.losses.items():
            assert sum(loss.parts.values()) == pytest.approx(1 - loss.ndcg, abs=1e-9)
            assert loss.ndcg == pytest.approx(measured.values[ndcg][query_id], abs=1e-9)
        assert ("cross_encoder" in found.parts) == (rerank == "on")


@pytest.mark.usefixtures("bench")
def test_the_command_names_what_lost_most(
    abstracts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("attribute", "--dataset", str(abstracts), "--rerank", "off", "--queries", "10")
    plain = printed(capsys, *arguments)
    assert plain["queries"] == 10
    lost = sum(part["mean"] for part in plain["lost"].values())
    assert lost == pytest.approx(1 - plain["ndcg"], abs=1e-5)
    assert main([*arguments, "--worst", "1"]) == 0
    table = capsys.readouterr().out
    assert f"{1 - plain['ndcg']:.4f} lost" in table
    assert "lost most by fusion: order" in table


def test_the_split_that_is_reported_is_not_tuned_on(
    abstracts: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["tune", "--dataset", str(abstracts), "--train", "test"]) == 1
    assert "looks better there than it is" in capsys.readouterr().err
