"""Why queries moved: what the stages of each system made of the documents that decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from opensearch_funnel.core.errors import FunnelError
from opensearch_funnel.core.progress import SILENT, Progress
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.comparing import Comparison
from opensearch_funnel.evaluating.document_traces import DocumentTrace, LegPlace, Tracer
from opensearch_funnel.evaluating.moves import Deciding, Move, Moves

RANKS_ONLY = (
    "Why is told in ranks alone: run files, and systems of one leg, have no stages to be asked."
)
TERMS = 3
"""How many terms of a leg are shown to people; the JSON has more."""

_Wanted = dict[tuple[str, str], list[str]]
_Found = Mapping[tuple[str, str], Mapping[str, DocumentTrace]]


def explained(
    comparison: Comparison, tracers: Mapping[str, Tracer], *, progress: Progress = SILENT
) -> Comparison:
    """Ask the systems what their stages made of the documents that decide.

    Args:
        comparison: what was found.
        tracers: the systems that can be asked, by name.
        progress: told of every query.

    Returns:
        The comparison with traces. A system that fails to say why takes no figures along: the
        note says what is missing.
    """
    if not tracers:
        return replace(comparison, why_note=RANKS_ONLY if _moved(comparison) else "")
    wanted = _wanted(comparison, tracers)
    if not wanted:
        return comparison
    queries = {query.query_id: query for query in comparison.dataset.queries}
    found, note = _asked(wanted, tracers, queries, progress=progress)
    moves = [_with_traces(one, found) for one in comparison.moves]
    return replace(comparison, moves=moves, why_note=note)


def reason_lines(document: Deciding, *, names: Sequence[str]) -> list[str]:
    """Say in plain lines how a document came to its places.

    Args:
        document: with the traces that there are.
        names: the reference and the system.

    Returns:
        A line of its ranks; if stages were asked, a line for each system that has something to
        say: a trace that goes on where the other one ends says it all.

    Example:
        >>> legs = {"bm25": LegPlace(rank=20), "dense": LegPlace(rank=1)}
        >>> trace = DocumentTrace(legs=legs, fused=2)
        >>> document = Deciding(doc_id="d7", grade=1, before=20, after=2, traces={"hybrid": trace})
        >>> reason_lines(document, names=("bm25", "hybrid"))
        ['d7 (1) rose from 20 to 2. hybrid: dense 1, bm25 20; fused 2']
    """
    told = told_traces(document, names=names)
    parts: list[str] = []
    legs_above: Mapping[str, LegPlace] | None = None
    for name, trace in told.items():
        legs = "the same legs" if trace.legs == legs_above else _legs(trace)
        parts.append(f"{name}: {_stages(trace, legs=legs)}")
        legs_above = trace.legs
    head = f"{document.doc_id} ({document.grade}) {_ranks(document)}"
    if not parts:
        return [head]
    first, *rest = parts
    return [f"{head}. {first}", *rest]


def told_traces(document: Deciding, *, names: Sequence[str]) -> dict[str, DocumentTrace]:
    """Return the traces that have something to say: not one that the other goes on from.

    Args:
        document: with the traces that there are.
        names: the reference and the system.
    """
    told = {name: document.traces[name] for name in names if name in document.traces}
    if len(told) > 1 and _goes_on(told[names[0]], told[names[1]]):
        del told[names[0]]
    return told


def _ranks(document: Deciding) -> str:
    before, after = document.before, document.after
    if before is None:
        return f"came in at {after}"
    if after is None:
        return f"fell out from {before}"
    return f"{'rose' if after < before else 'fell'} from {before} to {after}"


def _legs(trace: DocumentTrace) -> str:
    ordered = sorted(trace.legs.items(), key=lambda leg: leg[1].rank or float("inf"))
    return ", ".join(_leg(name, place) for name, place in ordered)


def _stages(trace: DocumentTrace, *, legs: str) -> str:
    parts = [legs]
    if trace.fused is not None:
        parts.append(f"fused {trace.fused}")
    if trace.reranked is not None:
        parts.append(f"reranked {trace.reranked}")
    if trace.doubts:
        parts.append(f"in doubt: {trace.doubts[0]}")
    return "; ".join(part for part in parts if part)


def _leg(name: str, place: LegPlace) -> str:
    if place.rank is None:
        return f"not in {name}"
    terms = ", ".join(term for term, _ in place.terms[:TERMS])
    return f"{name} {place.rank} ({terms})" if terms else f"{name} {place.rank}"


def _goes_on(trace: DocumentTrace, other: DocumentTrace) -> bool:
    same = trace.legs == other.legs and trace.fused == other.fused
    return same and trace.reranked is None and not trace.doubts


def _moved(comparison: Comparison) -> list[tuple[Moves, Move]]:
    return [(moves, move) for moves in comparison.moves for move in (*moves.gained, *moves.lost)]


def _wanted(comparison: Comparison, tracers: Mapping[str, Tracer]) -> _Wanted:
    """Return of which documents each system is asked, by its name and the query's id."""
    wanted: _Wanted = {}
    for moves, move in _moved(comparison):
        sides = ((moves.difference.reference, "before"), (moves.difference.system, "after"))
        for name, side in sides:
            there = [one.doc_id for one in move.deciding if getattr(one, side) is not None]
            if name in tracers and there:
                known = wanted.setdefault((name, move.query.query_id), [])
                known += [doc_id for doc_id in there if doc_id not in known]
    return wanted


def _asked(
    wanted: _Wanted,
    tracers: Mapping[str, Tracer],
    queries: Mapping[str, Query],
    *,
    progress: Progress,
) -> tuple[_Found, str]:
    found: dict[tuple[str, str], Mapping[str, DocumentTrace]] = {}
    failed: list[str] = []
    with progress.task("asking why", total=len(wanted), unit="queries") as advance:
        for (name, query_id), doc_ids in wanted.items():
            try:
                found[name, query_id] = tracers[name](queries[query_id], doc_ids)
            except FunnelError as error:
                failed.append(f"query {query_id!r} of {name}: {error}")
            advance(1)
    note = f"Why is not told of {len(failed)} queries, the first: {failed[0]}." if failed else ""
    return found, note


def _with_traces(moves: Moves, found: _Found) -> Moves:
    names = (moves.difference.reference, moves.difference.system)

    def traced(document: Deciding, query: Query) -> Deciding:
        places = dict(zip(names, (document.before, document.after), strict=True))
        traces = {
            name: _checked(trace, rank=places[name])
            for name in names
            if (trace := found.get((name, query.query_id), {}).get(document.doc_id)) is not None
        }
        return replace(document, traces=traces)

    def whole(some: Iterable[Move]) -> list[Move]:
        return [
            replace(move, deciding=[traced(one, move.query) for one in move.deciding])
            for move in some
        ]

    return replace(moves, gained=whole(moves.gained), lost=whole(moves.lost))


def _checked(trace: DocumentTrace, *, rank: int | None) -> DocumentTrace:
    """Tell a trace whose last stage does not end where the document was when it was measured."""
    last = trace.fused if trace.reranked is None else trace.reranked
    if last in (None, rank):
        return trace
    return replace(trace, doubts=(*trace.doubts, f"measured at {rank}, traced to {last}"))
