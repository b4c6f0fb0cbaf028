"""The collections that the study makes."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from benchmarks.fusion_study.debian import descriptions
from benchmarks.fusion_study.kept_sets import Pair, bodies, write_pairs
from benchmarks.fusion_study.python_code import functions
from opensearch_funnel.evaluating.datasets import read_dataset


def test_pairs_are_a_data_set_and_the_same_each_time(tmp_path: Path) -> None:
    pairs = [Pair(doc_id=f"d{n}", query=f"query {n}", text=f"text {n}") for n in range(20)]
    for name in ("one", "other"):
        write_pairs(tmp_path / name, pairs, documents=10, queries=4)
    dataset = read_dataset(tmp_path / "one")
    assert (len(list(dataset.documents())), len(dataset.queries)) == (10, 4)
    for query in dataset.queries:
        [answer] = dataset.qrels[query.query_id]
        assert query.text == answer.replace("d", "query ")
    for file in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "other" / file).read_bytes()


def test_a_title_is_taken_off_its_text(tmp_path: Path) -> None:
    below = " ".join(["word"] * 30)
    rows = [
        {"_id": "a", "title": "Four words of title", "text": f"Four words of title {below}"},
        {"_id": "b", "title": "Short", "text": below},
    ]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert bodies(corpus) == [Pair(doc_id="a", query="Four words of title", text=below)]


def test_functions_come_without_what_describes_them() -> None:
    found = functions()
    assert len(found) > 1000
    assert len({pair.query.lower() for pair in found}) == len(found)
    read = 0
    for pair in found[::25]:
        assert not pair.title
        try:
            [function] = ast.parse(pair.text.strip()).body
        except (SyntaxError, ValueError):
            continue  # a method's lines are indented
        if isinstance(function, ast.FunctionDef):
            assert ast.get_docstring(function) is None
            read += 1
    assert read > 10


def test_packages_have_a_synopsis_and_a_description() -> None:
    found = descriptions()
    if not found:
        pytest.skip("this machine has no descriptions of packages")
    assert all(pair.query and len(pair.text.split()) > 25 for pair in found)
    assert len({pair.query.lower() for pair in found}) == len(found)
