"""What an evaluation found, as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from opensearch_funnel.evaluating.columns import aligned

if TYPE_CHECKING:
    from opensearch_funnel.core.plan import FunnelPlan, Reranking
    from opensearch_funnel.evaluating.differences import Difference
    from opensearch_funnel.evaluating.measures import Measure
    from opensearch_funnel.evaluating.reports import EvaluationReport


def systems_table(report: EvaluationReport) -> Table:
    """Lay out what each system reached, with intervals, latency and degraded answers."""
    measures = list(report.systems[0].values)
    table = Table("system", box=None, pad_edge=False)
    for name in (*map(str, measures), "p50 ms", "p95 ms", "degraded"):
        table.add_column(name, justify="right", no_wrap=True)
    for system in report.systems:
        cells = []
        for measure in measures:
            low, high = system.interval(measure)
            cells.append(
                Text(f"{system.mean(measure):.4f}").append(f"\n{low:.3f}-{high:.3f}", "dim")
            )
        latency = (f"{system.latency.p50:.1f}", f"{system.latency.p95:.1f}")
        table.add_row(system.name, *cells, *latency, str(system.degraded))
    return table


def difference_lines(report: EvaluationReport) -> list[str]:
    """Lay out what systems gained over others: a line each, with 95 % intervals; none if alone.

    Lines and not a table: an interval that is cut off at the terminal's edge says something else.
    """
    found = report.differences
    if not found:
        return []
    rows = [("difference", *map(str, found[0].values))]
    for one in found:
        gains = (_gain(one, measure) for measure in one.values)
        rows.append((f"{one.system} over {one.reference}", *gains))
    return aligned(rows)


def _gain(difference: Difference, measure: Measure) -> str:
    low, high = difference.interval(measure)
    return f"{difference.mean(measure):+.4f} ({low:+.3f} to {high:+.3f})"


def fusion_line(plan: FunnelPlan) -> str:
    """Say how a plan's legs are fused, and how far each is trusted where that was measured.

    Example:
        >>> from opensearch_funnel.core.plan import FunnelPlan, Fusion
        >>> fusion_line(FunnelPlan(alias="films"))
        'auto: not measured yet'
        >>> fusion_line(FunnelPlan(alias="films", fusion=Fusion(technique="min_max")))
        'min_max'
    """
    technique = plan.fusion.technique
    told = technique == "auto" or plan.trust.thin
    return f"{technique}: {plan.trust.reason}" if told else technique


def reranking_lines(rerank: Reranking) -> list[str]:
    """Say whether a plan reranks and why, and what with.

    Example:
        >>> from opensearch_funnel.core.plan import Reranking
        >>> asked = Reranking(model="large", first_model="small", reason="off: as asked for")
        >>> for line in reranking_lines(asked):
        ...     print(line)
        reranking off: as asked for
          models small (depth 50), then large (keep 12)
    """
    switch = "on" if rerank.enabled else "off"
    *first, last = rerank.models
    models = f"model {last} (depth {rerank.depth})"
    for cheap in first:
        models = f"models {cheap} (depth {rerank.depth}), then {last} (keep {rerank.keep})"
    blend = f", blend {rerank.blend:g} of the fused order" if rerank.blend else ""
    return [
        f"reranking {switch}: {rerank.reason.removeprefix(f'{switch}: ')}",
        f"  {models}{blend}",
    ]
