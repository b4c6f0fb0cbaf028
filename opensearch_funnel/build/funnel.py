"""Wire a plan's stages: the client form of a funnel, which needs no pipeline and no service."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from opensearchpy import OpenSearch

from opensearch_funnel.core.funnel import Funnel
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.core.stage import LegSearcher, SourceReader, Stage
from opensearch_funnel.engine.leg_hits import (
    EngineLegs,
    EngineSources,
    engine_version,
    plain_query,
    shards_of,
)
from opensearch_funnel.stages.fetch import Fetch
from opensearch_funnel.stages.fuse import Fuse
from opensearch_funnel.stages.rerank import cross_encoders
from opensearch_funnel.stages.retrieve import Retrieve

if TYPE_CHECKING:
    from opensearch_funnel.core.fusion import Version
    from opensearch_funnel.engine.queries import Body

RERANKING = "reranking"


def client_funnel(
    client: OpenSearch,
    plan: FunnelPlan,
    *,
    models: PlanModels,
    lexical: Callable[[Query], Body] | None = None,
) -> Funnel:
    """Return a plan as stages that run in this process.

    It gives the order that the plan's search pipeline gives where the index is one segment a
    shard: the same legs, the same fusion to the last digit, the same reranking. Only the
    engine's own choices cannot be seen from here: a page that is longer than what was found is
    reranked there in whole pages, and a shard of several segments that are searched in parallel
    may hand over more than the plan's depth. A plan's ``sample`` is for the live pipeline: here
    every query goes through all stages.

    Args:
        client: the cluster; asked once for its version and for the shards of the index.
        plan: what to run, bound to an index.
        models: the models of the plan's legs and of its reranking.
        lexical: the query of the lexical leg; by default what a client without the funnel
            would send, the words of the query in the plan's text fields.

    Returns:
        A funnel to call with ``Ranking(Query(text=…))``. Where reranking fails it is skipped,
        and the fused order stands (of a cascade: the order of its first model).

    Raises:
        IndexMissingError: the plan's index does not exist.
        StageUnavailableError: the plan reranks, and ``models`` has no reranker.
    """
    shards = shards_of(client, plan.alias)
    legs = EngineLegs(
        client=client,
        plan=plan,
        models=models,
        shards=shards,
        lexical=lexical or plain_query(plan),
    )
    sources = EngineSources(client=client, shards=shards, fields=plan.text_fields)
    return funnel_of(
        plan, models=models, legs=legs, sources=sources, version=engine_version(client)
    )


def funnel_of(
    plan: FunnelPlan,
    *,
    models: PlanModels,
    legs: LegSearcher,
    sources: SourceReader,
    version: Version = (3, 6),
) -> Funnel:
    """Return a plan's stages over any source of hits and documents.

    Example:
        >>> from opensearch_funnel.core.leg_hit import LegHit
        >>> from opensearch_funnel.core.ranking import Ranking
        >>> from opensearch_funnel.testing import LegsInMemory, SourcesInMemory
        >>> legs = LegsInMemory({"bm25": [LegHit(doc_id="a", score=1.0)]})
        >>> plan = FunnelPlan(alias="films").with_legs("bm25")
        >>> sources = SourcesInMemory({})
        >>> funnel = funnel_of(plan, models=PlanModels(), legs=legs, sources=sources)
        >>> [stage.name for stage in funnel.stages]
        ['retrieve', 'fuse']
        >>> [c.score for c in funnel(Ranking(Query(text="fox"))).candidates]
        [1.0]
    """
    fuse = Fuse(
        plan.active_legs,
        weights=plan.weights,
        fusion=plan.fusion,
        version=version,
        placed=plan.placed,
    )
    stages: tuple[Stage, ...] = (Retrieve(legs), fuse)
    if plan.rerank.enabled:
        stages = (*stages, _reranking(plan, models=models, sources=sources))
    return Funnel(stages, ignore_failure=frozenset({RERANKING}))


def _reranking(plan: FunnelPlan, *, models: PlanModels, sources: SourceReader) -> Funnel:
    """Return the documents' fetching and one or two cross-encoders, as one stage.

    One, because none of it is worth anything without what comes before it.
    """
    rerank = plan.rerank
    encoders = cross_encoders(rerank, models=models, text_fields=plan.text_fields)
    ignored = frozenset(encoder.name for encoder in encoders[1:])
    fetch = Fetch(sources, depth=rerank.depth)
    return Funnel((fetch, *encoders), ignore_failure=ignored, name=RERANKING)
