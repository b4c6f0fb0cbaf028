"""Clicks of a search page as judgments: what people opened, and what they passed over.

A file is tab-separated text in UTF-8. Its first line names the columns, ``query``, ``document``,
``clicks`` and, if wanted, ``shows``; each further line says how often a document was clicked when
that query was asked, and how often it was shown. Lines with the same query and document add up, so
that the files of several days can be put behind one another (less their first lines).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.held_out import is_held_out
from opensearch_funnel.training.corpora import Judged

_COLUMNS = ("query", "document", "clicks", "shows")


def same_query(text: str) -> str:
    """Return what two spellings of a query have in common: its words, in small letters.

    Example:
        >>> same_query(" Green  Lantern ")
        'green lantern'
    """
    return " ".join(text.casefold().split())


def read_clicks(path: Path, *, least_clicks: int) -> list[Judged]:
    """Read a file of clicks as judged queries.

    A document with enough clicks is relevant. One that was shown and never clicked is rejected; so
    is one without clicks in a file without ``shows``, since it would not be listed otherwise. What
    was clicked less often is neither.

    Args:
        path: the file.
        least_clicks: from how many clicks on a document is relevant; at least 1.

    Returns:
        Queries that have a relevant document, by their text; a query's id is its ``same_query``.

    Raises:
        InputError: the file is missing, a line cannot be read, or no document has enough clicks.
    """
    clicks: dict[str, dict[str, int]] = {}
    spelling: dict[str, str] = {}
    for query, document, clicked, shown in _events(path):
        key = same_query(query)
        spelling.setdefault(key, " ".join(query.split()))
        if clicked or shown:
            of_query = clicks.setdefault(key, {})
            of_query[document] = of_query.get(document, 0) + clicked
    found = []
    for key, of_query in sorted(clicks.items()):
        relevant = tuple(doc for doc, count in of_query.items() if count >= least_clicks)
        rejected = tuple(doc for doc, count in of_query.items() if count == 0)
        if relevant:
            found.append(Judged(key, spelling[key], relevant, rejected))
    if not found:
        raise InputError(
            f"{path}: no document was clicked {least_clicks} times for one query: lower "
            "--least-clicks, or gather more clicks"
        )
    return found


def clicks_checksum(path: Path) -> str:
    """Return a short checksum of a file of clicks, which tells one from another.

    Raises:
        InputError: the file is missing.
    """
    _check_there(path)
    return sha256(path.read_bytes()).hexdigest()[:12]


def _check_there(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"{path} is missing: name a file of clicks")


def _events(path: Path) -> Iterator[tuple[str, str, int, int]]:
    """Give query, document, clicks and shows of each line; 1 for shows that are not said."""
    _check_there(path)
    columns: tuple[str, ...] = ()
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, start=1):
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise InputError(f"{path} line {number} is not UTF-8") from error
            values = tuple(value.strip() for value in line.split("\t"))
            if number == 1:
                columns = values
                _check_header(path, columns)
            elif line.strip():
                yield _event(values, columns=len(columns), where=f"{path} line {number}")
    _check_header(path, columns)  # an empty file


def _check_header(path: Path, columns: tuple[str, ...]) -> None:
    if columns not in (_COLUMNS, _COLUMNS[:-1]):
        raise InputError(
            f"{path} line 1: expected the columns {', '.join(_COLUMNS[:-1])} and perhaps "
            f"{_COLUMNS[-1]}, with tabs between them"
        )


def _event(values: tuple[str, ...], *, columns: int, where: str) -> tuple[str, str, int, int]:
    if len(values) != columns:
        raise InputError(
            f"{where}: expected {columns} columns with tabs between, not {len(values)}"
        )
    query, document, *counts = values
    if not query or not document:
        raise InputError(f"{where}: query or document is empty")
    for name, count in zip(_COLUMNS[2:], counts, strict=False):
        if not (count.isascii() and count.isdigit()):
            raise InputError(f"{where}: {name} is {count!r}, expected a whole number from 0 on")
    clicked, shown = (*map(int, counts), 1)[:2]
    return query, document, clicked, shown


def split_clicked(
    clicked: Iterable[Judged], *, trained: Iterable[str], kept: Iterable[str]
) -> tuple[list[Judged], list[Judged]]:
    """Divide clicked queries into those to train on and those to look at, a fifth of them.

    A query that has labels too stays on the side on which its labels are.

    Args:
        clicked: what ``read_clicks`` gives.
        trained: texts of labelled queries that are trained on.
        kept: texts of labelled queries that are not: clicks on them are not used at all.

    Returns:
        Queries to train on, and queries to look at.
    """
    ours, others = ({same_query(text) for text in texts} for texts in (trained, kept))
    free = [query for query in clicked if query.query_id not in others]
    looked_at = [q for q in free if q.query_id not in ours and is_held_out(q.query_id)]
    away = {query.query_id for query in looked_at}
    return [query for query in free if query.query_id not in away], looked_at


def with_clicks(labelled: Iterable[Judged], *, clicked: Iterable[Judged]) -> list[Judged]:
    """Put labels and clicks of the same query together; where they differ, the label counts.

    Args:
        labelled: queries that people judged.
        clicked: what ``read_clicks`` gives.

    Returns:
        The labelled queries, each with what clicks add to it, then those that were only clicked.
    """
    rest = {query.query_id: query for query in clicked}
    labelled = list(labelled)
    found = [_joined(query, rest.get(same_query(query.text))) for query in labelled]
    for query in labelled:
        rest.pop(same_query(query.text), None)
    return [*found, *rest.values()]


def _joined(label: Judged, clicks: Judged | None) -> Judged:
    if clicks is None:
        return label
    said = {*label.relevant, *label.rejected}
    relevant, rejected = (
        tuple(document for document in documents if document not in said)
        for documents in (clicks.relevant, clicks.rejected)
    )
    return Judged(
        label.query_id,
        label.text,
        (*label.relevant, *relevant),
        (*label.rejected, *rejected),
    )
