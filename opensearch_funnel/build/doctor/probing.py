"""Search as a client would, and see whether the funnel answers in full."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

from opensearchpy import OpenSearch

from opensearch_funnel.build.doctor.indices import Index
from opensearch_funnel.build.doctor.pipelines import Pipeline
from opensearch_funnel.build.doctor.reading import Reader, Unread
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.hits import degraded

_TRIES = 3
"""A service that has just started misses its first deadlines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What came of a search.

    Attributes:
        skipped: why none was sent; empty where one was.
        failed: why there was no answer.
        degraded: whether the last answer lacked a stage.
        shards_failed: how many shards did not answer.
    """

    skipped: str = ""
    failed: Unread | None = None
    degraded: bool = False
    shards_failed: int = 0


def probe_search(reader: Reader, pipeline: Pipeline, *, index: Index | None, used: bool) -> Probe:
    """Search through a pipeline, as its clients do.

    Args:
        reader: asks the cluster.
        pipeline: what the search goes through.
        index: of its plan.
        used: whether clients have searched through it: a pipeline that nobody uses is left alone,
            because the search would count as a use.
    """
    plan = pipeline.plan
    if isinstance(plan, Unread) or index is None or not pipeline.body:
        return Probe(skipped="the pipeline is not whole")
    if pipeline.called is not None:
        return Probe(skipped="the cluster gets no answer from the service")
    fields = [name for name in plan.text_fields if name in plan.searched_fields]
    if plan.trace == "off" or not fields:
        return Probe(skipped="its answers carry no mark to tell by (trace, text_fields)")
    is_default = index.default == pipeline.name
    if not is_default and not used:
        return Probe(skipped="no client uses the pipeline")
    params = {} if is_default else {"search_pipeline": pipeline.name}
    words = probe_text(plan)
    body = {
        "query": {"multi_match": {"query": words, "fields": fields}},
        "size": 1,
        "_source": False,
    }

    def search(client: OpenSearch) -> Probe:
        answer = client.search(index=plan.alias, body=body, params=params)
        return Probe(degraded=degraded(answer), shards_failed=answer["_shards"]["failed"])

    found = Probe()
    for _ in range(_TRIES):
        answer = reader.read(search)
        if isinstance(answer, Unread):
            return Probe(failed=answer)
        found = answer
        if not found.degraded:
            break
    return found


def probe_text(plan: FunnelPlan) -> str:
    """Return words that are among those which the plan upgrades.

    Example:
        >>> probe_text(FunnelPlan(alias="films"))
        'funnel doctor 0'
    """
    texts = (f"funnel doctor {number}" for number in count())
    return next(text for text in texts if plan.samples(text))
