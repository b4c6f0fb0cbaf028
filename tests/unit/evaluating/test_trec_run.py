"""Rankings in and out as TREC run files."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.findings import Kind
from opensearch_funnel.evaluating.formats.trec_run import (
    read_measurable_run,
    read_run,
    write_runs,
)
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
        read = read_measurable_run(path)
        assert read.run.doc_ids == {"q1": tuple(run["q1"]), "q2": tuple(run["q2"])}
        assert read.findings == ()


def test_scores_order_a_run_and_not_its_ranks_or_lines(tmp_path: Path) -> None:
    text = "q Q0 a 1 1.0 x\nq\tQ0\tb\t2\t1.0\tx\n\nq Q0  c 3 2e0 x\r\nother Q0 a 1 -3 x\n"
    packed = tmp_path / "x.run.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    for path in (written(tmp_path / "x.run", text), packed):
        read = read_measurable_run(path)
        assert read.run.doc_ids == {"q": ("c", "b", "a"), "other": ("a",)}
        order, tie = sorted(read.findings, key=lambda finding: finding.kind.name)
        assert (order.kind, order.count) == (Kind.RUN_ORDER, 1)
        assert order.examples == ("line 4: document 'c' of query 'q'",)
        assert (tie.kind, tie.count, tie.is_fault) == (Kind.RUN_TIE, 1, False)
        assert tie.examples == ("line 2: document 'b' of query 'q'",)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "has no rankings"),
        ("\n\n", "has no rankings"),
        ("q Q0 a 1 1.0\n", ":1: 5 columns; a TREC run has query id, Q0"),
        ("q Q0 a 1 1.0 x\nq Q0 b 1 1.0 x y\n", ":2: 7 columns"),
    ],
)
def test_a_broken_run_is_named_by_its_line(tmp_path: Path, text: str, fault: str) -> None:
    with pytest.raises(InputError) as caught:
        read_run(written(tmp_path / "x.run", text))
    assert fault in str(caught.value)


def test_nothing_is_measured_of_a_run_with_duplicates_or_without_scores(tmp_path: Path) -> None:
    text = (
        "q Q0 a 1 1.0 x\nq Q0 a 2 0.5 x\nq Q0 b 3 NaN x\nq Q0 c 4 -inf x\nq Q0 d 5 1e39 x\n"
        "q Q0 e 6 first x\nq Q0 f 7 0.25 x\n"
    )
    path = written(tmp_path / "x.run", text)
    with pytest.raises(InputError) as caught:
        read_measurable_run(path)
    assert str(caught.value) == (
        f"{path}: 1 x documents twice in one ranking, the first kept: line 2: document 'a' of "
        "query 'q' | 4 x scores that are no finite number of single precision, left out: line 3: "
        "NaN for document 'b' of query 'q'; line 4: -inf for document 'c' of query 'q'; line 5: "
        "1e39 for document 'd' of query 'q'; …. Nothing was measured: mend the file, or write "
        f"what is left of it: funnel judgments convert {path} whole.run"
    )
    assert read_run(path).run.doc_ids == {"q": ("a", "f")}


def test_a_query_none_of_whose_documents_has_a_score_has_an_empty_ranking(tmp_path: Path) -> None:
    read = read_run(written(tmp_path / "x.run", "q Q0 a 1 nan x\n"))
    assert read.run.doc_ids == {"q": ()}


def test_ranks_that_are_no_numbers_leave_the_order_of_the_lines(tmp_path: Path) -> None:
    read = read_run(written(tmp_path / "x.run", "q Q0 b one 1 x\nq Q0 a two 1 x\n"))
    assert read.run.doc_ids == {"q": ("b", "a")}
    assert read.findings == ()


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
