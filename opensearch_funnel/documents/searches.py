"""Read a user's own searches out of a file: bodies, a slow log of the cluster, or plain texts.

The first line that is not empty says which of these a file is:

* ``bodies``: one search body as JSON a line;
* ``msearch``: the body of an ``_msearch`` request, a header and a search body by turns;
* ``slow log``: what the cluster writes into ``*_index_search_slowlog.json`` or ``….log``. There
  one search is many lines, one for each shard and phase, and its body is the one that *ran*: a
  log of an index that has a funnel already shows hybrid queries;
* ``texts``: what was typed, one search a line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.lines import numbered_lines

SearchFormat = Literal["bodies", "msearch", "slow log", "texts"]
Body = dict[str, Any]
Line = tuple[int, str]

_SLOW_LOGS = frozenset({"index_search_slowlog", "search_request_slowlog"})
# [2026-11-21T15:28:58,806][TRACE][i.s.s.query              ] …
_LOG_LINE = re.compile(r"\[\d{4}-\d\d-\d\dT[^\]]*\]\[\w+ *\]\[(?P<logger>[^\]]*)")
_SEARCH_LOGGERS = frozenset(
    {
        "i.s.s.query",
        "i.s.s.fetch",
        "c.s.r.slowlog",
        "index.search.slowlog.query",
        "index.search.slowlog.fetch",
        "cluster.search.request.slowlog",
    }
)
"""Who writes slow searches; slow writes and traced tasks have a ``source[`` of their own."""
_SOURCE = re.compile(r", source\[")
_HEADER = frozenset(
    {
        "index",
        "indices",
        "search_type",
        "preference",
        "routing",
        "request_cache",
        "expand_wildcards",
        "ignore_unavailable",
        "ignore_throttled",
        "allow_no_indices",
        "allow_partial_search_results",
        "cancel_after_time_interval",
        "ccs_minimize_roundtrips",
    }
)
_DECODER = json.JSONDecoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSearch:
    """One search of a file; what is there several times is one.

    Attributes:
        line: where it is first, from 1.
        body: as the file has it.
        times: how many lines hold the same body.
    """

    line: int
    body: Body
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSearches:
    """The searches of a file.

    Attributes:
        format: what the file was read as.
        searches: every one that differs from the others, in the order of the file.
        other_lines: lines of a log that are about something else.
    """

    format: SearchFormat
    searches: Sequence[RecordedSearch]
    other_lines: int = 0


def read_searches(path: Path, *, as_body: Callable[[str], Body]) -> RecordedSearches:
    """Read the searches of a file, plain or ``.gz``.

    Args:
        path: the file.
        as_body: makes a body of what was typed, for a file of plain texts.

    Raises:
        InputError: the file cannot be read, a line of it is broken, or no search is in it. The
            message begins with file and line.
    """
    lines = [(number, text) for number, text in numbered_lines(path) if text.strip()]
    if not lines:
        raise InputError(f"{path} is empty: give searches, one a line")
    found, other_lines = _READERS[chosen := _format(lines[0][1])](path, lines, as_body)
    first: dict[str, RecordedSearch] = {}
    for search in found:
        key = json.dumps(search.body, sort_keys=True)
        seen = first.get(key)
        first[key] = search if seen is None else replace(seen, times=seen.times + 1)
    if not first:
        raise InputError(f"{path} has no search in it: is it a slow log of searches?")
    return RecordedSearches(format=chosen, searches=list(first.values()), other_lines=other_lines)


def _format(first_line: str) -> SearchFormat:
    if _LOG_LINE.match(first_line):
        return "slow log"
    if not first_line.lstrip().startswith("{"):
        return "texts"
    try:
        first = json.loads(first_line)
    except ValueError:
        # The reader of bodies says what is wrong with it, and where.
        return "bodies"
    if "type" in first and "component" in first:
        return "slow log"
    return "msearch" if first.keys() <= _HEADER else "bodies"


_Found = tuple[Sequence[RecordedSearch], int]


def _read_bodies(path: Path, lines: Sequence[Line], _as_body: Callable[[str], Body]) -> _Found:
    return [RecordedSearch(line=n, body=_object(text, path=path, line=n)) for n, text in lines], 0


def _read_msearch(path: Path, lines: Sequence[Line], _as_body: Callable[[str], Body]) -> _Found:
    found: list[RecordedSearch] = []
    for place in range(0, len(lines), 2):
        number, text = lines[place]
        header = _object(text, path=path, line=number)
        if unknown := sorted(header.keys() - _HEADER):
            raise InputError(
                f"{path}:{number}: {unknown[0]!r} does not belong into a header of _msearch: the "
                "file starts with a header, so every other line has to be one"
            )
        if place + 1 == len(lines):
            raise InputError(f"{path}:{number}: a header of _msearch without a body behind it")
        number, text = lines[place + 1]
        found.append(RecordedSearch(line=number, body=_object(text, path=path, line=number)))
    return found, 0


def _read_texts(_path: Path, lines: Sequence[Line], as_body: Callable[[str], Body]) -> _Found:
    return [RecordedSearch(line=n, body=as_body(text.strip())) for n, text in lines], 0


def _read_slow_log(path: Path, lines: Sequence[Line], _as_body: Callable[[str], Body]) -> _Found:
    in_json = lines[0][1].lstrip().startswith("{")
    entries = _json_entries if in_json else _text_entries
    found = list(entries(path, lines))
    return found, len(lines) - len(found)


_READERS: Mapping[SearchFormat, Callable[[Path, Sequence[Line], Callable[[str], Body]], _Found]] = {
    "bodies": _read_bodies,
    "msearch": _read_msearch,
    "slow log": _read_slow_log,
    "texts": _read_texts,
}


def _json_entries(path: Path, lines: Sequence[Line]) -> Iterator[RecordedSearch]:
    """Read the JSON form: the source is in it as a text whose marks are escaped twice."""
    for number, text in lines:
        entry = _object(text, path=path, line=number)
        source = entry.get("source")
        if entry.get("type") not in _SLOW_LOGS or source is None:
            continue
        try:
            body = json.loads(json.loads(f'"{source}"'))
        except (ValueError, RecursionError) as error:
            raise _broken(path, number, error) from error
        yield RecordedSearch(line=number, body=_as_object(body, path=path, line=number))


def _text_entries(path: Path, lines: Sequence[Line]) -> Iterator[RecordedSearch]:
    """Read the text form: behind ``source[`` comes JSON, which may hold brackets of its own."""
    for number, text in lines:
        written = _LOG_LINE.match(text)
        if written is None or written["logger"].strip() not in _SEARCH_LOGGERS:
            continue
        start = _SOURCE.search(text, written.end())
        if start is None:
            continue
        if text.startswith("]", start.end()):
            # A search without a body.
            yield RecordedSearch(line=number, body={})
            continue
        try:
            body, end = _DECODER.raw_decode(text, start.end())
        except (ValueError, RecursionError) as error:
            raise _broken(path, number, error) from error
        if not text.startswith("]", end):
            raise InputError(f"{path}:{number}: the source of this entry has no end: was it cut?")
        yield RecordedSearch(line=number, body=_as_object(body, path=path, line=number))


def _object(text: str, *, path: Path, line: int) -> Body:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _broken(path, line, error) from error
    return _as_object(content, path=path, line=line)


def _as_object(content: Any, *, path: Path, line: int) -> Body:
    if not isinstance(content, dict):
        raise InputError(f"{path}:{line}: a search is a JSON object, not {content!r:.40}")
    return content


def _broken(path: Path, line: int, error: Exception) -> InputError:
    return InputError(f"{path}:{line}: not JSON ({error}): mend the line or take it out")
