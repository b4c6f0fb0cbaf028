"""The collections that the study makes."""

from __future__ import annotations

import ast
import json
from pathlib import Path

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


PACKAGE = """Package: {name}
Description-md5: 0
Description-en: {synopsis}
 This package {text}
 .
 It has a second paragraph, too.
"""


def test_packages_have_a_synopsis_and_a_description(tmp_path: Path) -> None:
    long = " ".join(f"word{number}" for number in range(30))
    packages = [
        PACKAGE.format(name="lamp", synopsis="lights a room", text=long),
        PACKAGE.format(name="lamp-data", synopsis="data of a lamp", text=long),
        PACKAGE.format(name="lamp-doc", synopsis="Lights a room", text=f"is written on {long}"),
        PACKAGE.format(name="short", synopsis="says little", text="is short"),
        PACKAGE.format(name="apple", synopsis="a fruit", text=f"grows {long}"),
    ]
    lists = tmp_path / "debian_dists_x_main_i18n_Translation-en"
    lists.write_text("\n".join(packages), encoding="utf-8")
    found = descriptions(tmp_path)
    assert [(pair.doc_id, pair.query) for pair in found] == [
        ("apple", "a fruit"),
        ("lamp", "lights a room"),
    ]
    assert found[1].text == f"This package {long} It has a second paragraph, too."
    assert descriptions(tmp_path / "nowhere") == []
