"""``funnel judgments``: each command on files, with what it prints, writes and exits with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from opensearch_funnel.cli.judgments import judgments
from opensearch_funnel.cli.main import main

QUEPID = "query,docid,rating\nred dress,a,3.000\nred dress,b,0\nblue,a,0.5\nstar,,\n"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ratings.csv").write_text(QUEPID, encoding="utf-8")
    return tmp_path


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(judgments, [*arguments])


def _json(*arguments: str) -> dict[str, Any]:
    result = _run(*arguments, "--output", "json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_convert_writes_and_tells_what_it_guessed_and_found(here: Path) -> None:
    result = _run("convert", "ratings.csv", "out.json")
    assert result.exit_code == 0
    assert result.stdout == "wrote out.json: 3 queries, 3 judgments\n"
    assert result.stderr.splitlines() == [
        "ratings.csv: read as quepid (the header has query, docid and rating)",
        "out.json: written as workbench (the name ends with .json)",
        "warning: 1 x queries without judgments: query 'star'",
    ]
    written = json.loads((here / "out.json").read_text(encoding="utf-8"))
    assert written["judgmentRatings"][0] == {
        "query": "red dress",
        "ratings": [{"docId": "a", "rating": "3.000"}, {"docId": "b", "rating": "0.000"}],
    }


def test_an_option_overrules_the_guess(here: Path) -> None:
    found = _json("convert", "ratings.csv", "out.json", "--to-format", "quepid")
    assert found["to_format"] == "quepid"
    assert (here / "out.json").read_text(encoding="utf-8").startswith("query,docid,rating\n")
    result = _run("check", "ratings.csv", "--format", "trec")
    assert "ratings.csv:1: 1 columns; expected query id, 0" in str(result.exception)


def test_convert_refuses_grades_that_are_not_whole_unless_it_may_round(here: Path) -> None:
    result = _run("convert", "ratings.csv", "set")
    assert result.exit_code == 1
    assert "1 grades are no whole numbers, such as 0.5" in str(result.exception)
    assert not (here / "set").exists()
    found = _json("convert", "ratings.csv", "set", "--round", "--split", "dev")
    assert found["files"] == ["set/queries.jsonl", "set/qrels/dev.tsv"]
    assert {f["kind"]: f["count"] for f in found["findings"]} == {
        "unjudged": 1,
        "rounded_grade": 1,
    }
    assert _run("check", "set", "--split", "dev").exit_code == 0


def test_strict_makes_a_fault_an_error_and_nothing_is_written(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["judgments", "convert", "ratings.csv", "out.json", "--strict"]) == 1
    assert "error: 1 kinds of faults in the data, told above (--strict)" in capsys.readouterr().err
    assert not (here / "out.json").exists()
    assert main(["judgments", "check", "ratings.csv", "--strict"]) == 1
    # Notes are no faults: ratings of the Workbench are always text.
    entry = {"query": "a", "ratings": [{"docId": "d", "rating": "3.000"}]}
    (here / "in.json").write_text(json.dumps({"judgmentRatings": [entry]}), encoding="utf-8")
    assert main(["judgments", "check", "in.json", "--strict"]) == 0


def test_a_dry_run_writes_nothing_and_a_file_is_replaced_only_by_force(here: Path) -> None:
    assert _json("convert", "ratings.csv", "out.json", "--dry-run")["written"] is False
    assert not (here / "out.json").exists()
    _json("convert", "ratings.csv", "out.json")
    assert "is there already" in str(_run("convert", "ratings.csv", "out.json").exception)
    _json("convert", "ratings.csv", "out.json", "--force")


def test_convert_puts_a_run_in_order_and_refuses_to_make_judgments_of_it(here: Path) -> None:
    (here / "a.run").write_text("q Q0 b 1 1 t\nq Q0 a 2 2 t\nq Q0 a 3 1 t\n", encoding="utf-8")
    found = _json("convert", "a.run", "b.run")
    assert (here / "b.run").read_text(encoding="utf-8") == "q Q0 a 1 2.0 t\nq Q0 b 2 1.0 t\n"
    assert {f["kind"]: f["count"] for f in found["findings"]} == {
        "run_order": 1,
        "run_repeated": 1,
    }
    refused = _run("convert", "a.run", "c.csv")
    assert "is a run, which can be written as trec-run" in str(refused.exception)


def test_check_says_what_a_file_has(here: Path) -> None:
    found = _json("check", str(here / "ratings.csv"))
    assert found["findings"][0]["count"] == 1
    assert {name: found[name] for name in ("queries", "judged_queries", "judgments")} == {
        "queries": 3,
        "judged_queries": 2,
        "judgments": 3,
    }
    assert found["grades"] == {"0": 1, "0.5": 1, "3": 1}
    assert "3 x" not in _run("check", "ratings.csv").stdout


def test_check_compares_with_a_corpus_and_a_run_with_judgments(here: Path) -> None:
    (here / "corpus.jsonl").write_text('{"_id": "a", "text": "x"}', encoding="utf-8")
    found = _json("check", "ratings.csv", "--corpus", "corpus.jsonl")
    kinds = {f["kind"]: f for f in found["findings"]}
    assert kinds["unknown_document"]["count"] == 1
    assert "document 'b'" in kinds["unknown_document"]["examples"][0]
    (here / "q.qrels").write_text("1 0 a 1\n2 0 a 1\n", encoding="utf-8")
    (here / "a.run").write_text("1 Q0 a 1 nan t\n3 Q0 z 1 1 t\n", encoding="utf-8")
    found = _json("check", "a.run", "--judgments", "q.qrels", "--corpus", "corpus.jsonl")
    assert {f["kind"]: f["count"] for f in found["findings"]} == {
        "run_score": 1,
        "run_unknown_document": 1,
        "run_unjudged": 1,
        "not_in_run": 2,
    }
    assert (found["queries"], found["documents"], found["shortest"]) == (2, 1, 0)


def test_sample_draws_queries_of_each_part_of_a_log(here: Path) -> None:
    counts = [("head", 40), *((f"torso {n}", 10) for n in range(4))]
    lines = [f"{text}\t{count}" for text, count in counts] + [f"tail {n}" for n in range(40)]
    (here / "log.tsv").write_text("\n".join(lines), encoding="utf-8")
    found = _json("sample", "log.tsv", "queries.ndjson", "--size", "9", "--seed", "3")
    assert [(s["band"], s["drawn"]) for s in found["strata"]] == [
        ("head", 1),
        ("torso", 4),
        ("tail", 4),
    ]
    written = (here / "queries.ndjson").read_text(encoding="utf-8")
    assert json.loads(written.splitlines()[0]) == {
        "queryText": "head",
        "band": "head",
        "searches": "40",
    }
    _json("sample", "log.tsv", "queries.ndjson", "--size", "9", "--seed", "3", "--force")
    assert (here / "queries.ndjson").read_text(encoding="utf-8") == written
    (here / "texts.tsv").write_text("1\tTorso 1\n2\ttorso 2\n", encoding="utf-8")
    (here / "a.run").write_text("1 Q0 a 1 9 t\n1 Q0 b 2 1 t\n2 Q0 a 1 1 t\n", encoding="utf-8")
    options = ("--run", "a.run", "--queries", "texts.tsv", "--dry-run")
    found = _json("sample", "log.tsv", "other.ndjson", *options)
    assert {(s["band"], s["difficulty"]): s["queries"] for s in found["strata"]} == {
        ("head", "unknown"): 1,
        ("torso", "easy"): 1,
        ("torso", "hard"): 1,
        ("torso", "unknown"): 2,
        ("tail", "unknown"): 40,
    }
    assert [f["kind"] for f in found["findings"]] == ["not_ranked"]
    assert _run("sample", "log.tsv", "x.ndjson", "--run", "a.run").exit_code == 2


def test_agreement_prints_kappa_and_the_table(here: Path) -> None:
    rows = "query,docid,rating\n" + "red,d{},{}\n" * 4
    (here / "a.csv").write_text(rows.format(1, 0, 2, 0, 3, 1, 4, 1), encoding="utf-8")
    (here / "b.csv").write_text(rows.format(1, 0, 2, 1, 3, 1, 4, 1), encoding="utf-8")
    found = _json("agreement", "a.csv", "b.csv")
    assert found["confusion"] == [[1, 1], [0, 2]]
    assert found["kappa"] == pytest.approx((0.75 - 0.5) / (1 - 0.5))
    printed = _run("agreement", "a.csv", "b.csv").stdout
    assert "judged by both 4, by the first alone 0, by the second alone 0" in printed
    assert "same grade 75.0%, kappa 0.500, linear-weighted kappa 0.500" in printed
    assert _json("agreement", "a.csv", "a.csv", "--strict")["kappa"] == 1.0


def test_a_name_of_ir_datasets_needs_its_package(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # None in sys.modules is Python's own way to say that a package cannot be imported.
    monkeypatch.setitem(__import__("sys").modules, "ir_datasets", None)
    assert main(["judgments", "convert", "irds:beir/scifact/test", str(here / "set")]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "error: ir_datasets is not installed: pip install 'opensearch-funnel[ir-datasets]'"
    )


BY_TEXT = {"ids_lost"}
"""What a format that knows queries by their texts loses; values of grades and texts are kept."""


@pytest.mark.datasets
@pytest.mark.parametrize(
    ("steps", "lost"),
    [
        (["same.json"], set()),
        (["esci.qrels", "back.json"], {"name_lost", *BY_TEXT}),
        (["esci.csv", "back.json"], {"name_lost"}),
        (["beir", "esci.qrels", "esci.csv", "back.json"], {"name_lost", *BY_TEXT}),
    ],
)
def test_real_judgments_of_the_workbench_come_back(
    here: Path, datasets: Path, steps: list[str], lost: set[str]
) -> None:
    source = datasets / "esci_us_ubi" / "esci_us_judgments.json"
    assert converted(source, steps) == {"text_grade"} | lost
    written, original = (here / steps[-1]).read_bytes(), source.read_bytes()
    if not lost:
        assert written == original
    body = json.loads(written)
    assert body["judgmentRatings"] == json.loads(original)["judgmentRatings"]


@pytest.mark.datasets
@pytest.mark.parametrize("steps", [["set.json"], ["set.ndjson", "set.json"]])
def test_a_real_query_set_of_the_workbench_comes_back(
    here: Path, datasets: Path, steps: list[str]
) -> None:
    source = datasets / "esci_us_ubi" / "esci_us_queryset.json"
    told = converted(source, steps)
    body, original = json.loads((here / "set.json").read_bytes()), json.loads(source.read_bytes())
    assert body["querySetQueries"] == original["querySetQueries"]
    assert told == ({"unjudged"} if len(steps) == 1 else {"unjudged", "name_lost"})
    assert (body == original) == (len(steps) == 1)


@pytest.mark.datasets
@pytest.mark.parametrize("name", ["scifact", "cranfield", "msrd_movies"])
def test_real_folders_come_back(here: Path, datasets: Path, name: str) -> None:
    splits = {"other_split"} if name != "cranfield" else set()
    assert converted(datasets / name, ["set.qrels", "back"]) == splits
    qrels = Path("qrels") / "test.tsv"
    assert (here / "back" / qrels).read_bytes() == (datasets / name / qrels).read_bytes()
    texts, originals = (
        {one["_id"]: one["text"] for one in map(json.loads, file.read_text("utf-8").splitlines())}
        for file in (here / "back" / "queries.jsonl", datasets / name / "queries.jsonl")
    )
    assert texts
    assert texts.items() <= originals.items()
    # Quepid and the Workbench lose the ids, and say so; what they have comes back byte by byte.
    assert converted(datasets / name, ["a.csv", "a.json", "b.csv"]) == (
        splits | BY_TEXT | {"name_lost", "text_grade"}
    )
    assert (here / "a.csv").read_bytes() == (here / "b.csv").read_bytes()


def converted(source: Path, steps: list[str]) -> set[str]:
    """Convert from each to the next; return the kinds of all that was told."""
    kinds: set[str] = set()
    for target in steps:
        found = _json("convert", str(source), target)
        kinds |= {finding["kind"] for finding in found["findings"]}
        source = Path(target)
    return kinds
