"""Rankings in and out as TREC run files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.trec_runs import read_run, write_runs
from opensearch_funnel.evaluating.whole_files import write_whole


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    run = {"q1": [f"d{n}" for n in range(10_000)], "q2": ["é\u00a0🐟"], "q3": []}
    files = write_runs({"bm25": run, "hybrid without dense": run}, tmp_path / "new" / "runs")
    assert [path.name for path in files] == ["bm25.run", "hybrid-without-dense.run"]
    assert sorted(path.name for path in (tmp_path / "new" / "runs").iterdir()) == [
        "bm25.run",
        "hybrid-without-dense.run",
    ]
    assert files[1].read_text(encoding="utf-8").startswith("q1 Q0 d0 1 1.0 hybrid-without-dense\n")
    for path in files:
        assert read_run(path) == {"q1": tuple(run["q1"]), "q2": tuple(run["q2"])}


def test_scores_order_a_run_and_not_its_ranks_or_lines(tmp_path: Path) -> None:
    text = "q Q0 a 1 1.0 x\nq\tQ0\tb\t2\t1.0\tx\n\nq Q0  c 3 2e0 x\r\nother Q0 a 1 -3 x\n"
    packed = tmp_path / "x.run.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    for path in (written(tmp_path / "x.run", text), packed):
        assert read_run(path) == {"q": ("c", "b", "a"), "other": ("a",)}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has no rankings"),
        ("\n\n", "has no rankings"),
        ("q Q0 a 1 1.0\n", ":1: 5 columns; a TREC run has query id, Q0"),
        ("q Q0 a 1 1.0 x\nq Q0 b 1 1.0 x y\n", ":2: 7 columns"),
        ("q Q0 a 1 1.0 x\nq Q0 a 2 0.5 x\n", ":2: document 'a' was ranked for query 'q' further"),
        ("q Q0 a 1 NaN x\n", ":1: score 'NaN' is no finite number"),
        ("q Q0 a 1 inf x\n", ":1: score 'inf'"),
        ("q Q0 a 1 1e39 x\n", ":1: score '1e39'"),
        ("q Q0 a 1 first x\n", ":1: score 'first'"),
    ],
)
def test_a_broken_run_is_named_by_its_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        read_run(written(tmp_path / "x.run", text))
    assert fault in str(caught.value)


def test_a_missing_run_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_run(tmp_path / "x.run")
    with pytest.raises(InputError, match="is a folder"):
        read_run(tmp_path)


@pytest.mark.parametrize("doc_id", ["a b", "", "a\tb", "a\n"])
def test_an_id_that_no_run_can_hold_leaves_nothing_written(tmp_path: Path, doc_id: str) -> None:
    runs = {"good": {"q": ["a"]}, "bad": {"q": [doc_id]}}
    with pytest.raises(InputError, match="no TREC run can hold it"):
        write_runs(runs, tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_file_that_cannot_be_written_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    before = written(tmp_path / "a.run", "before")
    blocked = written(tmp_path / "file", "no folder") / "b.run"
    with pytest.raises(InputError, match="cannot write"):
        write_whole({before: b"after", blocked: b"x"})
    assert before.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.run", "file"]
