"""Tell the format of a path: from its name, and of a file that is there from its content."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import orjson

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.evaluating.formats.grades import grade_of
from opensearch_funnel.evaluating.formats.ir_datasets_names import PREFIX
from opensearch_funnel.evaluating.formats.quepid import is_quepid_header

Format = Literal[
    "beir", "trec", "trec-run", "quepid", "workbench", "workbench-queries", "ir-datasets"
]
FORMATS: tuple[Format, ...] = get_args(Format)
WRITABLE: tuple[Format, ...] = tuple(name for name in FORMATS if name != "ir-datasets")
WHOLE_GRADES: frozenset[Format] = frozenset({"beir", "trec"})
"""Formats whose grades are whole numbers."""

_QRELS_COLUMNS = 4
_RUN_COLUMNS = 6
_BY_SUFFIX: dict[str, Format] = {
    "": "beir",
    ".csv": "quepid",
    ".json": "workbench",
    ".ndjson": "workbench-queries",
    ".jsonl": "workbench-queries",
    ".qrels": "trec",
    ".qrel": "trec",
    ".run": "trec-run",
}


@dataclass(frozen=True, slots=True)
class Detected:
    """A format and what says so."""

    format: Format
    reason: str


def format_of_source(name: str) -> Detected:
    """Tell the format of what is there.

    Raises:
        InputError: nothing is there, or neither name nor content tell.
    """
    path = Path(name)
    if name.startswith(PREFIX):
        return Detected("ir-datasets", f"the name begins with {PREFIX}")
    if path.is_dir():
        if any((path / queries).is_file() for queries in ("queries.jsonl", "queries.jsonl.gz")):
            return Detected("beir", "a folder with queries.jsonl")
        raise InputError(
            f"{path} has no queries.jsonl: name a file, or a folder in the BEIR layout"
        )
    first = next((text for _, text in numbered_lines(path) if text.strip()), "")
    found = _of_json(path, first) if first.lstrip().startswith("{") else None
    # An id may begin with a brace, too.
    found = found or _of_line(first)
    if first.split("\t") == ["query-id", "corpus-id", "score"]:
        raise InputError(f"{path} is a part of a BEIR folder: name the folder, and its --split")
    if found is None:
        raise InputError(
            f"{path}: neither name nor content tell the format: give --from-format "
            f"{'|'.join(FORMATS)}"
        )
    return found


def format_of_target(path: Path, *, judged: bool = True) -> Detected:
    """Tell the format of a path to write to, from its name.

    Args:
        path: where it will be.
        judged: whether there are judgments to write, or queries alone.

    Raises:
        InputError: the name does not tell.

    Example:
        >>> format_of_target(Path("ratings.csv")).format, format_of_target(Path("set")).format
        ('quepid', 'beir')
    """
    found: Format | None = "beir" if path.is_dir() else _BY_SUFFIX.get(path.suffix.lower())
    if found is None:
        raise InputError(
            f"{path}: the name does not tell the format: give --to-format {'|'.join(WRITABLE)}"
        )
    if found == "workbench" and not judged:
        return Detected("workbench-queries", f"queries alone, and the name ends with {path.suffix}")
    if found == "beir":
        return Detected(found, "a folder")
    return Detected(found, f"the name ends with {path.suffix}")


def _of_line(line: str) -> Detected | None:
    if is_quepid_header(line):
        return Detected("quepid", "the header has query, docid and rating")
    columns = line.split()
    if len(columns) == _RUN_COLUMNS and grade_of(columns[3]) is not None:
        return Detected("trec-run", "six columns, the fourth a rank")
    if len(columns) == _QRELS_COLUMNS and (
        columns[1] in {"0", "Q0"} or grade_of(columns[3]) is not None
    ):
        return Detected("trec", "four columns")
    return None


def _of_json(path: Path, first: str) -> Detected | None:
    try:
        body = orjson.loads(first)
    except orjson.JSONDecodeError:
        body = None
    if isinstance(body, dict) and "queryText" in body:
        return Detected("workbench-queries", "one object with queryText a line")
    # A whole file is one value: its keys are near the start, or wrapped by an answer of the API.
    for _, line in numbered_lines(path):
        if '"judgmentRatings"' in line:
            return Detected("workbench", "it has judgmentRatings")
        if '"querySetQueries"' in line:
            return Detected("workbench-queries", "it has querySetQueries")
    return None
