"""Rankings in and out as TREC run files, the form that evaluators exchange them in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.evaluating.measures import Run
from opensearch_funnel.evaluating.whole_files import write_whole

_COLUMNS = 6
_NAMES = "query id, Q0, document id, rank, score and name of the run"
_BLANK = re.compile(r"\s", re.ASCII)
_LARGEST = float(np.finfo(np.float32).max)


def read_run(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a TREC run file, plain or gzipped, as trec_eval reads it: the ranks are not looked at.

    Args:
        path: lines of six columns with blanks between.

    Returns:
        The ranking of each query.

    Raises:
        InputError: the file is missing or empty, or a line has another shape, a score that is no
            number, or a document that its query had further up; says which line.
    """
    found: dict[str, dict[str, float]] = {}
    for number, text in numbered_lines(path):
        columns = [column for column in re.split(r"[ \t]+", text) if column]
        if not columns:
            continue
        if len(columns) != _COLUMNS:
            raise InputError(f"{path}:{number}: {len(columns)} columns; a TREC run has {_NAMES}")
        query_id, _, doc_id, _, given, _ = columns
        scores = found.setdefault(query_id, {})
        if doc_id in scores:
            raise InputError(
                f"{path}:{number}: document {doc_id!r} was ranked for query {query_id!r} further "
                "up: remove one of the two"
            )
        scores[doc_id] = _score(given, place=f"{path}:{number}")
    if not found:
        raise InputError(f"{path} has no rankings: check that it is the right file")
    return {query_id: ranked(scores) for query_id, scores in found.items()}


def ranked(scores: Mapping[str, float]) -> tuple[str, ...]:
    """Order documents as trec_eval does: by score in single precision, then by id, last first.

    Another order of equal scores would give other figures than everybody else's for the same file.

    Args:
        scores: by document.

    Example:
        >>> ranked({"a": 1.0, "b": 1.0 + 1e-12, "c": 2.0})
        ('c', 'b', 'a')
    """
    return tuple(sorted(scores, key=lambda doc_id: (np.float32(scores[doc_id]), doc_id))[::-1])


def write_runs(runs: Mapping[str, Run], folder: Path) -> list[Path]:
    """Write each system's rankings to ``<folder>/<system>.run``, all of them or none.

    Scores are 1/rank, which no reader can order otherwise. Blanks in a system's name become ``-``.

    Args:
        runs: rankings, by the system's name.
        folder: is made where it is not there.

    Returns:
        The files.

    Raises:
        InputError: an id has a blank, which such a file cannot hold, or a file cannot be written.
    """
    files: dict[Path, bytes] = {}
    for name, run in runs.items():
        tag = _BLANK.sub("-", name)
        files[folder / f"{tag}.run"] = _lines(run, tag=tag).encode()
    write_whole(files)
    return list(files)


def _lines(run: Run, *, tag: str) -> str:
    lines: list[str] = []
    for query_id, ranking in run.items():
        for rank, doc_id in enumerate(ranking, start=1):
            for one in (query_id, doc_id):
                if not one or _BLANK.search(one):
                    raise InputError(f"id {one!r} has a blank or is empty: no TREC run can hold it")
            lines.append(f"{query_id} Q0 {doc_id} {rank} {1 / rank!r} {tag}\n")
    return "".join(lines)


def _score(given: str, *, place: str) -> float:
    try:
        score = float(given)
    except ValueError:
        score = float("nan")
    # Not NaN, and not more than trec_eval can hold: both would be ordered by chance.
    if not abs(score) <= _LARGEST:
        raise InputError(f"{place}: score {given!r} is no finite number of single precision")
    return score
