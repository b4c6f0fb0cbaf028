"""The queries that moved most between two systems, and the documents that moved them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import log2
from typing import Any

from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.differences import Difference
from opensearch_funnel.evaluating.document_traces import DocumentTrace
from opensearch_funnel.evaluating.measures import Measure, Run, Values

_TOP = 3
_DECIDING = 3
_DIGITS = 6
# To these measures a place is as good as any other above the cutoff.
_COUNTED = ("R", "P", "Success", "Judged")


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one system did with one query.

    Attributes:
        value: what the measure gives.
        first_relevant: the rank of the first relevant document; ``None`` where there is none.
        top: the first documents with their grades; ``None`` where nobody judged one.
    """

    value: float
    first_relevant: int | None
    top: Sequence[tuple[str, int | None]]

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of a side."""
        return {
            "value": round(self.value, _DIGITS),
            "first_relevant": self.first_relevant,
            "top": [{"id": doc_id, "grade": grade} for doc_id, grade in self.top],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Deciding:
    """A relevant document whose place makes the difference between two systems.

    Attributes:
        doc_id: its id.
        grade: what a person gave it.
        before: its rank in the reference, from 1; ``None`` where it is not there.
        after: its rank in the system.
        traces: what the stages of each system, by its name, made of it, where they were asked.
    """

    doc_id: str
    grade: int
    before: int | None
    after: int | None
    traces: Mapping[str, DocumentTrace] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of a document."""
        plain: dict[str, Any] = {
            "id": self.doc_id,
            "grade": self.grade,
            "reference_rank": self.before,
            "system_rank": self.after,
        }
        traces = {name: trace.to_json() for name, trace in self.traces.items()}
        return {**plain, "stages": traces} if traces else plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A query that a system answers much better, or much worse, than its reference.

    Attributes:
        query: the query.
        difference: the system's value minus that of the reference.
        reference: what the reference did.
        system: what the system did.
        deciding: the documents that make most of the difference, the first most of all.
    """

    query: Query
    difference: float
    reference: Side
    system: Side
    deciding: Sequence[Deciding] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of a query."""
        return {
            "query_id": self.query.query_id,
            "text": self.query.text,
            "difference": round(self.difference, _DIGITS),
            "reference": self.reference.to_json(),
            "system": self.system.to_json(),
            "deciding": [document.to_json() for document in self.deciding],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """The queries that moved most between two systems, the largest difference first.

    Attributes:
        difference: the pair.
        measure: by which measure they moved.
        gained: the reference is worse on these.
        lost: the reference is better on these.
    """

    difference: Difference
    measure: Measure
    gained: Sequence[Move]
    lost: Sequence[Move]

    def to_json(self) -> dict[str, Any]:
        """Return what ``--output json`` prints of them."""
        return {
            "measure": str(self.measure),
            "gained": [move.to_json() for move in self.gained],
            "lost": [move.to_json() for move in self.lost],
        }


def moves_of(
    difference: Difference,
    *,
    runs: Mapping[str, Run],
    values: Mapping[str, Values],
    dataset: Dataset,
    most: int,
) -> Moves:
    """Return the queries that moved most, by the first measure of a difference.

    Args:
        difference: of a system to its reference.
        runs: the rankings of both, by name.
        values: what each query reached by that measure, by name.
        dataset: queries and judgments.
        most: so many of those that gained most, and of those that lost most.
    """
    measure = next(iter(difference.values))
    moved = difference.values[measure]

    def side(name: str, query: Query) -> Side:
        ranking = runs[name].get(query.query_id, ())
        grades = dataset.qrels[query.query_id]
        relevant = (rank for rank, one in enumerate(ranking, start=1) if grades.get(one, 0) > 0)
        return Side(
            value=values[name][query.query_id],
            first_relevant=next(relevant, None),
            top=[(doc_id, grades.get(doc_id)) for doc_id in ranking[:_TOP]],
        )

    def move(query: Query) -> Move:
        return Move(
            query=query,
            difference=moved[query.query_id],
            reference=side(difference.reference, query),
            system=side(difference.system, query),
            deciding=deciding(
                runs[difference.reference].get(query.query_id, ()),
                runs[difference.system].get(query.query_id, ()),
                grades=dataset.qrels[query.query_id],
                measure=measure,
            ),
        )

    # Sorting keeps the order of the queries where two moved alike.
    lost = sorted(dataset.queries, key=lambda query: moved[query.query_id])
    gained = sorted(dataset.queries, key=lambda query: -moved[query.query_id])
    return Moves(
        difference=difference,
        measure=measure,
        gained=[move(query) for query in gained[:most] if moved[query.query_id] > 0],
        lost=[move(query) for query in lost[:most] if moved[query.query_id] < 0],
    )


def deciding(
    before: Sequence[str], after: Sequence[str], *, grades: Mapping[str, int], measure: Measure
) -> list[Deciding]:
    """Return the relevant documents whose gain times discount changed most, at most three.

    The discount is that of nDCG; a measure that counts documents down to a cutoff has none above
    it. So for other measures than nDCG the order is a guide, not a part of the value.

    Args:
        before: the ranking of the reference.
        after: that of the system.
        grades: the judgments of the query.
        measure: says down to which rank a document counts, and by what.

    Example:
        >>> found = deciding(["x", "a", "b"], ["b", "a"], grades={"a": 2, "b": 1, "c": 1},
        ...                  measure=Measure("nDCG", 10))
        >>> [(one.doc_id, one.before, one.after) for one in found]
        [('b', 3, 1)]
    """
    places = [{one: rank for rank, one in enumerate(order, start=1)} for order in (before, after)]

    def worth(doc_id: str, place: Mapping[str, int]) -> float:
        rank = place.get(doc_id)
        if rank is None or (measure.cutoff and rank > measure.cutoff):
            return 0.0
        if measure.kind in _COUNTED:
            return 1.0
        gain = grades[doc_id] if measure.kind == "nDCG" else 1
        return gain / log2(rank + 1)

    changes = {
        doc_id: abs(worth(doc_id, places[1]) - worth(doc_id, places[0]))
        for doc_id, grade in grades.items()
        if grade > 0
    }
    largest = sorted(changes, key=lambda doc_id: (-changes[doc_id], doc_id))[:_DECIDING]
    return [
        Deciding(
            doc_id=doc_id,
            grade=grades[doc_id],
            before=places[0].get(doc_id),
            after=places[1].get(doc_id),
        )
        for doc_id in largest
        if changes[doc_id] > 0
    ]
