"""Reading judged corpora and Python's documentation for training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.training.corpora import (
    Document,
    python_documents,
    read_documents,
    read_judged,
)


def beir_folder(folder: Path, *, qrels: str) -> Path:
    """Write a data set of two documents and two queries."""
    documents = [
        {"_id": "d1", "title": " Big Fish ", "text": "A tall tale."},
        {"_id": "d2", "title": "", "text": "No title here."},
    ]
    queries = [{"_id": "q2", "text": "fish"}, {"_id": "q1", "text": "tale"}]
    for name, lines in (("corpus", documents), ("queries", queries)):
        text = "\n".join(json.dumps(line) for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    (folder / "qrels").mkdir()
    (folder / "qrels" / "train.tsv").write_text(qrels, encoding="utf-8")
    return folder


def test_the_indexed_text_is_title_and_text_or_the_one_there_is() -> None:
    assert Document("d", "Big Fish", "A tale.").indexed == "Big Fish. A tale."
    assert Document("d", "", "A tale.").indexed == "A tale."
    assert Document("d", "Big Fish", "").indexed == "Big Fish"


def test_documents_and_labels_are_read_and_queries_without_an_answer_left_out(
    tmp_path: Path,
) -> None:
    qrels = "query-id\tcorpus-id\tscore\nq2\td1\t1\nq2\td2\t0\nq1\td2\t0\n"
    folder = beir_folder(tmp_path, qrels=qrels)
    assert [document.indexed for document in read_documents(folder)] == [
        "Big Fish. A tall tale.",
        "No title here.",
    ]
    (query,) = read_judged(folder, split="train")
    assert (query.query_id, query.text, query.relevant, query.rejected) == (
        "q2",
        "fish",
        ("d1",),
        ("d2",),
    )


@pytest.mark.parametrize("line", ["q2\td1", "q9\td1\t1"])
def test_a_broken_label_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    folder = beir_folder(tmp_path, qrels=f"query-id\tcorpus-id\tscore\n{line}\n")
    with pytest.raises(InputError, match="line 2"):
        read_judged(folder, split="train")


def test_a_broken_document_and_a_missing_file_are_named(tmp_path: Path) -> None:
    folder = beir_folder(tmp_path, qrels="query-id\tcorpus-id\tscore\n")
    with pytest.raises(InputError, match=r"dev\.tsv is missing"):
        read_judged(folder, split="dev")
    (folder / "corpus.jsonl").write_text('{"_id": "d1"}\n{"_id"', encoding="utf-8")
    with pytest.raises(InputError, match="line 2 is not JSON"):
        read_documents(folder)
    (folder / "corpus.jsonl").unlink()
    with pytest.raises(InputError, match=r"corpus\.jsonl is missing"):
        read_documents(folder)


def test_about_a_fifth_is_held_out_and_always_the_same() -> None:
    names = [f"q{number}" for number in range(2000)]
    kept_out = [name for name in names if is_held_out(name)]
    assert 0.17 < len(kept_out) / len(names) < 0.23
    assert kept_out == [name for name in reversed(names) if is_held_out(name)][::-1]


def test_python_documents_are_public_documented_names_with_their_signature(
    tmp_path: Path,
) -> None:
    words = "one two three four five six seven eight nine ten eleven twelve"
    source = f'''
"""Module {words}."""
class Fox:
    """Class {words}."""
    def jump(self, high: int = 3) -> None:
        """Method {words}."""
    def _hide(self):
        """Hidden {words}."""
    def brief(self):
        """Too short."""
'''
    (tmp_path / "zoo").mkdir()
    (tmp_path / "test").mkdir()
    (tmp_path / "zoo" / "__init__.py").write_text(source, encoding="utf-8")
    (tmp_path / "test" / "seen.py").write_text(source, encoding="utf-8")
    (tmp_path / "_private.py").write_text(source, encoding="utf-8")
    (tmp_path / "broken.py").write_text("def (:", encoding="utf-8")
    found = python_documents(tmp_path)
    assert [document.title for document in found] == ["zoo", "zoo.Fox", "zoo.Fox.jump"]
    assert found[2].text == f"jump(self, high: int=3) Method {words}."
