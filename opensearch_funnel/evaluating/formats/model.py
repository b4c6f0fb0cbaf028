"""What a file of judgments or a run says, whatever its format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256
from typing import Any

from opensearch_funnel.evaluating.formats.findings import Finding, Findings, Kind
from opensearch_funnel.evaluating.formats.grades import grade_of, is_decimal

_ID_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedQuery:
    """One query and what was judged for it.

    Attributes:
        query_id: the file's, or made of the text where the format has none.
        text: what was typed; nothing where the file does not say.
        grades: document id → grade, exactly; empty for a query that nobody judged.
        fields: whatever else the format has about the query, such as ``referenceAnswer``.
    """

    query_id: str
    text: str | None
    grades: Mapping[str, Decimal] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgments:
    """The queries of a file with their judgments.

    Attributes:
        queries: in the order of the file; ids are unique.
        made_ids: whether the ids are made of the texts, so that nothing is lost without them.
        name: the file's own name for itself.
        description: likewise.
    """

    queries: tuple[JudgedQuery, ...]
    made_ids: bool = False
    name: str = ""
    description: str = ""

    @property
    def count(self) -> int:
        """How many judgments there are."""
        return sum(len(query.grades) for query in self.queries)


@dataclass(frozen=True, slots=True)
class ScoredDocument:
    """One document of a run."""

    doc_id: str
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RankedRun:
    """What a system returned.

    Attributes:
        rankings: query id → documents, best first; no document twice, every score finite.
        tag: the system's name.
    """

    rankings: Mapping[str, tuple[ScoredDocument, ...]]
    tag: str = "run"

    @property
    def doc_ids(self) -> dict[str, tuple[str, ...]]:
        """The ranking of each query, without scores."""
        return {
            query_id: tuple(document.doc_id for document in ranking)
            for query_id, ranking in self.rankings.items()
        }


@dataclass(frozen=True, slots=True)
class ReadJudgments:
    """Judgments, and what is wrong with the file."""

    judgments: Judgments
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class ReadRun:
    """A run, and what is wrong with the file."""

    run: RankedRun
    findings: tuple[Finding, ...]


def made_id(text: str) -> str:
    """Make an id of a query's text: the same text always gets the same one.

    Example:
        >>> made_id("red dress")
        'e858a3f9978c'
    """
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_DIGITS]


class Collected:
    """The queries of a file while it is read: puts lines together, and tells what is odd."""

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self._texts: dict[str, str | None] = {}
        self._fields: dict[str, Mapping[str, Any]] = {}
        self._grades: dict[str, dict[str, Decimal]] = {}

    def __contains__(self, query_id: str) -> bool:
        return query_id in self._texts

    def query(
        self, query_id: str, text: str | None, *, fields: Mapping[str, Any] | None = None
    ) -> None:
        """Take note of a query; what was said first about it stays."""
        self._texts.setdefault(query_id, text or None)
        self._fields.setdefault(query_id, fields or {})

    def judge(self, query_id: str, doc_id: str, given: str, *, line: int | None = None) -> None:
        """Take note of a judgment on a query that is known, and of what is odd about it."""
        where = f"document {doc_id!r} of query {query_id!r}"
        grade = grade_of(given)
        if grade is None:
            self.findings.add(Kind.NO_GRADE, f"{given!r} for {where}", line=line)
            return
        grades = self._grades.setdefault(query_id, {})
        if doc_id not in grades:
            grades[doc_id] = grade
            if grade < 0:
                self.findings.add(Kind.NEGATIVE_GRADE, f"{grade} for {where}", line=line)
        elif grades[doc_id] == grade:
            self.findings.add(Kind.REPEATED, where, line=line)
        else:
            example = f"{grades[doc_id]} and {grade} for {where}"
            self.findings.add(Kind.CONFLICT, example, line=line)

    def decimal(self, given: str, *, line: int | None = None) -> None:
        """Tell a whole grade that is written with decimals where a format has whole numbers."""
        if is_decimal(given):
            self.findings.add(Kind.DECIMAL_GRADE, repr(given), line=line)

    def without(self, query_ids: Iterable[str]) -> None:
        """Forget queries."""
        for query_id in query_ids:
            self._texts.pop(query_id, None)

    def judged(self, *, made_ids: bool = False, name: str = "", description: str = "") -> Judgments:
        """Return what was collected, and tell queries without a text or without judgments."""
        queries = tuple(
            JudgedQuery(
                query_id=query_id,
                text=text,
                grades=self._grades.get(query_id, {}),
                fields=self._fields[query_id],
            )
            for query_id, text in self._texts.items()
        )
        for query in queries:
            if query.text is None:
                self.findings.add(Kind.NO_TEXT, f"query {query.query_id!r}")
            if not query.grades:
                shown = query.query_id if query.text is None or not made_ids else query.text
                self.findings.add(Kind.UNJUDGED, f"query {shown!r}")
        return Judgments(queries=queries, made_ids=made_ids, name=name, description=description)

    def read(
        self, *, made_ids: bool = False, name: str = "", description: str = ""
    ) -> ReadJudgments:
        """Return the same with the findings."""
        judgments = self.judged(made_ids=made_ids, name=name, description=description)
        return ReadJudgments(judgments, self.findings.all())
