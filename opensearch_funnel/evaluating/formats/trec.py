"""TREC qrels: query id, 0, document id, grade; the queries' texts are in a file beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.documents.objects import read_objects
from opensearch_funnel.evaluating.formats.findings import Findings, Kind
from opensearch_funnel.evaluating.formats.grades import plain
from opensearch_funnel.evaluating.formats.model import Collected, Judgments, ReadJudgments

QUERIES_FILE = "queries.tsv"
"""Where the texts are looked for and written: query id, a tab, text; beside the qrels."""
_COLUMNS = 4


def read_trec(path: Path, *, queries: Path | None = None) -> ReadJudgments:
    """Read judgments and the texts of their queries.

    Args:
        path: four columns with white space between.
        queries: id and text with a tab between, or ``.jsonl`` with ``_id`` and ``text``; if not
            given, a ``queries.tsv`` beside the judgments where there is one.

    Raises:
        InputError: a file is missing or broken, by file and line.
    """
    beside = path.with_name(QUERIES_FILE)
    texts = queries or (beside if beside.is_file() else None)
    collected = Collected(Findings())
    if texts is not None:
        for number, query_id, text in query_texts(texts):
            if query_id in collected:
                collected.findings.add(Kind.REPEATED_QUERY, f"query {query_id!r}", line=number)
            collected.query(query_id, text)
    for number, line in numbered_lines(path):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != _COLUMNS:
            raise InputError(
                f"{path}:{number}: {len(columns)} columns; expected query id, 0, document id, grade"
            )
        query_id, iteration, doc_id, given = columns
        if iteration not in ("0", "Q0"):
            collected.findings.add(Kind.NOT_KEPT, f"iteration {iteration!r}", line=number)
        if query_id not in collected:
            collected.query(query_id, None)
        collected.decimal(given, line=number)
        collected.judge(query_id, doc_id, given, line=number)
    return collected.read()


def query_texts(path: Path) -> Iterator[tuple[int, str, str]]:
    """Read the texts of queries.

    Yields:
        The line's number, the query's id and its text.

    Raises:
        InputError: the file is missing or a line has another shape.
    """
    if path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        for number, entry in read_objects(path):
            query_id, text = entry.get("_id"), entry.get("text")
            if not isinstance(query_id, str | int) or not isinstance(text, str):
                raise InputError(f"{path}:{number}: expected _id and text")
            yield number, str(query_id), text
        return
    for number, line in numbered_lines(path):
        if not line.strip():
            continue
        query_id, tab, text = line.partition("\t")
        if not tab:
            raise InputError(f"{path}:{number}: expected query id, a tab and the query's text")
        yield number, query_id, text


def trec_files(judgments: Judgments, path: Path) -> dict[Path, str]:
    """Return the qrels and, where there are texts, the file with them beside it.

    Args:
        judgments: with whole grades.
        path: of the qrels.

    Raises:
        InputError: an id has white space in it, or a text a line's end.
    """
    rows = "".join(
        f"{_checked(query.query_id)} 0 {_checked(doc_id)} {plain(grade)}\n"
        for query in judgments.queries
        for doc_id, grade in query.grades.items()
    )
    if all(query.text is None and query.grades for query in judgments.queries):
        return {path: rows}
    return {path: rows, path.with_name(QUERIES_FILE): _texts(judgments)}


def _texts(judgments: Judgments) -> str:
    lines = []
    for query in judgments.queries:
        text = query.text or ""
        if "\n" in text or "\r" in text:
            raise InputError(
                f"the text of query {query.query_id!r} has a line's end, which {QUERIES_FILE} "
                "cannot hold: choose another format, such as beir"
            )
        lines.append(f"{_checked(query.query_id)}\t{text}\n")
    return "".join(lines)


def _checked(name: str) -> str:
    if name.split() != [name]:
        raise InputError(f"id {name!r} is empty or has white space, which TREC files cannot hold")
    return name
