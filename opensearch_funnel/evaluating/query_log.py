"""What people searched and how often, out of a log: UBI, a table with counts, or plain text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.documents.objects import Object, read_objects
from opensearch_funnel.evaluating.formats.findings import Finding, Findings, Kind
from opensearch_funnel.training.clicks import same_query

_UBI_INDEX = "ubi_queries"


@dataclass(frozen=True, slots=True)
class LoggedQuery:
    """One query of a log.

    Attributes:
        text: the spelling that was typed most; of equal ones the first by the alphabet.
        count: how often any spelling of it was asked: capitals and blanks make no difference.
    """

    text: str
    count: int


@dataclass(frozen=True, slots=True)
class QueryLog:
    """The queries of a log, most frequent first, and what is wrong with the file."""

    queries: tuple[LoggedQuery, ...]
    findings: tuple[Finding, ...]


def read_query_log(path: Path) -> QueryLog:
    """Read a log.

    Args:
        path: an export of the UBI index ``ubi_queries`` as ndjson, with or without the lines of a
            bulk request (other indices' documents in it are passed over); or text, a query a
            line, with a tab and a count behind it or without, where a line ``query``, tab,
            ``count`` may stand first.

    Raises:
        InputError: the file is missing or broken, by file and line, or has no query.
    """
    findings = Findings()
    first = next((text for _, text in numbered_lines(path) if text.strip()), "")
    entries = _ubi_entries(path) if first.lstrip().startswith("{") else _text_entries(path)
    spellings: dict[str, Counter[str]] = {}
    for number, text, count in entries:
        if not text.strip():
            findings.add(Kind.NO_QUERY, repr(text), line=number)
            continue
        spellings.setdefault(same_query(text), Counter())[text.strip()] += count
    if not spellings:
        raise InputError(f"{path} has no query in it: check that it is the right file")
    queries = [
        LoggedQuery(min(found, key=lambda text: (-found[text], text)), found.total())
        for found in spellings.values()
    ]
    queries.sort(key=lambda query: (-query.count, query.text))
    return QueryLog(tuple(queries), findings.all())


def _ubi_entries(path: Path) -> Iterator[tuple[int, str, int]]:
    index = _UBI_INDEX
    for number, line in read_objects(path):
        if (named := _action_index(line)) is not None:
            index = named
            continue
        source = line.get("_source", line)
        index = str(line.get("_index", index))
        if index != _UBI_INDEX or not isinstance(source, dict):
            continue
        text = source.get("user_query")
        if text is not None and not isinstance(text, str):
            raise InputError(f"{path}:{number}: user_query must be text")
        if "action_name" not in source:
            yield number, text or "", 1


def _action_index(line: Object) -> str | None:
    """Return the index that a bulk request's action names, if the line is one."""
    action = line.get("index") or line.get("create")
    if len(line) != 1 or not isinstance(action, dict):
        return None
    return str(action.get("_index", _UBI_INDEX))


def _text_entries(path: Path) -> Iterator[tuple[int, str, int]]:
    for number, line in numbered_lines(path):
        text, tab, given = line.rpartition("\t")
        if not tab:
            yield number, line, 1
        elif given.strip().isdecimal():
            yield number, text, int(given)
        elif number > 1:
            raise InputError(f"{path}:{number}: expected query, a tab and how often it was asked")
