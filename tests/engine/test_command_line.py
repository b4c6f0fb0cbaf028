"""The way of a user, from the shell: load, serve, apply, search, evaluate, remove.

With the real node, the real default models and the service as a process of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opensearch_funnel.cli.main import main
from opensearch_funnel.service.process import background_service

pytestmark = [pytest.mark.engine, pytest.mark.model]

FILMS = {
    "heat": ("Heat", "A detective hunts a crew of bank robbers across Los Angeles."),
    "alien": ("Alien", "The crew of a spaceship is stalked by a creature that came aboard."),
    "amelie": ("Amelie", "A shy waitress in Paris decides to make the people around her happy."),
    "jaws": ("Jaws", "A giant shark attacks swimmers at a beach town in summer."),
    "up": ("Up", "An old man ties balloons to his house and flies it to South America."),
    "her": ("Her", "A lonely writer falls in love with the voice of his operating system."),
    "fargo": ("Fargo", "A car salesman hires two criminals to kidnap his own wife."),
    "cast": ("Cast Away", "A man is stranded on an island after his plane goes down."),
}
QUERIES = {
    "q1": ("stealing money", "heat"),
    "q2": ("extraterrestrial monster in outer space", "alien"),
    "q3": ("dangerous fish in the sea", "jaws"),
    "q4": ("artificial intelligence romance", "her"),
    "q5": ("balloons", "up"),
}


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    (folder / "qrels").mkdir(parents=True)
    lines(
        folder / "corpus.jsonl",
        [{"_id": i, "title": title, "text": text} for i, (title, text) in FILMS.items()],
    )
    lines(folder / "queries.jsonl", [{"_id": i, "text": text} for i, (text, _) in QUERIES.items()])
    judged = "".join(f"{query}\t{film}\t1\n" for query, (_, film) in QUERIES.items())
    (folder / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\n" + judged)
    return folder


@pytest.fixture
def service(node_url: str) -> Iterator[str]:
    with background_service(env={"FUNNEL_URL": node_url}) as url:
        yield url


@pytest.fixture(autouse=True)
def settings(node_url: str, service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FUNNEL_URL", node_url)
    monkeypatch.setenv("FUNNEL_SERVICE_URL", service)
    monkeypatch.setenv("COLUMNS", "100")


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*arguments, "--output", "json"]) == code, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def patient(path: Path) -> Path:
    """A plan whose deadlines a busy machine does not reach."""
    plan = path / "patient.toml"
    plan.write_text("[plan.deadlines]\nrewrite_ms = 30000\nrank_ms = 30000\n", encoding="utf-8")
    return plan


def ours_in(shown: dict[str, Any], *, index: str) -> list[str]:
    """Name the pipelines of a test's own index: other tests may have theirs applied."""
    return [one["name"] for one in shown["pipelines"] if index in one["plan"]["alias"]]


def test_from_a_file_to_explained_answers(
    films: Path, index_name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = str(films / "corpus.jsonl")
    loaded = run(capsys, "load", corpus, "--index", index_name, "--funnel")
    assert loaded["indexed"] == len(FILMS)
    apply = ["pipeline", "apply", "--index", index_name, "--plan", str(patient(tmp_path))]
    seen = run(capsys, *apply, "--dry-run")
    assert seen["plan"]["alias"] == index_name
    assert ours_in(run(capsys, "pipeline", "show"), index=index_name) == []
    applied = run(capsys, *apply, "--default")
    assert applied["default_of"] == {index_name: ""}
    assert applied["rerank"]["reason"] != "not decided yet"
    try:
        ready = wait_until_full(capsys, index_name)
        bm25, funnel = ready["systems"]
        assert bm25["hits"] == [], "no film has one of these words"
        best = funnel["hits"][0]
        assert best["doc_id"] == "alien"
        trace = best["trace"]
        assert trace["legs"]["dense"]["rank"] == 1
        sparse = trace["legs"]["sparse"]
        assert sparse["score"] == pytest.approx(
            sum(term["contribution"] for term in sparse["terms"]), rel=1e-4
        )
        assert trace["engine_score"] == pytest.approx(
            sum(leg["contribution"] for leg in trace["legs"].values()), abs=1e-5
        )
        assert funnel["trace"]["consistent"], trace["differences"]
        check_the_table(capsys, index_name, trace)
        again = run(capsys, *apply, "--default")
        assert again["plan_id"] == applied["plan_id"]
    finally:
        removed = run(capsys, "pipeline", "remove", "--index", index_name)
    assert removed["was_default_of"] == [index_name]
    assert ours_in(run(capsys, "pipeline", "show"), index=index_name) == []


def check_the_table(capsys: pytest.CaptureFixture[str], index: str, trace: dict[str, Any]) -> None:
    """Read the same trace as a person does, who has 100 columns."""
    capsys.readouterr()
    assert main(["search", "extraterrestrial monster", "--index", index, "--explain"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert max(map(len, printed)) <= 100
    [row] = [
        line for line in printed if line.startswith("│ 1 ") and "alien" in line and "#" in line
    ]
    # Four documents are too few to be measured: the plan fuses by ranks, whose scores are small.
    for leg in trace["legs"].values():
        if leg["rank"] is not None:
            assert f"{leg['contribution']:.6f} #{leg['rank']}" in row
    assert f"{trace['fused_score']:.6f} #{trace['fused_rank']}" in row
    assert any("funnel: everything adds up" in line for line in printed)


def wait_until_full(capsys: pytest.CaptureFixture[str], index: str) -> Any:
    """Ask until the service has loaded the plan: its answers before that are marked degraded."""
    ask = ["search", "extraterrestrial monster", "--index", index, "--explain", "--output", "json"]
    for _ in range(100):
        capsys.readouterr()
        if main(ask) == 0:
            return json.loads(capsys.readouterr().out)
    raise AssertionError("the funnel never answered in full")


def test_evaluate_measures_every_system_natively(
    films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(capsys, "evaluate", str(films))
    assert list(first["systems"]) == ["bm25", "sparse", "dense", "rrf", "hybrid", "funnel"]
    assert first["queries"] == len(QUERIES)
    assert first["documents"] == len(FILMS)
    assert all(system["degraded"] == 0 for system in first["systems"].values())
    assert first["systems"]["hybrid"]["nDCG@10"] > first["systems"]["bm25"]["nDCG@10"]
    assert set(first["leave_one_out"]) == {"bm25", "sparse", "dense"}
    worth = first["leave_one_out"]["bm25"]
    assert worth["worth"]["R@100"] == pytest.approx(
        first["systems"]["hybrid"]["R@100"] - worth["without"]["R@100"]
    )
    for pair, gained in first["differences"].items():
        system, reference = pair.split(" - ")
        for measure, gain in gained.items():
            low, high = gain["interval"]
            assert low <= gain["difference"] <= high
            assert gain["difference"] == pytest.approx(
                first["systems"][system][measure] - first["systems"][reference][measure], abs=2e-6
            )
    compared = ["funnel - bm25", "funnel - rrf", "funnel - hybrid", "hybrid - rrf"]
    assert list(first["differences"]) == compared
    assert "no evidence (8 probes" in first["plan"]["rerank"]["reason"]
    client = run(capsys, "evaluate", str(films), "--execution", "client", "--no-leave-one-out")
    assert client["plan"] == first["plan"], "the decision is kept with the index"
    for name in ("rrf", "hybrid", "funnel"):
        assert client["systems"][name]["nDCG@10"] == first["systems"][name]["nDCG@10"]
    left = run(capsys, "pipeline", "show")
    assert ours_in(left, index="funnel-eval-") == [], "nothing is left applied"


def test_compare_says_why_queries_moved(films: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = ["--dataset", str(films), "--rerank", "on", "--measures", "nDCG@10"]
    found = run(capsys, "compare", "bm25", "hybrid", "funnel", *told)
    assert (found["degraded"], found["why_note"]) == (0, "")
    gained = found["moved"]["hybrid - bm25"]["gained"]
    # No film has a word of these queries: bm25 finds none.
    [[document]] = [one["deciding"] for one in gained if one["query_id"] == "q2"]
    assert (document["id"], document["reference_rank"]) == ("alien", None)
    stages = document["stages"]["hybrid"]
    assert stages["fused"] == document["system_rank"]
    assert stages["reranked"] is None
    assert stages["legs"]["bm25"] == {"rank": None, "terms": []}
    assert stages["legs"]["sparse"]["terms"]
    assert stages["legs"]["dense"]["rank"] == 1
    for moves in found["moved"].values():
        for move in (*moves["gained"], *moves["lost"]):
            for one in move["deciding"]:
                assert set(one["stages"]) <= {"hybrid", "funnel"}
                assert not any("doubts" in stages for stages in one["stages"].values())
    reranked = found["moved"]["funnel - bm25"]["gained"][0]["deciding"][0]
    assert reranked["stages"]["funnel"]["reranked"] == reranked["system_rank"]
    left = run(capsys, "pipeline", "show")
    assert ours_in(left, index="funnel-eval-") == [], "nothing is left applied"


def test_the_table_says_what_was_gained_and_what_reranked(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "cascade.toml"
    plan.write_text(
        '[plan.rerank]\nfirst_model = "funnel-reranker-mini"\ndepth = 20\nkeep = 5\n',
        encoding="utf-8",
    )
    evaluate = ["evaluate", str(films), "--plan", str(plan), "--rerank", "on"]
    assert main([*evaluate, "--systems", "rrf,funnel", "--measures", "MRR@10"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    heading = printed.index("difference       MRR@10")
    assert re.fullmatch(
        r"funnel over rrf  [+-]\d\.\d{4} \([+-]\d\.\d{3} to [+-]\d\.\d{3}\)", printed[heading + 1]
    )
    assert printed[-2:] == [
        "reranking on: as asked for",
        "  models funnel-reranker-mini (depth 20), then funnel-reranker-mini (keep 5)",
    ]


def test_one_leg_alone_is_not_fused(
    films: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "alone.toml"
    plan.write_text("[plan.sparse]\nweight = 0.0\n[plan.dense]\nweight = 0.0\n", encoding="utf-8")
    assert main(["evaluate", str(films), "--plan", str(plan), "--systems", "bm25,rrf"]) == 1
    assert "the plan has bm25 alone" in capsys.readouterr().err


def test_what_a_user_gets_wrong_is_named(
    films: Path, index_name: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.ndjson"
    broken.write_text('{"_id": "a"}\n{"_id": "b"}\n{"_id": \n{"_id": "d"}\n', encoding="utf-8")
    for arguments, named in (
        (["load", str(broken), "--index", index_name], "broken.ndjson:3"),
        (["pipeline", "apply", "--index", index_name], "no such index"),
        (["search", "x", "--index", index_name, "--systems", "bm25"], "no such index"),
        (["search", "x", "--index", index_name, "--systems", "funnel"], "no pipeline is applied"),
        (["pipeline", "remove", "--index", index_name], "no pipeline"),
        (["evaluate", str(films), "--split", "dev"], "dev"),
        (["evaluate", str(tmp_path / "nowhere")], "nowhere"),
    ):
        capsys.readouterr()
        assert main(arguments) == 1
        printed = capsys.readouterr()
        assert printed.out == ""
        last = printed.err.strip().splitlines()[-1]
        assert last.startswith("error: ")
        assert named in last
    corpus = str(films / "corpus.jsonl")
    run(capsys, "load", corpus, "--index", index_name)
    assert main(["pipeline", "apply", "--index", index_name]) == 1
    assert "funnel load --funnel" in capsys.readouterr().err
