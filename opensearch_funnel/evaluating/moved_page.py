"""The queries that moved most, as tables of a report: what each system did, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from opensearch_funnel.evaluating.document_traces import DocumentTrace, LegPlace
from opensearch_funnel.evaluating.moves import Move, Moves, Side
from opensearch_funnel.evaluating.pages import Block, Heading, Table
from opensearch_funnel.evaluating.reasons import TERMS, told_traces

_TOP_COLUMN = "top 3 (grade, - where nobody judged)"
_NOTHING = "-"
_RANKS = (
    "Below the queries that moved most stand the relevant documents whose place makes most of the "
    "difference, with their rank in the first system and in the second (- where they are not "
    "there)."
)
_STAGES = (
    " Where the stages of a system could be asked: the rank in each leg, after fusion and after "
    "reranking, and the terms that matched with their part of the leg's score. Where both systems "
    "have the same legs and fusion, only the one that reranks is shown."
)


def moved_blocks(moves: Moves) -> Iterator[Block]:
    """Lay out the queries of one pair that moved most.

    Args:
        moves: of the pair.
    """
    names = (moves.difference.reference, moves.difference.system)
    for word, found in (("gained", moves.gained), ("lost", moves.lost)):
        if not found:
            continue
        yield Heading(f"Queries on which {names[1]} {word} most over {names[0]}")
        header = ("query", "difference", "system", str(moves.measure), "first relevant")
        rows = [row for move in found for row in _sides(move, names=names)]
        yield Table((*header, _TOP_COLUMN), rows, frozenset({0, 2, 5}), frozenset({0}))
        yield from _why(found, names=names)


def first_relevant(side: Side) -> str:
    """Return the rank of the first relevant document, or a dash."""
    return _NOTHING if side.first_relevant is None else str(side.first_relevant)


def top(side: Side) -> str:
    """Return the first documents with their grades.

    Example:
        >>> top(Side(value=0.5, first_relevant=1, top=[("d1", 2), ("d7", None)]))
        'd1 (2), d7 (-)'
    """
    return ", ".join(
        f"{doc_id} ({_NOTHING if grade is None else grade})" for doc_id, grade in side.top
    )


def _sides(move: Move, *, names: Sequence[str]) -> Iterator[tuple[str, ...]]:
    heads = (
        (f"{move.query.query_id}: {move.query.text}", f"{move.difference:+.4f}"),
        ("", ""),
    )
    for head, name, side in zip(heads, names, (move.reference, move.system), strict=True):
        yield (*head, name, f"{side.value:.4f}", first_relevant(side), top(side))


def how_to_read(every: Sequence[Moves]) -> str:
    """Say what the tables of deciding documents show; empty where there are none."""
    documents = [
        document
        for moves in every
        for move in (*moves.gained, *moves.lost)
        for document in move.deciding
    ]
    if not documents:
        return ""
    return _RANKS + (_STAGES if any(document.traces for document in documents) else "")


def _why(found: Sequence[Move], *, names: Sequence[str]) -> Iterator[Block]:
    """Lay out the documents that decide: a row each, and one more where both systems say why."""
    told = {
        (move.query.query_id, document.doc_id): told_traces(document, names=names)
        for move in found
        for document in move.deciding
    }
    traces = [trace for some in told.values() for trace in some.values()]
    stages = _Stages(
        legs=tuple(dict.fromkeys(leg for trace in traces for leg in trace.legs)),
        reranks=any(trace.reranked is not None for trace in traces),
    )
    rows: list[tuple[str, ...]] = []
    for move in found:
        head = move.query.query_id
        for document in move.deciding:
            ranks = f"{_rank(document.before)} → {_rank(document.after)}"
            row = (head, f"{document.doc_id} ({document.grade})", ranks)
            some = told[move.query.query_id, document.doc_id]
            legs_above: Mapping[str, LegPlace] | None = None
            for name, trace in some.items():
                rows.append((*row, name, *stages.cells(trace, legs_above=legs_above)))
                row, legs_above = ("", "", ""), trace.legs
            if not some:
                rows.append((*row, *[""] * len(stages.header)) if traces else row)
            head = ""
    if not rows:
        return
    header = ("query", "document (grade)", "rank", *(stages.header if traces else ()))
    last = len(header) - 1
    yield Table(
        header,
        rows,
        texts=frozenset({0, 1, 3, last} if traces else {0, 1}),
        wide=frozenset({last} if traces else ()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stages:
    """The columns that tell of the stages of a system."""

    legs: Sequence[str]
    reranks: bool

    @property
    def header(self) -> tuple[str, ...]:
        legs = (f"in {leg}" for leg in self.legs)
        return ("stages of", *legs, "fused", *["reranked"] * self.reranks, "matched terms")

    def cells(
        self, trace: DocumentTrace, *, legs_above: Mapping[str, LegPlace] | None
    ) -> tuple[str, ...]:
        places = [_rank(trace.legs[leg].rank) if leg in trace.legs else "" for leg in self.legs]
        reranked = [_rank(trace.reranked)] * self.reranks
        terms = "; ".join(
            f"{leg}: " + ", ".join(f"{term} {score:.2f}" for term, score in place.terms[:TERMS])
            for leg, place in trace.legs.items()
            if place.terms
        )
        if terms and trace.legs == legs_above:
            terms = "the same"
        doubts = "".join(f" In doubt: {doubt}." for doubt in trace.doubts)
        return (*places, _rank(trace.fused), *reranked, f"{terms}{doubts}".strip())


def _rank(rank: int | None) -> str:
    return _NOTHING if rank is None else str(rank)
