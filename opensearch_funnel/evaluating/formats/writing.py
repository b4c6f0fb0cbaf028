"""The model into any format, saying what that format cannot hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.beir import beir_files
from opensearch_funnel.evaluating.formats.detecting import WHOLE_GRADES, WRITABLE, Format
from opensearch_funnel.evaluating.formats.findings import Finding, Findings, Kind
from opensearch_funnel.evaluating.formats.grades import is_whole, plain, rounded
from opensearch_funnel.evaluating.formats.model import JudgedQuery, Judgments
from opensearch_funnel.evaluating.formats.quepid import quepid_files
from opensearch_funnel.evaluating.formats.trec import trec_files
from opensearch_funnel.evaluating.formats.workbench import workbench_files
from opensearch_funnel.evaluating.formats.workbench_queries import (
    is_ndjson,
    workbench_queries_files,
)

_KNOWN_BY_TEXT: frozenset[Format] = frozenset({"quepid", "workbench", "workbench-queries"})
_HOLD_FIELDS: frozenset[Format] = frozenset({"beir", "workbench-queries"})


@dataclass(frozen=True, slots=True)
class Written:
    """Files that are not on disk yet, and what they do not hold."""

    files: Mapping[Path, str]
    findings: tuple[Finding, ...]


def judgments_files(
    judgments: Judgments,
    path: Path,
    *,
    format: Format,  # noqa: A002 - the option's name
    split: str = "test",
    rounding: bool = False,
) -> Written:
    """Write judgments in a format, into memory.

    Args:
        judgments: what to write.
        path: where it will be.
        format: one of ``WRITABLE`` but ``trec-run``.
        split: of a BEIR folder.
        rounding: whether grades are rounded where the format has whole numbers only.

    Raises:
        InputError: the format cannot hold a query, an id or a grade.
    """
    findings = Findings()
    if format in WHOLE_GRADES:
        judgments = _whole(judgments, format=format, rounding=rounding, findings=findings)
    if format in _KNOWN_BY_TEXT:
        judgments = _by_text(judgments, findings=findings)
    named = format == "workbench" or (format == "workbench-queries" and not is_ndjson(path))
    if judgments.name and not named:
        findings.add(Kind.NAME_LOST, repr(judgments.name))
    for query in judgments.queries:
        if query.fields and format not in _HOLD_FIELDS:
            findings.add(Kind.FIELDS_LOST, f"query {query.query_id!r}: {', '.join(query.fields)}")
        if format == "workbench-queries":
            for doc_id in query.grades:
                example = f"document {doc_id!r} of query {query.text!r}"
                findings.add(Kind.JUDGMENTS_LOST, example)
    return Written(_files(judgments, path, format=format, split=split), findings.all())


def save(files: Mapping[Path, str], *, replacing: bool = False) -> None:
    """Put files on disk, each of them whole or not at all.

    Raises:
        InputError: one is there already, unless it may be replaced, or cannot be written.
    """
    there = [str(path) for path in files if path.exists()]
    if there and not replacing:
        raise InputError(f"{', '.join(there)} is there already: name another, or give --force")
    for path, text in files.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _put(path, text)
        except OSError as error:
            raise InputError(f"{path} cannot be written: {error.strerror}") from error


def _put(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text, encoding="utf-8", newline="")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _files(judgments: Judgments, path: Path, *, format: Format, split: str) -> dict[Path, str]:  # noqa: A002
    match format:
        case "beir":
            return beir_files(judgments, path, split=split)
        case "trec":
            return trec_files(judgments, path)
        case "quepid":
            return quepid_files(judgments, path)
        case "workbench":
            return workbench_files(judgments, path)
        case "workbench-queries":
            return workbench_queries_files(judgments, path)
        case _:
            names = ", ".join(name for name in WRITABLE if name != "trec-run")
            raise InputError(f"judgments cannot be written as {format}; there are: {names}")


def _whole(
    judgments: Judgments,
    *,
    format: Format,  # noqa: A002 - the option's name
    rounding: bool,
    findings: Findings,
) -> Judgments:
    broken = [
        f"{plain(grade)} for document {doc_id!r} of query {query.query_id!r}"
        for query in judgments.queries
        for doc_id, grade in query.grades.items()
        if not is_whole(grade)
    ]
    if broken and not rounding:
        raise InputError(
            f"{len(broken)} grades are no whole numbers, such as {broken[0]}, and {format} holds "
            "no others: --round rounds them"
        )
    for example in broken:
        findings.add(Kind.ROUNDED_GRADE, example)
    queries = tuple(
        replace(query, grades={doc_id: rounded(grade) for doc_id, grade in query.grades.items()})
        for query in judgments.queries
    )
    return replace(judgments, queries=queries) if broken else judgments


def _by_text(judgments: Judgments, *, findings: Findings) -> Judgments:
    """Put queries of one text together: these formats know a query by nothing else."""
    merged: dict[str | None, JudgedQuery] = {}
    for query in judgments.queries:
        if not judgments.made_ids:
            findings.add(Kind.IDS_LOST, repr(query.query_id))
        first = merged.get(query.text)
        if first is None or query.text is None:
            merged[query.text] = query
            continue
        example = f"{query.query_id!r} with {first.query_id!r}: {query.text!r:.60}"
        findings.add(Kind.SAME_TEXT, example)
        grades = _united(first, query)
        merged[query.text] = replace(first, grades=grades, fields={**query.fields, **first.fields})
    return replace(judgments, queries=tuple(merged.values()))


def _united(first: JudgedQuery, second: JudgedQuery) -> dict[str, Decimal]:
    for doc_id, grade in second.grades.items():
        if first.grades.get(doc_id, grade) != grade:
            raise InputError(
                f"queries {first.query_id!r} and {second.query_id!r} have the same text and give "
                f"document {doc_id!r} different grades: this format knows queries by their text"
            )
    return {**second.grades, **first.grades}
