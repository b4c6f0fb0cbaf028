"""``funnel search``: systems side by side, and why each hit is where it is."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.choices import names_option
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.output import emit, output_option
from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.text import encoded_text
from opensearch_funnel.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from opensearch_funnel.build.explaining import Found, Hit
    from opensearch_funnel.core.plan import FunnelPlan

_SYSTEMS = ("bm25", "funnel")
_TITLE_WIDTH = 60
_TERMS = 8


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

    With --explain each hit of the funnel shows its rank and raw score in each leg, the sparse
    terms that matched with the product of their weights, and the reranker's score from 0 to 1.
    Exits with 1 when the funnel's answer was degraded.

    Example: funnel search "wait for several threads" --index funnel-demo --explain
    """
    from opensearch_funnel.build.explaining import (
        Asked,
        ExplainWith,
        applied_plan_of,
        search_bm25,
        search_funnel,
    )
    from opensearch_funnel.build.plans import open_encoders
    from opensearch_funnel.engine.client import connect

    if not query.strip():
        raise click.UsageError("the query is empty")
    client = connect(settings)
    plan = applied_plan_of(client, index)
    asked = Asked(index=index, text=query, fields=_fields(fields, plan=plan), size=size)
    found: list[Found] = []
    for system in systems:
        if system == "bm25":
            found.append(search_bm25(client, asked))
            continue
        if plan is None:
            raise InvalidPlanError(
                f"no pipeline is applied to {index}: funnel pipeline apply --index {index}"
            )
        with_models = ExplainWith(plan, open_encoders(plan, settings=settings)) if explain else None
        found.append(search_funnel(client, asked, explain=with_models))
    result = {"query": query, "index": index, "systems": [asdict(one) for one in found]}
    emit(
        result,
        output=output,
        table=lambda console: _print(found, fields=asked.fields, explain=explain, console=console),
    )
    return 1 if any(one.degraded for one in found) else 0


def _fields(given: str | None, *, plan: FunnelPlan | None) -> tuple[str, ...]:
    if given is not None:
        return tuple(name.strip() for name in given.split(",") if name.strip())
    return plan.text_fields if plan is not None else ("title", "text")


def _print(
    found: Sequence[Found], *, fields: Sequence[str], explain: bool, console: Console
) -> None:
    side = Table("", *(f"{one.system} ({one.took_ms} ms)" for one in found))
    for rank in range(max((len(one.hits) for one in found), default=0)):
        cells = [
            _title(one.hits[rank], fields=fields) if rank < len(one.hits) else "" for one in found
        ]
        side.add_row(str(rank + 1), *cells)
    console.print(side)
    for one in found:
        if one.degraded:
            console.print(
                "[yellow]degraded[/]: a stage of the funnel did not answer; "
                "see the log of funnel serve"
            )
        if explain and one.system == "funnel":
            console.print(_why(one))


def _title(hit: Hit, *, fields: Sequence[str]) -> str:
    text = " ".join((encoded_text(hit.source, fields=fields) or hit.doc_id).split())
    return text if len(text) <= _TITLE_WIDTH else text[: _TITLE_WIDTH - 1] + "…"


def _why(found: Found) -> Table:
    grid = Table("", "document", "bm25", "sparse", "dense", "rerank", "matched terms")
    for hit in found.hits:
        legs = (hit.legs.get(leg) for leg in ("bm25", "sparse", "dense"))
        cells = [f"#{leg.rank} {leg.score:.2f}" if leg else "—" for leg in legs]
        rerank = "—" if hit.rerank is None else f"{hit.rerank:.3f}"
        terms = " ".join(f"{term} {product:.2f}" for term, product in hit.terms[:_TERMS])
        grid.add_row(str(hit.rank), hit.doc_id, *cells, rerank, terms)
    return grid
