"""``funnel gate`` on run files, as CI calls it: no cluster is there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from opensearch_funnel.cli.gate import gate
from opensearch_funnel.cli.main import main
from opensearch_funnel.evaluating.formats.trec_run import write_runs

QUERIES = [f"q{number:02d}" for number in range(60)]
GERMAN = QUERIES[:25]
GOOD = {one: ["good", "bad"] for one in QUERIES}
WORSE = {**GOOD, **{one: ["bad", "x"] for one in QUERIES[::4]}}


@pytest.fixture
def films(tmp_path: Path) -> Path:
    """Sixty queries of two languages, each with documents of its own, and their runs."""
    folder = tmp_path / "films"
    (folder / "qrels").mkdir(parents=True)
    lines: list[dict[str, Any]] = []
    for one in QUERIES:
        language = "de" if one in GERMAN else "en"
        lines.append({"_id": f"good-{one}", "text": "t", "metadata": {"lang": language}})
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)))
    queries = [json.dumps({"_id": one, "text": f"text {one}"}) for one in QUERIES]
    (folder / "queries.jsonl").write_text("\n".join(queries))
    grades = "".join(f"{one}\tgood-{one}\t1\n" for one in QUERIES)
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{grades}")
    shutil.copy(folder / "qrels" / "test.tsv", folder / "qrels" / "dev.tsv")
    runs(tmp_path / "runs", hybrid=GOOD, bm25=WORSE)
    return folder


def runs(folder: Path, **given: Mapping[str, Sequence[str]]) -> Path:
    named = {
        name: {
            query_id: [f"{doc}-{query_id}" for doc in ranking] for query_id, ranking in run.items()
        }
        for name, run in given.items()
    }
    write_runs(named, folder)
    return folder


def called(films: Path, *arguments: str | Path) -> Result:
    baseline = films.parent / "gate.json"
    fixed = ["--dataset", str(films), "--baseline", str(baseline), *map(str, arguments)]
    # Options alone are those of `funnel gate quality`.
    return CliRunner().invoke(gate, fixed, standalone_mode=False)


def found(films: Path, *arguments: str | Path) -> tuple[int, dict[str, Any]]:
    result = called(films, *arguments, "--output", "json")
    assert result.exception is None, result.exception
    plain: dict[str, Any] = json.loads(result.stdout)
    return result.return_value, plain


def update(films: Path, *arguments: str | Path) -> None:
    result = called(films, "--runs", films.parent / "runs", "--update", *arguments)
    assert result.return_value == 0, result.output


def test_runs_are_gated_without_a_cluster(films: Path) -> None:
    given = films.parent / "runs"
    update(films)
    code, plain = found(films, "--runs", given)
    assert (code, plain["passed"], plain["queries"]) == (0, True, 60)
    assert [one["check"] for one in plain["checks"]] == [
        f"{system} {measure}" for system in ("bm25", "hybrid") for measure in ("nDCG@10", "R@100")
    ]
    assert plain["warnings"][0].startswith("no latency was compared for bm25, hybrid")
    code, plain = found(films, "--runs", runs(films.parent / "later", hybrid=WORSE, bm25=WORSE))
    assert code == 1
    failed = [one for one in plain["checks"] if one["outcome"] == "failed"]
    assert [one["check"] for one in failed] == ["hybrid nDCG@10", "hybrid R@100"]
    assert failed[0]["difference"] == -0.25
    assert failed[0]["losses"] == 15


def test_the_same_call_prints_the_same(films: Path) -> None:
    update(films)
    for output in ("table", "markdown", "json"):
        first, second = (
            called(films, "--runs", films.parent / "runs", "--output", output).stdout
            for _ in range(2)
        )
        assert first == second
        assert "hybrid nDCG@10" in first


def test_a_system_without_a_run_fails(films: Path) -> None:
    update(films)
    later = runs(films.parent / "later", hybrid=GOOD)
    code, plain = found(films, "--runs", later)
    assert code == 1
    assert [one["check"] for one in plain["checks"] if one["outcome"] == "failed"] == ["bm25"]
    assert found(films, "--runs", later, "--systems", "hybrid")[0] == 0


def test_languages_are_judged_one_by_one(films: Path) -> None:
    update(films)
    later = runs(
        films.parent / "later",
        hybrid={**GOOD, **{one: ["bad", "x"] for one in GERMAN[:9]}},
        bm25=GOOD,
    )
    code, plain = found(films, "--runs", later, "--language-field", "lang", "--tolerance", "0.2")
    assert code == 1
    failed = [one["check"] for one in plain["checks"] if one["outcome"] == "failed"]
    # 0.15 of all queries is allowed here, 0.36 of the German ones is not.
    assert failed == ["hybrid nDCG@10 [de]", "hybrid R@100 [de]"]
    result = called(films, "--runs", later, "--language-field", "tongue")
    assert "no query of films has a language" in str(result.exception)


def test_a_query_without_documents_that_speak_says_its_own_language(films: Path) -> None:
    from opensearch_funnel.evaluating.datasets import read_dataset
    from opensearch_funnel.evaluating.gating.languages import languages_of

    lines = [
        {"_id": "a", "text": "t", "lang": "de"},
        {"_id": "b", "text": "t", "metadata": {"lang": "en"}},
        {"_id": "c", "text": "t", "lang": " en "},
        {"_id": "d", "text": "t", "lang": 7},
    ]
    (films / "corpus.jsonl").write_text("\n".join(map(json.dumps, lines)))
    queries = [
        {"_id": "majority", "text": "1", "lang": "fr"},
        {"_id": "tie", "text": "2", "lang": "fr"},
        {"_id": "own", "text": "3", "lang": "fr"},
        {"_id": "none", "text": "4"},
        {"_id": "negative", "text": "5"},
    ]
    (films / "queries.jsonl").write_text("\n".join(map(json.dumps, queries)))
    judged = {
        "majority": {"a": 1, "b": 2, "c": 1},
        "tie": {"a": 1, "b": 1},
        "own": {"d": 1},
        "none": {"d": 1},
        "negative": {"a": 1, "b": 0, "c": -1},
    }
    rows = "".join(f"{q}\t{d}\t{g}\n" for q, grades in judged.items() for d, g in grades.items())
    (films / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\n{rows}")
    assert languages_of(read_dataset(films), field="lang") == {
        "majority": "en",
        "tie": "fr",
        "own": "fr",
        "negative": "de",
    }


def test_the_baseline_says_what_is_measured(films: Path) -> None:
    update(films, "--systems", "hybrid", "--measures", "MRR@10", "--split", "dev")
    code, plain = found(films, "--runs", films.parent / "runs")
    assert (code, plain["split"]) == (0, "dev")
    assert [one["check"] for one in plain["checks"]] == ["hybrid MRR@10"]
    assert plain["notes"] == ["not in the baseline, and not judged: bm25"]
    # An update keeps it so, unless it is told otherwise.
    update(films)
    assert found(films, "--runs", films.parent / "runs")[1]["split"] == "dev"
    update(films, "--measures", "P@1")
    code, plain = found(films, "--runs", films.parent / "runs")
    assert [one["check"] for one in plain["checks"]] == ["hybrid P@1"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--split", "test"], "the baseline is of split 'dev', not 'test'"),
        (["--measures", "MRR@10"], "the baseline has no MRR@10 of bm25"),
        (["--systems", "funnel"], "the baseline has no funnel; it has: bm25, hybrid"),
        (["--split", "train"], r"train.tsv is missing; there are: dev, test"),
    ],
)
def test_what_the_baseline_lacks_is_an_error(films: Path, arguments: list[str], says: str) -> None:
    update(films, "--split", "dev")
    before = (films.parent / "gate.json").read_bytes()
    result = called(films, "--runs", films.parent / "runs", *arguments)
    assert says in str(result.exception)
    assert (films.parent / "gate.json").read_bytes() == before


def test_other_documents_are_no_comparison(films: Path) -> None:
    update(films)
    with (films / "corpus.jsonl").open("a") as corpus:
        corpus.write('\n{"_id": "one more", "text": "t"}')
    result = called(films, "--runs", films.parent / "runs")
    assert "the baseline was measured on other documents" in str(result.exception)
    # The same documents in a folder of another name are the same.
    update(films)
    shutil.copytree(films, films.parent / "renamed")
    arguments = ["--runs", str(films.parent / "runs"), "--output", "json"]
    baseline = str(films.parent / "gate.json")
    again = ["--dataset", str(films.parent / "renamed"), "--baseline", baseline, *arguments]
    assert CliRunner().invoke(gate, again, standalone_mode=False).return_value == 0


def test_a_folder_without_runs_and_a_foreign_run_are_errors(films: Path) -> None:
    update(films)
    empty = films.parent / "empty"
    empty.mkdir()
    assert "has no *.run files" in str(called(films, "--runs", empty).exception)
    foreign = runs(films.parent / "foreign", hybrid={"other": ["good"]})
    assert "ranks no query of split 'test'" in str(called(films, "--runs", foreign).exception)
    without = runs(films.parent / "without", bm25=GOOD)
    said = str(called(films, "--runs", without, "--update").exception)
    assert "has no run of hybrid; it has: bm25" in said


def test_a_system_of_run_files_is_not_asked_of_a_cluster(films: Path) -> None:
    runs(films.parent / "runs", mine=GOOD)
    update(films)
    said = str(called(films, "--url", "http://127.0.0.1:9").exception)
    assert "the baseline has mine, which came out of run files: give --runs" in said


def test_queries_without_results_count_as_0_and_are_named(films: Path) -> None:
    update(films)
    half = {**dict(list(GOOD.items())[:30]), "other": ["good"]}
    code, plain = found(films, "--runs", runs(films.parent / "half", hybrid=half, bm25=WORSE))
    assert code == 1
    assert "hybrid: 30 queries have no results and count as 0" in plain["notes"]
    assert "hybrid: 1 queries of the run are not judged in this split" in plain["notes"]


def test_a_baseline_that_cannot_be_written_is_an_error(films: Path) -> None:
    inside = films / "corpus.jsonl" / "gate.json"
    result = called(films, "--runs", films.parent / "runs", "--update", "--baseline", inside)
    assert "cannot write" in str(result.exception)


def test_exit_codes_are_those_of_every_command(
    films: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baseline, given = str(films.parent / "gate.json"), str(films.parent / "runs")
    fixed = ["gate", "--dataset", str(films), "--baseline", baseline, "--runs", given]
    assert main(fixed) == 1
    assert capsys.readouterr().err.strip().endswith("gate.json is missing: write it with --update")
    assert main([*fixed, "--update"]) == 0
    assert main(fixed) == 0
    assert main(["gate", "quality", *fixed[1:]]) == 0
    worse = runs(films.parent / "worse", hybrid=WORSE, bm25=WORSE)
    assert main([*fixed, "--runs", str(worse)]) == 1
    assert "failed: hybrid nDCG@10 fell by 0.2500" in capsys.readouterr().out
    for wrong in (["--alpha", "0"], ["--systems", ""], ["--measures", "nDCG"], ["--nothing"]):
        assert main([*fixed, *wrong]) == 2
    assert main(["gate", "--dataset", str(films), "--baseline", baseline, "--systems", "x"]) == 2
    assert main(["gate", "--help"]) == 0
    assert "freshness" in capsys.readouterr().out
