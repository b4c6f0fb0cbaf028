"""The funnel as systems to measure: each leg alone, the legs fused, and all of it in two forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.funnel import Funnel
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import LEGS, FunnelPlan, Fusion, LegName, PerQuery
from opensearch_funnel.core.ranking import Query, Ranking
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.engine.queries import leg_queries, multi_match
from opensearch_funnel.engine.searching import Response, search, search_fused
from opensearch_funnel.evaluating.systems import Answer, System, whole_page

Ask = Callable[[Query, int], Response]
"""Asks for so many documents, and returns what the engine answers."""


def leg_system(client: OpenSearch, plan: FunnelPlan, *, leg: LegName, models: PlanModels) -> System:
    """Return one leg of a plan alone; queries are encoded here, and no pipeline is used."""
    alone = plan.with_legs(leg)

    def ask(query: Query, size: int) -> Answer:
        lexical = multi_match(query.text, fields=plan.text_fields)
        legs = leg_queries(alone, text=query.text, bm25=lexical, models=models)
        return Answer(whole_page(search(client, plan.alias, query=legs[leg], size=size)))

    return System(leg, ask)


def fused_system(client: OpenSearch, plan: FunnelPlan, *, name: str, models: PlanModels) -> System:
    """Return the legs of a plan, encoded here and fused by the engine, without the service."""
    ask = fused_search(client, plan, models=models)
    return System(name, lambda query, size: Answer(whole_page(ask(query, size))))


def fused_search(client: OpenSearch, plan: FunnelPlan, *, models: PlanModels) -> Ask:
    """Return what asks a plan's legs, encoded here and fused by the engine."""

    def ask(query: Query, size: int) -> Response:
        lexical = multi_match(query.text, fields=plan.text_fields)
        legs = leg_queries(plan, text=query.text, bm25=lexical, models=models)
        return search_fused(client, plan, legs=legs, size=size)

    return ask


def native_search(client: OpenSearch, plan: FunnelPlan, *, pipeline: str) -> Ask:
    """Return what sends a plain query through an applied pipeline."""
    return lambda query, size: search(
        client,
        plan.alias,
        query=multi_match(query.text, fields=plan.text_fields),
        size=size,
        pipeline=pipeline,
    )


def rrf_reference(plan: FunnelPlan) -> FunnelPlan:
    """Return what needs no tuning: reciprocal ranks of a plan's legs, all weighing the same.

    The rank constant is 60 (Cormack, Clarke and Büttcher, SIGIR 2009), whatever the plan says of
    fusion and weights; nothing is reranked.

    Args:
        plan: says which legs there are, and how deep they are.

    Raises:
        InputError: the plan has one leg.

    Example:
        >>> asked = FunnelPlan.from_dict({"alias": "films", "dense": {"weight": 9.0}})
        >>> reference = rrf_reference(asked.with_legs("sparse", "dense"))
        >>> reference.fusion.technique, reference.active_legs, reference.weights
        ('rrf', ('sparse', 'dense'), (0.5, 0.5))
    """
    legs = plan.active_legs
    if len(legs) < 2:  # noqa: PLR2004 - one alone is not fused
        raise InputError(
            f"rrf fuses two legs or more, and the plan has {legs[0]} alone: give another leg a "
            "weight above 0, or leave rrf out of --systems"
        )
    equal = {leg: replace(getattr(plan, leg), weight=float(leg in legs)) for leg in LEGS}
    rerank = replace(plan.rerank, enabled=False)
    plan = replace(plan, per_query=PerQuery())
    return replace(plan, fusion=Fusion(technique="rrf", rank_constant=60), rerank=rerank, **equal)


def native_system(
    client: OpenSearch, plan: FunnelPlan, *, name: str, pipeline: str, timed_pipeline: str
) -> System:
    """Return a plan as clients meet it: their plain query through the search pipeline.

    Args:
        client: the cluster.
        plan: names the index and the fields of the query.
        name: of the system.
        pipeline: the applied pipeline that answers are measured through.
        timed_pipeline: the one that is timed; it keeps the plan's deadlines.
    """

    def through(chosen: str, query: Query, size: int) -> Answer:
        response = native_search(client, plan, pipeline=chosen)(query, size)
        return Answer(whole_page(response), degraded=degraded(response))

    return System(
        name,
        lambda query, size: through(pipeline, query, size),
        timed=lambda query, size: through(timed_pipeline, query, size),
    )


def client_system(funnel: Funnel, *, name: str) -> System:
    """Return a plan whose stages all run here: the client form of a funnel.

    Args:
        funnel: the stages; an answer where one of them was skipped counts as degraded.
        name: of the system.
    """

    def ask(query: Query, size: int) -> Answer:
        run = funnel.run(Ranking(query))
        found = run.ranking.top(size).candidates
        return Answer(tuple(c.doc_id for c in found), degraded=run.degraded)

    return System(name, ask)
