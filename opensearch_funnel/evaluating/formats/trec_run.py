"""TREC runs: query id, Q0, document id, rank, score, tag; read in trec_eval's order."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.evaluating.formats.findings import Findings, Kind
from opensearch_funnel.evaluating.formats.model import RankedRun, ReadRun, ScoredDocument
from opensearch_funnel.evaluating.measures import Run
from opensearch_funnel.evaluating.whole_files import write_whole

_COLUMNS = 6
_NAMES = "query id, Q0, document id, rank, score, tag"
# trec_eval splits at the blanks of the C locale; any other blank may be part of an id.
_BLANK = re.compile(r"\s", re.ASCII)
_BLANKS = re.compile(r"[ \t]+")
_LARGEST = float(np.finfo(np.float32).max)
_BROKEN = (Kind.RUN_SCORE, Kind.RUN_REPEATED)


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    doc_id: str
    rank: str
    score: float


def read_run(path: Path) -> ReadRun:
    """Read a run, plain or gzipped; a ranking is in trec_eval's order, which looks at no rank.

    What is left out or stands elsewhere than its rank says is told.

    Raises:
        InputError: the file is missing or empty, or a line has another shape; says which line.
    """
    findings = Findings()
    found: dict[str, dict[str, _Line]] = {}
    tag = ""
    for number, text in numbered_lines(path):
        columns = [column for column in _BLANKS.split(text) if column]
        if not columns:
            continue
        if len(columns) != _COLUMNS:
            raise InputError(f"{path}:{number}: {len(columns)} columns; a TREC run has {_NAMES}")
        query_id, _, doc_id, rank, given, name = columns
        tag = tag or name
        if name != tag:
            findings.add(Kind.NOT_KEPT, f"another name of the run, {name!r}", line=number)
        lines = found.setdefault(query_id, {})
        score = _score(given)
        where = f"document {doc_id!r} of query {query_id!r}"
        if score is None:
            findings.add(Kind.RUN_SCORE, f"{given} for {where}", line=number)
        elif doc_id in lines:
            findings.add(Kind.RUN_REPEATED, where, line=number)
        else:
            lines[doc_id] = _Line(number, doc_id, rank, score)
    if not found:
        raise InputError(f"{path} has no rankings: check that it is the right file")
    for query_id, lines in found.items():
        _tell_order(query_id, list(lines.values()), findings=findings)
    rankings = {
        query_id: tuple(
            ScoredDocument(doc_id, lines[doc_id].score)
            for doc_id in ranked({one: line.score for one, line in lines.items()})
        )
        for query_id, lines in found.items()
    }
    return ReadRun(RankedRun(rankings=rankings, tag=tag or "run"), findings.all())


def read_measurable_run(path: Path) -> ReadRun:
    """Read a run that figures are computed of.

    Raises:
        InputError: as ``read_run``; or documents are ranked twice or have no score: whatever was
            left out, the figures would be those of another run.
    """
    read = read_run(path)
    broken = [str(finding) for finding in read.findings if finding.kind in _BROKEN]
    if broken:
        raise InputError(
            f"{path}: {' | '.join(broken)}. Nothing was measured: mend the file, or write what is "
            f"left of it: funnel judgments convert {path} whole.run"
        )
    return read


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


def run_files(run: RankedRun, path: Path) -> dict[Path, str]:
    """Return the run as one file, ranks counted from 1.

    Raises:
        InputError: an id is empty or has a blank, which such a file cannot hold.
    """
    lines = []
    for query_id, ranking in run.rankings.items():
        for rank, document in enumerate(ranking, start=1):
            for one in (query_id, document.doc_id, run.tag):
                if not one or _BLANK.search(one):
                    raise InputError(f"id {one!r} has a blank or is empty: no TREC run can hold it")
            lines.append(f"{query_id} Q0 {document.doc_id} {rank} {document.score!r} {run.tag}\n")
    return {path: "".join(lines)}


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
    files: dict[Path, str] = {}
    for name, run in runs.items():
        tag = _BLANK.sub("-", name)
        rankings = {
            query_id: tuple(ScoredDocument(one, 1 / rank) for rank, one in enumerate(ids, start=1))
            for query_id, ids in run.items()
        }
        files |= run_files(RankedRun(rankings=rankings, tag=tag), folder / f"{tag}.run")
    write_whole({path: text.encode() for path, text in files.items()})
    return list(files)


def _tell_order(query_id: str, lines: Sequence[_Line], *, findings: Findings) -> None:
    """Tell documents whose rank says something else than the order that they are read in."""
    numbered = all(line.rank.isascii() and line.rank.isdigit() for line in lines)
    by_rank = sorted(lines, key=lambda line: int(line.rank)) if numbered else lines
    for above, below in pairwise(by_rank):
        higher, lower = np.float32(above.score), np.float32(below.score)
        where = f"document {below.doc_id!r} of query {query_id!r}"
        if lower > higher:
            findings.add(Kind.RUN_ORDER, where, line=below.number)
        elif lower == higher and below.doc_id > above.doc_id:
            findings.add(Kind.RUN_TIE, where, line=below.number)


def _score(given: str) -> float | None:
    """Read a score; nothing for what trec_eval could not hold, and would order by chance."""
    try:
        score = float(given)
    except ValueError:
        return None
    return score if abs(score) <= _LARGEST else None
