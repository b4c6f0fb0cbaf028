"""``funnel pipeline``: the search pipeline of an index: applied, shown, removed."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import rich_click as click
from rich.console import Console
from rich.table import Table

from opensearch_funnel.cli.choices import plan_option, rerank_option
from opensearch_funnel.cli.connection import engine_options
from opensearch_funnel.cli.evaluation_tables import fusion_line
from opensearch_funnel.cli.output import emit, key_values, output_option, print_lines
from opensearch_funnel.cli.pipeline_diff import print_previews
from opensearch_funnel.cli.progress import terminal_progress
from opensearch_funnel.settings import Settings, http_address

if TYPE_CHECKING:
    from opensearch_funnel.build.evaluation import Switch
    from opensearch_funnel.core.plan import FunnelPlan
    from opensearch_funnel.engine.state import AppliedPipeline


def _an_address(_ctx: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Take an address as the settings do."""
    try:
        return None if value is None else http_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group()
def pipeline() -> None:
    """The search pipeline that upgrades an index's searches."""


@pipeline.command()
@click.option("--index", default=None, help="The index or alias; by default the plan's.")
@plan_option
@click.option(
    "--slot",
    default=None,
    help="Search this slot, with the models that the index says filled it  [default: the plan's]",
)
@click.option("--name", default=None, help="Name of the pipeline  [default: funnel-INDEX]")
@click.option("--default", is_flag=True, help="Make it the default pipeline of the index.")
@click.option(
    "--with-others",
    is_flag=True,
    help="Allow it where an alias also covers indices that are not encoded.",
)
@click.option(
    "--replace-default",
    is_flag=True,
    help="Allow it where the index has another default pipeline, which comes back at remove.",
)
@click.option(
    "--ingest",
    is_flag=True,
    help="Encode documents while they are written, by an ingest pipeline; stays until remove.",
)
@click.option(
    "--service-url",
    default=None,
    callback=_an_address,
    help="Where the cluster reaches funnel serve  [env: FUNNEL_SERVICE_URL]",
)
@rerank_option("auto tries the reranker on probes made of the index's own documents.")
@click.option("--no-check", is_flag=True, help="Do not wait until the service answers.")
@click.option("--no-quiet-log", is_flag=True, help="Leave the level of the engine's log alone.")
@click.option("--dry-run", is_flag=True, help="Print what would be sent, and change nothing.")
@click.option(
    "--sample",
    type=click.FloatRange(0, 1, min_open=True),
    default=None,
    help="Upgrade this share of the searches, by what is typed  [default: the plan's]",
)
@click.option(
    "--queries",
    type=click.Path(path_type=Path),
    default=None,
    help="With --dry-run: what becomes of each search in a file: bodies, a slow log, or texts.",
)
@click.option(
    "--encode", is_flag=True, help="With --queries: load the encoders, and show what they give."
)
@output_option
@engine_options
def apply(
    settings: Settings,
    *,
    index: str | None,
    plan_file: Path,
    slot: str | None,
    name: str | None,
    default: bool,
    with_others: bool,
    replace_default: bool,
    ingest: bool,
    service_url: str | None,
    rerank: Switch,
    no_check: bool,
    no_quiet_log: bool,
    dry_run: bool,
    sample: float | None,
    queries: Path | None,
    encode: bool,
    output: str,
) -> None:
    """Make the search pipeline of a plan, with its connectors and models.

    With --default every search of the index goes through it, without a change in any client;
    one call turns that off again: funnel pipeline remove. With --ingest new and changed documents
    get their funnel fields while they are written. Where the plan fuses by auto, its legs are first
    measured by probes of the index's own documents; what was measured is kept. --sample 0.05
    upgrades one search in twenty, the same ones each time. --dry-run --queries FILE shows what
    becomes of your own searches, without a service and without a change.

    Example: funnel pipeline apply --index films --default

    Example: funnel pipeline apply --index films --dry-run --queries searches.ndjson
    """
    if not dry_run and queries is not None:
        raise click.UsageError("--queries only shows what would happen: add --dry-run")
    if encode and queries is None:
        raise click.UsageError("--encode is for the searches of --queries")
    from opensearch_funnel.build.evaluation import Bench
    from opensearch_funnel.build.plans import read_plan
    from opensearch_funnel.build.service import service_token
    from opensearch_funnel.engine.applying import (
        apply_notes,
        apply_pipeline,
        bound_plan,
        live_index,
        pipeline_name,
        planned_requests,
    )
    from opensearch_funnel.engine.binding import in_slot
    from opensearch_funnel.engine.client import connect
    from opensearch_funnel.engine.covering import default_index

    client = connect(settings)
    written = read_plan(plan_file, alias=index)
    written = written if slot is None else in_slot(client, written, slot=slot)
    plan = bound_plan(client, written, with_others=with_others)
    plan = plan if sample is None else replace(plan, sample=sample)
    name = name or pipeline_name(plan.alias)
    url = service_url or settings.service_url
    token = service_token(settings)
    if dry_run and rerank != "auto":
        plan = replace(plan, rerank=replace(plan.rerank, enabled=rerank == "on"))
    if queries is not None:
        print_previews(
            client, plan, queries=queries, encode=encode, settings=settings, output=output
        )
        return
    if dry_run:
        planned = planned_requests(
            plan,
            service_url=url,
            name=name,
            with_token=token is not None,
            live=live_index(client, plan) if ingest else None,
        )
        emit(planned, output="json")
        return
    if default:
        # Asked before the reranker is tried, which takes minutes.
        default_index(
            client, plan, name=name, with_others=with_others, replace_default=replace_default
        )
    with terminal_progress() as progress:
        bench = Bench(client=client, settings=settings, progress=progress)
        plan = bench.decided_once(plan, pipeline=name, rerank=rerank)
        applied = apply_pipeline(
            client,
            plan,
            service_url=url,
            name=name,
            default=default,
            with_others=with_others,
            replace_default=replace_default,
            ingest=ingest,
            check=not no_check,
            quiet_log=not no_quiet_log,
            token=token,
        )
    notes = apply_notes(client, plan, applied=applied)
    result = {
        **applied.described(),
        "fusion": asdict(plan.fusion),
        "trust": asdict(plan.trust),
        "rerank": asdict(plan.rerank),
        "notes": notes,
    }
    emit(result, output=output, table=lambda console: console.print(_summary(applied, plan)))
    if output != "json":
        for note in notes:
            click.echo(f"note: {note}", err=True)


def _summary(applied: AppliedPipeline, plan: FunnelPlan) -> Table:
    return key_values(
        {
            "pipeline": applied.name,
            "plan": applied.plan_id,
            "legs": " ".join(plan.active_legs),
            "fusion": fusion_line(plan),
            "sample": "every search" if plan.sample == 1 else f"{plan.sample:.3g} of the searches",
            "reranking": plan.rerank.reason,
            "service": applied.service_url,
            "default of": ", ".join(applied.default_of) or "— (clients opt in: search_pipeline)",
            "encodes writes to": ", ".join(applied.ingest_of) or "—",
        }
    )


@pipeline.command()
@output_option
@engine_options
def show(settings: Settings, *, output: str) -> None:
    """List the pipelines that were applied to the cluster.

    Example: funnel pipeline show --output json
    """
    from opensearch_funnel.core.plan import FunnelPlan
    from opensearch_funnel.engine.applying import show_pipelines
    from opensearch_funnel.engine.client import connect

    applied = show_pipelines(connect(settings))

    def table(console: Console) -> None:
        grid = Table("pipeline", "plan", "legs", "rerank", "service", "default of", "encodes")
        for one in applied:
            plan = one["plan"]
            legs = [leg for leg in ("bm25", "sparse", "dense") if plan[leg]["weight"] > 0]
            reranker = plan["rerank"]["model"] if plan["rerank"]["enabled"] else "off"
            default_of = ", ".join(one["default_of"]) or "—"
            grid.add_row(
                one["name"],
                one["plan_id"],
                " ".join(legs),
                reranker,
                one["service_url"],
                default_of,
                ", ".join(one["ingest_of"]) or "—",
            )
        console.print(grid if applied else "no pipeline is applied")
        fused = ((one["name"], FunnelPlan.from_dict(one["plan"])) for one in applied)
        print_lines(console, [f"{name} fuses by {fusion_line(plan)}" for name, plan in fused])

    emit({"pipelines": applied}, output=output, table=table)


@pipeline.command()
@click.option("--index", default=None, help="The index or alias whose pipeline goes.")
@click.option("--name", default=None, help="The pipeline, where it has a name of its own.")
@output_option
@engine_options
def remove(settings: Settings, *, index: str | None, name: str | None, output: str) -> None:
    """Undo everything that apply did: default, pipeline, models, connectors, settings.

    Example: funnel pipeline remove --index films
    """
    from opensearch_funnel.engine.applying import pipeline_name, remove_pipeline
    from opensearch_funnel.engine.client import connect

    if (index is None) == (name is None):
        raise click.UsageError("give either --index or --name")
    removed = remove_pipeline(connect(settings), name or pipeline_name(str(index)))
    emit(
        {
            "removed": removed.name,
            "was_default_of": sorted(removed.default_of),
            "encoded_writes_to": sorted(removed.ingest_of),
        },
        output=output,
        table=lambda console: console.print(key_values({"removed": removed.name})),
    )
