"""TREC runs: query id, Q0, document id, rank, score, tag."""

from __future__ import annotations

from math import isfinite
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.documents.lines import numbered_lines
from opensearch_funnel.evaluating.formats.findings import Findings, Kind
from opensearch_funnel.evaluating.formats.model import RankedRun, ReadRun, ScoredDocument

_COLUMNS = 6


def read_run(path: Path) -> ReadRun:
    """Read a run; a ranking is in the order of its scores, as trec_eval reads it.

    Equal scores stay in the order of the file.

    Raises:
        InputError: the file is missing, or a line has another shape.
    """
    findings = Findings()
    found: dict[str, dict[str, float]] = {}
    tag = ""
    for number, line in numbered_lines(path):
        columns = line.split()
        if not columns:
            continue
        if len(columns) != _COLUMNS:
            raise InputError(
                f"{path}:{number}: {len(columns)} columns; expected query id, Q0, document id, "
                "rank, score, tag"
            )
        query_id, _, doc_id, _, given, tag = columns
        ranking = found.setdefault(query_id, {})
        score = _score(given)
        where = f"document {doc_id!r} of query {query_id!r}"
        if score is None:
            findings.add(Kind.RUN_SCORE, f"{given} for {where}", line=number)
        elif doc_id in ranking:
            findings.add(Kind.RUN_REPEATED, where, line=number)
        else:
            if ranking and score > next(reversed(ranking.values())):
                findings.add(Kind.RUN_ORDER, where, line=number)
            ranking[doc_id] = score
    rankings = {query_id: _ordered(ranking) for query_id, ranking in found.items()}
    return ReadRun(RankedRun(rankings=rankings, tag=tag or "run"), findings.all())


def run_files(run: RankedRun, path: Path) -> dict[Path, str]:
    """Return the run as one file, ranks counted from 1.

    Raises:
        InputError: an id has white space in it.
    """
    lines = []
    for query_id, ranking in run.rankings.items():
        for rank, document in enumerate(ranking, start=1):
            row = (query_id, "Q0", document.doc_id, str(rank), repr(document.score), run.tag)
            if any(cell.split() != [cell] for cell in row):
                raise InputError(f"{row!r} has an empty id or white space, which a run cannot hold")
            lines.append(" ".join(row) + "\n")
    return {path: "".join(lines)}


def _score(text: str) -> float | None:
    try:
        score = float(text)
    except ValueError:
        return None
    return score if isfinite(score) else None


def _ordered(ranking: dict[str, float]) -> tuple[ScoredDocument, ...]:
    # sorted() keeps the order of equal scores.
    best_first = sorted(ranking.items(), key=lambda entry: -entry[1])
    return tuple(ScoredDocument(doc_id, score) for doc_id, score in best_first)
