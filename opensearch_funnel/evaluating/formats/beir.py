"""A folder in the BEIR layout: ``queries.jsonl`` and ``qrels/<split>.tsv``, whole grades."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.documents.objects import read_objects
from opensearch_funnel.evaluating.formats.findings import Findings, Kind
from opensearch_funnel.evaluating.formats.grades import grade_of, plain
from opensearch_funnel.evaluating.formats.model import (
    Collected,
    JudgedQuery,
    Judgments,
    ReadJudgments,
)

_HEADER = ("query-id", "corpus-id", "score")
_NAMES = "query-id, corpus-id and score"
_BREAKS = "\t\n\r"


def read_beir(folder: Path, *, split: str = "test") -> ReadJudgments:
    """Read one split of a folder.

    A query that only another split judges is left out; one that none judges stays.

    Raises:
        InputError: a file is missing or broken, by file and line.
    """
    collected = Collected(Findings())
    for number, query_id, text, line in query_rows(folder):
        if query_id in collected:
            collected.findings.add(Kind.REPEATED_QUERY, f"query {query_id!r}", line=number)
        collected.query(query_id, text, fields=_fields(line))
    qrels = qrels_file(folder, split=split)
    judged = set()
    for number, query_id, doc_id, given in qrels_rows(qrels):
        judged.add(query_id)
        if query_id not in collected:
            collected.query(query_id, None)
        collected.decimal(given, line=number)
        collected.judge(query_id, doc_id, given, line=number)
    others = {
        query_id
        for query_id in judged_elsewhere(folder, split=split)
        if query_id not in judged and query_id in collected
    }
    for query_id in sorted(others):
        collected.findings.add(Kind.OTHER_SPLIT, f"query {query_id!r}")
    collected.without(others)
    return collected.read()


def query_rows(folder: Path) -> Iterator[tuple[int, str, str, dict[str, Any]]]:
    """Read the queries of a folder: the line's number, id, text, and the whole line.

    Raises:
        InputError: the file is missing or a line has another shape.
    """
    path = queries_file(folder)
    for number, line in read_objects(path):
        query_id, text = line.get("_id"), line.get("text")
        if not isinstance(query_id, str | int) or not isinstance(text, str):
            raise InputError(f"{path}:{number}: expected _id and text")
        yield number, str(query_id), text, line


def judged_elsewhere(folder: Path, *, split: str) -> set[str]:
    """Return the ids of the queries that the other splits of a folder judge.

    Nothing is measured by these: a line that is broken is told when its own split is read.
    """
    return {
        text.partition("\t")[0]
        for path in (folder / "qrels").glob("*.tsv")
        if path.stem != split
        for number, text in numbered_lines(path)
        if number > 1
    }


def qrels_rows(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Read query id, document id and grade, each as it is written, with the line's number.

    Raises:
        InputError: the header line is missing or a line has another shape.
    """
    for number, text in numbered_lines(path):
        if not text.strip():
            continue
        columns = text.split("\t")
        if len(columns) != len(_HEADER):
            raise InputError(
                f"{path}:{number}: {len(columns)} columns; expected {_NAMES}, separated by tabs"
            )
        if number > 1:
            yield number, columns[0], columns[1], columns[2]
        elif grade_of(columns[2]) is not None:
            raise InputError(f"{path}:1: expected a header line: {_NAMES}")


def queries_file(folder: Path) -> Path:
    """Return the file with the queries of a folder.

    Raises:
        InputError: there is none.
    """
    for name in ("queries.jsonl", "queries.jsonl.gz"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder / 'queries.jsonl'} is missing; it holds _id and text of each query")


def qrels_file(folder: Path, *, split: str) -> Path:
    """Return the file with the judgments of a split.

    Raises:
        InputError: there is none; names those that are there.
    """
    path = folder / "qrels" / f"{split}.tsv"
    if not path.is_file():
        there = sorted(found.stem for found in (folder / "qrels").glob("*.tsv"))
        hint = f"there are: {', '.join(there)} (--split)" if there else "it holds the judgments"
        raise InputError(f"{path} is missing; {hint}")
    return path


def beir_files(judgments: Judgments, folder: Path, *, split: str = "test") -> dict[Path, str]:
    """Return the files of a folder.

    Args:
        judgments: with whole grades.
        folder: where the files go.
        split: the name of the judgments.

    Raises:
        InputError: a query has no text, or an id has a tab or a line's end in it.
    """
    queries, qrels = [], ["\t".join(_HEADER)]
    for query in judgments.queries:
        queries.append(orjson.dumps(_query_line(query)).decode())
        for doc_id, grade in query.grades.items():
            row = (_checked(query.query_id), _checked(doc_id), plain(grade))
            qrels.append("\t".join(row))
    return {
        folder / "queries.jsonl": "".join(f"{line}\n" for line in queries),
        folder / "qrels" / f"{split}.tsv": "".join(f"{line}\n" for line in qrels),
    }


def _query_line(query: JudgedQuery) -> dict[str, Any]:
    if query.text is None:
        raise InputError(
            f"query {query.query_id!r} has no text, which queries.jsonl needs: name the file "
            "with the texts (--queries)"
        )
    line = {"_id": query.query_id, "text": query.text}
    return {**line, "metadata": dict(query.fields)} if query.fields else line


def _fields(line: dict[str, Any]) -> dict[str, Any]:
    fields = {name: value for name, value in line.items() if name not in {"_id", "text"}}
    metadata = fields.get("metadata")
    if isinstance(metadata, dict):
        return {**{n: v for n, v in fields.items() if n != "metadata"}, **metadata}
    return {name: value for name, value in fields.items() if value is not None}


def _checked(name: str) -> str:
    if not name.strip() or any(mark in name for mark in _BREAKS):
        raise InputError(
            f"id {name!r} is empty or has a tab or a line's end, which BEIR cannot hold"
        )
    return name
