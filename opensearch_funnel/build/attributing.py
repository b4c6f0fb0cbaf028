"""Say where a plan loses nDCG on a data set: its legs are recorded, and the rest replayed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from opensearch_funnel.build.decisions import NOTHING_KNOWN
from opensearch_funnel.build.evaluation import Bench, Switch, as_measured
from opensearch_funnel.build.recording import recorded_set
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.engine.applying import bound_plan
from opensearch_funnel.evaluating.attribution import Attribution, attribute
from opensearch_funnel.evaluating.datasets import Dataset
from opensearch_funnel.evaluating.replaying.setting import Setting
from opensearch_funnel.evaluating.tuning.search import shuffled


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributed:
    """Where a plan loses nDCG, and which plan that is.

    Attributes:
        plan: as it was replayed, with its reranking on or off.
        queries: those that were looked at.
        attribution: the parts.
    """

    plan: FunnelPlan
    queries: Sequence[Query]
    attribution: Attribution


def attribute_plan(
    bench: Bench,
    dataset: Dataset,
    plan: FunnelPlan,
    *,
    rerank: Switch = "auto",
    most: int | None = None,
) -> Attributed:
    """Split what a plan lacks of the ideal order on a data set's queries.

    Args:
        bench: where the index is.
        dataset: queries and judgments.
        plan: the plan; its alias is replaced by the evaluation index.
        rerank: as ``Request.rerank``.
        most: at most so many queries, drawn always in the same way.
    """
    models = bench.open_encoders(plan.with_every_leg())
    index = bench.encoded_index(dataset, plan, models=models).name
    bound = bound_plan(bench.client, as_measured(plan, index=index))
    bound = bench.trusted(bound, index=index, models=models)
    if rerank != "auto":
        bound = bench.decided(bound, models=models, known=NOTHING_KNOWN, rerank=rerank)
    elif not bound.rerank.decided:
        bound = bench.remembered(bound, index=index, models=models, dataset=dataset)
    queries: Sequence[Query] = dataset.queries
    if most is not None and most < len(queries):
        places = sorted(shuffled([query.query_id for query in queries])[:most])
        queries = [queries[place] for place in places]
    rerankers = bound.rerank.models if bound.rerank.enabled else ()
    with recorded_set(bench, dataset, bound, queries=queries, rerankers=rerankers) as recorded:
        progress = bench.progress
        with progress.task("replaying", total=len(queries), unit="queries") as advance:
            found = attribute(
                recorded.record,
                Setting.of(bound),
                qrels=dataset.qrels,
                own={query.query_id: Setting.of(bound.for_query(query.text)) for query in queries},
                ask=recorded.ask,
                advance=advance,
            )
    return Attributed(plan=bound, queries=queries, attribution=found)
