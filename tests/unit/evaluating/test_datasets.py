"""Folders in the BEIR layout, and what is wrong with some."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.datasets import read_dataset
from opensearch_funnel.evaluating.formats.findings import Kind
from opensearch_funnel.evaluating.indexing import evaluation_index_name

HEADER = "query-id\tcorpus-id\tscore\n"
QRELS = HEADER + "q2\td1\t1\nq2\td2\t-1\nq1\td1\t0\nq3\td9\t2.0\nq3\td1\t0\n"


def _folder(root: Path, *, qrels: str | None = QRELS, queries: str | None = None) -> Path:
    folder = root / "Film Set"
    (folder / "qrels").mkdir(parents=True)
    corpus = [{"_id": f"d{n}", "title": "t", "text": "x"} for n in range(3)]
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, corpus)))
    lines = [{"_id": f"q{n}", "text": f"query {n}"} for n in range(5)]
    (folder / "queries.jsonl").write_text(
        "\n".join(map(json.dumps, lines)) if queries is None else queries
    )
    if qrels is not None:
        (folder / "qrels" / "test.tsv").write_text(qrels)
    return folder


def test_queries_with_a_relevant_document_are_kept_and_the_others_counted(tmp_path: Path) -> None:
    dataset = read_dataset(_folder(tmp_path))
    assert dataset.name == "Film Set"
    assert dataset.queries == (
        Query(text="query 2", query_id="q2"),
        Query(text="query 3", query_id="q3"),
    )
    assert dataset.qrels == {"q2": {"d1": 1, "d2": -1}, "q3": {"d9": 2, "d1": 0}}
    assert dataset.skipped_queries == 1
    assert [document.doc_id for document in dataset.documents()] == ["d0", "d1", "d2"]


BROKEN = [
    ("q2\td1\t1\n", "test.tsv:1: expected a header line: query-id, corpus-id and score"),
    (HEADER + "q2\td1\n", "test.tsv:2: 2 columns; expected query-id"),
    (HEADER + "q2 d1 1\n", "test.tsv:2: 1 columns; expected query-id"),
    (HEADER + "q2\t0\td1\t1\n", "test.tsv:2: 4 columns; expected query-id"),
    (HEADER + "q2\td1\tgood\n", "test.tsv:2: grade 'good' is not a whole number"),
    (HEADER + "q2\td1\t0.5\n", "test.tsv:2: grade '0.5' is not a whole number"),
    (HEADER + "q2\td1\tnan\n", "test.tsv:2: grade 'nan' is not a whole number"),
    (HEADER + "q2\td1\t1\nq2\td1\t0\n", "test.tsv:3: document 'd1' has another grade"),
    (HEADER, "test.tsv has no judgments"),
    ("", "test.tsv has no judgments"),
    (HEADER + "q2\td1\t0\n", "no query of split 'test' in"),
    (HEADER + "q77\td1\t1\n", "query 'q77' of qrels/test.tsv is not in"),
    (None, "test.tsv is missing; it holds the judgments"),
]


@pytest.mark.parametrize(("qrels", "message"), BROKEN)
def test_broken_judgments_are_refused(tmp_path: Path, qrels: str | None, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_dataset(_folder(tmp_path, qrels=qrels))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        ('{"_id": "q2", "text": "a"}\n{"_id": "q3"', "queries.jsonl:2: not valid JSON"),
        ('{"_id": "q2"}', "queries.jsonl:1: expected _id and text"),
        ('{"_id": "q2", "text": "a"}\n{"_id": "q2", "text": "b"}', "queries.jsonl:2: query 'q2'"),
    ],
)
def test_broken_queries_are_refused(tmp_path: Path, queries: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_dataset(_folder(tmp_path, queries=queries))


def test_missing_parts_are_named(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    with pytest.raises(InputError, match=r"dev\.tsv is missing; there are: test \(--split\)"):
        read_dataset(folder, split="dev")
    (folder / "queries.jsonl").unlink()
    with pytest.raises(InputError, match=r"queries\.jsonl is missing"):
        read_dataset(folder)
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(InputError, match=r"has no corpus\.jsonl"):
        read_dataset(folder)
    with pytest.raises(InputError, match="is not a folder"):
        read_dataset(folder / "none")


def test_another_corpus_is_another_index(tmp_path: Path) -> None:
    folder = _folder(tmp_path)
    first = evaluation_index_name(read_dataset(folder))
    assert first == evaluation_index_name(read_dataset(folder))
    assert first.startswith("funnel-eval-film-set-")
    assert len(first.rsplit("-", 1)[-1]) == 12
    with (folder / "corpus.jsonl").open("a") as corpus:
        corpus.write('\n{"_id": "d3", "text": "y"}')
    assert evaluation_index_name(read_dataset(folder)) != first


def test_a_broken_line_of_another_split_is_told_when_that_split_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "films"
    (folder / "qrels").mkdir(parents=True)
    (folder / "corpus.jsonl").write_text('{"_id": "d", "title": "t", "text": "x"}\n')
    queries = ('{"_id": "q", "text": "one"}', '{"_id": "r", "text": "two"}')
    (folder / "queries.jsonl").write_text("\n".join(queries) + "\n")
    header = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "test.tsv").write_text(f"{header}q\td\t1\n")
    (folder / "qrels" / "dev.tsv").write_text(f"{header}r\td\n")
    [finding] = read_dataset(folder).findings
    assert finding.kind is Kind.OTHER_SPLIT
    with pytest.raises(InputError, match=r"dev\.tsv:2: 2 columns"):
        read_dataset(folder, split="dev")
