"""What is wrong with a file, or lost on the way to another format: kinds, counts, examples."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum

_EXAMPLES = 3


class Kind(StrEnum):
    """A kind of finding; its text is what people read."""

    DECIMAL_GRADE = "whole grades written with decimals, read as whole numbers"
    TEXT_GRADE = "grades given as text, read as numbers"
    NO_GRADE = "grades that are no number, left out"
    NEGATIVE_GRADE = "negative grades, kept"
    ROUNDED_GRADE = "grades rounded to whole numbers"
    REPEATED = "judgments given twice, kept once"
    CONFLICT = "judgments given twice with different grades, the first kept"
    UNRATED = "documents without a rating, left out"
    UNJUDGED = "queries without judgments"
    NOTHING_RELEVANT = "judged queries without a relevant document, left out"
    NO_TEXT = "queries without a text"
    REPEATED_QUERY = "queries given twice, kept once"
    OTHER_SPLIT = "queries judged in another split only, left out"
    SAME_TEXT = "queries with the text of another one, put together with it"
    SPACE_BEFORE_SIGN = "queries with a space that Quepid puts before a sign, taken away"
    UNKNOWN_DOCUMENT = "judgments for documents that the corpus does not have"
    RUN_REPEATED = "documents twice in one ranking, the first kept"
    RUN_SCORE = "scores that are no finite number of single precision, left out"
    RUN_ORDER = "documents whose rank is against their score, put in the order of the scores"
    RUN_TIE = "documents of one score, put in trec_eval's order: by id, last first"
    RUN_UNKNOWN_DOCUMENT = "ranked documents that the corpus does not have"
    RUN_UNJUDGED = "queries of the run without judgments"
    NOT_IN_RUN = "judged queries without a ranking in the run"
    NO_QUERY = "log entries without a query, left out"
    NOT_RANKED = "queries of the log that the run does not cover"
    NOT_KEPT = "parts of the file that are not kept"
    NAME_LOST = "the file's own name and description, which this format does not hold"
    IDS_LOST = "query ids, which this format does not hold"
    FIELDS_LOST = "queries with further fields, which this format does not hold"
    JUDGMENTS_LOST = "judgments, which this format does not hold"
    RUN_OTHER_QUERY = "ranked queries that the query set does not have, left out"
    NOT_POOLED = "queries that no run ranks, with nothing to judge"
    CLICK_NOT_SHOWN = "clicks on documents that the log does not show for the search, left out"
    NO_POSITION = "documents shown without a place, left out"
    NO_DOCUMENT = "events without a document, left out"
    SEARCH_WITHOUT_TEXT = "events whose search has no text in the log, left out"
    SEARCH_OF_TWO = "events whose search id stands for two queries, left out"
    OTHER_ACTION = "events of other kinds, left out"
    LATER_PAGE = "documents of a search's further lists, whose places are not known, left out"
    SHOWN_BY_LIST = "searches without impressions, whose whole lists count as shown"
    FEW_VIEWS = "pairs of query and document that were shown too rarely, left out"


NOTES = frozenset(
    {
        Kind.TEXT_GRADE,
        Kind.NEGATIVE_GRADE,
        Kind.ROUNDED_GRADE,
        Kind.NOTHING_RELEVANT,
        Kind.OTHER_SPLIT,
        Kind.RUN_TIE,
        Kind.NOT_KEPT,
        Kind.NAME_LOST,
        Kind.IDS_LOST,
        Kind.RUN_OTHER_QUERY,
        Kind.OTHER_ACTION,
        Kind.SHOWN_BY_LIST,
        Kind.FEW_VIEWS,
    }
)
"""Kinds that are told and are no fault: ``--strict`` lets them pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One kind of finding in one file.

    Attributes:
        kind: what was found.
        count: how often.
        examples: the first ones, each with its line where there is one.
    """

    kind: Kind
    count: int
    examples: tuple[str, ...]

    @property
    def is_fault(self) -> bool:
        """Say whether it is more than a note."""
        return self.kind not in NOTES

    def __str__(self) -> str:
        more = "; …" if self.count > len(self.examples) else ""
        return f"{self.count} x {self.kind}: {'; '.join(self.examples)}{more}"


class Findings:
    """Collects what a reader or a writer meets.

    Example:
        >>> findings = Findings()
        >>> findings.add(Kind.UNJUDGED, "query 'q7'")
        >>> findings.add(Kind.NO_GRADE, "'good'", line=3)
        >>> for finding in findings.all():
        ...     print(finding)
        1 x queries without judgments: query 'q7'
        1 x grades that are no number, left out: line 3: 'good'
    """

    def __init__(self) -> None:
        self._counts: Counter[Kind] = Counter()
        self._examples: dict[Kind, list[str]] = {}

    def add(self, kind: Kind, example: str, *, line: int | None = None, times: int = 1) -> None:
        """Count one finding, or several that are alike.

        Args:
            kind: what it is.
            example: which query, document or grade.
            line: where, from 1.
            times: how many there are of it.
        """
        self._counts[kind] += times
        examples = self._examples.setdefault(kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(example if line is None else f"line {line}: {example}")

    def all(self) -> tuple[Finding, ...]:
        """Return what was found, in the order of first sight."""
        return tuple(
            Finding(kind=kind, count=count, examples=tuple(self._examples[kind]))
            for kind, count in self._counts.items()
        )
