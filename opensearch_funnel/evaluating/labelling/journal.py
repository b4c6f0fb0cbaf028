"""Judgements on disk: each of them before the next is asked for, and none is ever rewritten.

A journal has a JSON object a line. It is only ever appended to, by one write that is flushed to
the disk. Where a pair stands twice, the last line counts: the judge came back to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.evaluating.formats.model import JudgedQuery, Judgments
from opensearch_funnel.evaluating.labelling.pool import Pair

PERSON = "person"
_SUFFIX = ".journal.ndjson"


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One line.

    Attributes:
        query_id: of the query.
        query: its text.
        doc_id: of the document.
        grade: what the judge gave; nothing where the pair was skipped.
        by: who judged: ``person``, or a model with its name and the prompt's fingerprint.
        at: when, in UTC.
        why: the judge's reason, where one was asked for.
    """

    query_id: str
    query: str
    doc_id: str
    grade: int | None
    by: str
    at: str
    why: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What tells its pair from others."""
        return self.query_id, self.doc_id


class Journal:
    """The judgements of one judge.

    Args:
        path: of the file, which need not be there yet.
        by: the judge.
        now: the time.

    Raises:
        InputError: the file cannot be read, or another judge wrote it.

    Attributes:
        decisions: the last one on each pair, in the order in which they were made.
    """

    def __init__(self, path: Path, *, by: str, now: Callable[[], datetime] | None = None) -> None:
        self.path = path
        self.by = by
        self._now = now or (lambda: datetime.now(UTC))
        self.decisions = read_journal(path)
        for decision in self.decisions.values():
            if decision.by != by:
                raise InputError(
                    f"{path} holds judgements by {decision.by!r}, and these would be by {by!r}: "
                    "name another file to write to"
                )

    def write(self, pair: Pair, grade: int | None, *, why: str = "") -> None:
        """Put a judgement on disk; it counts instead of an earlier one.

        Args:
            pair: what was judged.
            grade: nothing for a pair that is skipped.
            why: the reason, if there is one.

        Raises:
            InputError: the file cannot be written.
        """
        decision = Decision(
            query_id=pair.query_id,
            query=pair.query,
            doc_id=pair.doc_id,
            grade=grade,
            by=self.by,
            at=self._now().strftime("%Y-%m-%dT%H:%M:%SZ"),
            why=why,
        )
        try:
            _append(self.path, msgspec.json.encode(decision) + b"\n")
        except OSError as error:
            raise InputError(
                f"{self.path} cannot be written ({error.strerror}): what was judged before this "
                "is kept"
            ) from error
        self.decisions.pop(pair.key, None)
        self.decisions[pair.key] = decision

    def check(self, pairs: tuple[Pair, ...]) -> None:
        """See that the journal is about these queries.

        Raises:
            InputError: a query has another text there.
        """
        texts = {pair.query_id: pair.query for pair in pairs}
        for decision in self.decisions.values():
            text = texts.get(decision.query_id, decision.query)
            if text != decision.query:
                raise InputError(
                    f"{self.path} is about other queries: {decision.query_id!r} is "
                    f"{decision.query!r:.60} there and {text!r:.60} here: name another file to "
                    "write to"
                )


def journal_of(target: Path) -> Path:
    """Return where the journal of a file of judgments is: beside it.

    Example:
        >>> journal_of(Path("mine.csv")).name, journal_of(Path("set/")).name
        ('mine.csv.journal.ndjson', 'set.journal.ndjson')
    """
    return target.with_name(target.name + _SUFFIX)


def read_journal(path: Path) -> dict[tuple[str, str], Decision]:
    """Read the last judgement on each pair; nothing where there is no file.

    A last line without an end was cut off while it was written and is passed over.

    Raises:
        InputError: the file cannot be read, or a line is none of a journal.
    """
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    decisions: dict[tuple[str, str], Decision] = {}
    for number, line in enumerate(raw.split(b"\n")[:-1], start=1):
        try:
            decision = msgspec.json.decode(line, type=Decision)
        except (msgspec.DecodeError, UnicodeError) as error:
            raise InputError(f"{path}:{number}: no line of a journal of judgements: {error}") from (
                error
            )
        decisions.pop(decision.key, None)
        decisions[decision.key] = decision
    return decisions


def as_judgments(
    decisions: Mapping[tuple[str, str], Decision],
    *,
    like: Judgments,
    description: str = "",
    mark: Mapping[str, str] | None = None,
) -> Judgments:
    """Return what was graded as judgments.

    Args:
        decisions: of a journal.
        like: the queries that were judged: gives their order and further fields.
        description: what the file says of itself, where the format has a place for it.
        mark: fields for every query, such as who judged it.

    Returns:
        Queries with a grade; documents by their ids, which tell nothing of the order of judging.
    """
    grades: dict[str, dict[str, Decimal]] = {}
    texts: dict[str, str] = {}
    for decision in decisions.values():
        if decision.grade is not None:
            texts[decision.query_id] = decision.query
            grades.setdefault(decision.query_id, {})[decision.doc_id] = Decimal(decision.grade)
    known = {query.query_id: query for query in like.queries}
    ordered = [query_id for query_id in known if query_id in grades]
    ordered += [query_id for query_id in grades if query_id not in known]
    queries = tuple(
        JudgedQuery(
            query_id=query_id,
            text=texts[query_id],
            grades=dict(sorted(grades[query_id].items())),
            fields={**(known[query_id].fields if query_id in known else {}), **(mark or {})},
        )
        for query_id in ordered
    )
    return Judgments(queries=queries, made_ids=like.made_ids, description=description)


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        # A crash may have left a line without its end: the next must not run into it.
        end = size = file.seek(0, os.SEEK_END)
        while end:
            file.seek(end - 1)
            if file.read(1) == b"\n":
                break
            end -= 1
        if end != size:
            file.truncate(end)
        file.write(line)
        file.flush()
        os.fsync(file.fileno())
