"""``funnel search``: systems side by side, and why each hit is where it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from opensearch_funnel.cli.choices import listed, names_option
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from opensearch_funnel.core.plan import FunnelPlan, LegName
    from opensearch_funnel.service.search_api_answers import Answer, Hit
    from opensearch_funnel.service.search_api_request import SystemName
    from opensearch_funnel.service.tracing import AnswerTrace, HitTrace, LegTrace, Term

_SYSTEMS: tuple[SystemName, ...] = ("bm25", "funnel")
_TITLE_WIDTH = 60
_TERMS = 6
_SMALL = 0.1
"""Fused scores below this, as reciprocal ranks are, get more digits."""


@click.command()
@click.argument("query")
@click.option("--index", required=True, help="An index or alias.")
@names_option("--systems", known=_SYSTEMS, help_text="What to ask, with commas between.")
@click.option(
    "--size",
    default=10,
    show_default=True,
    type=click.IntRange(1, 200),
    help="How many hits of each system.",
)
@click.option("--explain", is_flag=True, help="Say why each hit of the funnel is where it is.")
@click.option(
    "--fields", default=None, help="Fields of the plain query  [default: the plan's, or title,text]"
)
@output_option
@engine_options
def search(
    settings: Settings,
    *,
    query: str,
    index: str,
    systems: tuple[str, ...],
    size: int,
    explain: bool,
    fields: str | None,
    output: str,
) -> int:
    """Ask the same plain query without the funnel and with it.

    With --explain each hit of the funnel shows what each leg adds to its fused score and its
    place in that leg, what the reranker changed, and the terms that matched. What is added up
    here is compared with the engine's own score. Exits with 1 when the funnel's answer was
    degraded.

    Example: funnel search "wait for several threads" --index funnel-demo --explain
    """
    from opensearch_funnel.build.explaining import applied_plan_of, search_systems
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.service.search_api_request import SearchRequest

    if not query.strip():
        raise click.UsageError("the query is empty")
    client = connect(settings)
    plan = applied_plan_of(client, index)
    request = SearchRequest(index=index, text=query, fields=_fields(fields, plan=plan), size=size)
    answers = search_systems(
        client,
        request,
        systems=[name for name in _SYSTEMS if name in systems],
        plan=plan,
        settings=settings,
        explain=explain,
    )
    result = {"query": query, "index": index, "systems": [asdict(one) for one in answers]}
    emit(
        result,
        output=output,
        table=lambda console: _print(answers, fields=request.returned_fields, console=console),
    )
    return 1 if any(one.degraded for one in answers) else 0


def _fields(given: str | None, *, plan: FunnelPlan | None) -> tuple[str, ...]:
    if given is not None:
        return listed(given)
    return plan.text_fields if plan is not None else ("title", "text")


def _print(answers: Sequence[Answer], *, fields: Sequence[str], console: Console) -> None:
    side = Table("", *(f"{one.system} ({one.took_ms} ms)" for one in answers))
    for rank in range(max((len(one.hits) for one in answers), default=0)):
        cells = [
            escape(_title(one.hits[rank], fields=fields)) if rank < len(one.hits) else ""
            for one in answers
        ]
        side.add_row(str(rank + 1), *cells)
    console.print(side)
    for one in answers:
        if one.degraded:
            console.print(
                "[yellow]degraded[/]: a stage of the funnel did not answer; "
                "see the log of funnel serve"
            )
        if one.trace is not None:
            if one.trace.technique:
                console.print(_contributions(one))
            for name, reason in one.trace.reasons.items():
                console.print(f"{name} {reason}", highlight=False)
            console.print(_terms(one))
            console.print(_verdict(one, one.trace))


def _title(hit: Hit, *, fields: Sequence[str]) -> str:
    text = " ".join((encoded_text(hit.source, fields=fields) or hit.doc_id).split())
    return text if len(text) <= _TITLE_WIDTH else text[: _TITLE_WIDTH - 1] + "…"


def _contributions(answer: Answer) -> Table:
    """Lay out what each leg adds to a hit's fused score, and what came after that."""
    legs = list(answer.trace.candidates if answer.trace else ())
    grid = Table("", "document", *legs, "= fused", "reranked")
    for hit in answer.hits:
        trace = hit.trace
        if trace is None or trace.fused_score is None:
            grid.add_row(str(hit.rank), escape(hit.doc_id), *("" for _ in legs), "plain order", "")
            continue
        digits = 6 if trace.fused_score < _SMALL else 4
        cells = [_part(trace.legs[leg], digits=digits) for leg in trace.legs]
        fused = f"{trace.fused_score:.{digits}f} #{trace.fused_rank}"
        grid.add_row(str(hit.rank), escape(hit.doc_id), *cells, fused, _reranking(trace))
    return grid


def _part(leg: LegTrace, *, digits: int) -> str:
    return "—" if leg.rank is None else f"{leg.contribution:.{digits}f} #{leg.rank}"


def _reranking(trace: HitTrace) -> str:
    if trace.rerank is None:
        return "—"
    moved = f"#{trace.rerank.rank_before} → #{trace.rerank.rank_after}"
    return f"{moved}, {trace.rerank.final:.3f}"


def _terms(answer: Answer) -> Table:
    """Lay out the terms that matched, with what each adds to its leg's own score."""
    legs: tuple[LegName, ...] = ("bm25", "sparse") if answer.system == "funnel" else ("bm25",)
    grid = Table("", *(f"terms of {leg}" for leg in legs))
    for hit in answer.hits:
        found = hit.trace.legs if hit.trace else {}
        cells = [_listed(found[leg].terms) if leg in found else "" for leg in legs]
        grid.add_row(str(hit.rank), *cells)
    return grid


def _listed(terms: Sequence[Term]) -> str:
    shown = [f"{term.term} {term.contribution:.2f}" for term in terms[:_TERMS]]
    if rest := terms[_TERMS:]:
        shown.append(f"{len(rest)} more {sum(term.contribution for term in rest):.2f}")
    return escape(" + ".join(shown))


def _verdict(answer: Answer, trace: AnswerTrace) -> str:
    if not trace.consistent:
        return "\n".join(f"[yellow]does not agree[/]: {line}" for line in _differences(answer.hits))
    if not trace.technique:
        return f"{answer.system}: the terms add up to the score of every hit"
    how = " and ".join(filter(None, (trace.technique, trace.combination)))
    return (
        f"{answer.system}: everything adds up ({how}), at most {trace.largest_error:.1e} from "
        "the engine's score"
    )


def _differences(hits: Iterable[Hit]) -> list[str]:
    traced = ((hit.doc_id, hit.trace) for hit in hits if hit.trace is not None)
    return [escape(f"{doc_id}: {line}") for doc_id, trace in traced for line in trace.differences]
