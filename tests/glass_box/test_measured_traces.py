"""The traces of a system that is measured are those of the answers it gave."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opensearch_funnel.build.funnel import client_funnel
from opensearch_funnel.build.tracing_systems import tracer
from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.ranking import Query, Ranking
from opensearch_funnel.engine.applying import pipeline_name
from opensearch_funnel.evaluating.funnel_systems import (
    fused_search,
    leg_system,
    native_search,
    native_system,
    rrf_reference,
)
from opensearch_funnel.evaluating.systems import whole_page

from .conftest import DENSE, SPARSE, LengthScorer, Playground

pytestmark = pytest.mark.engine

QUERIES = [Query(text=text, query_id=text) for text in ("red fox", "silver storm harbour")]
SIZE = 60


def test_a_trace_has_the_place_in_each_leg_after_fusion_and_after_reranking(
    shared: Playground,
) -> None:
    models = PlanModels(
        sparse=SPARSE, dense=DENSE, first_reranker=LengthScorer(), reranker=shared.scorer
    )
    name = pipeline_name(shared.index)
    system = native_system(
        shared.client, shared.plan, name="funnel", pipeline=name, timed_pipeline=name
    )
    ask = native_search(shared.client, shared.plan, pipeline=name)
    traces = tracer(shared.client, shared.plan, ask=ask, models=lambda: models, size=SIZE)
    alone = replace(shared.plan, rerank=replace(shared.plan.rerank, enabled=False))
    funnel = client_funnel(shared.client, alone, models=models)
    for query in QUERIES:
        answered = system.search(query, SIZE).doc_ids
        wanted = [answered[0], answered[4], answered[-1]]
        found = traces(query, [*wanted, "not there"])
        assert sorted(found) == sorted(wanted)
        fused = [candidate.doc_id for candidate in funnel(Ranking(query)).candidates]
        legs: dict[str, tuple[str, ...]] = {
            leg: leg_system(shared.client, shared.plan, leg=leg, models=models)
            .search(query, shared.plan.depth)
            .doc_ids
            for leg in shared.plan.active_legs
        }
        for doc_id, trace in found.items():
            assert trace.doubts == ()
            assert trace.fused == fused.index(doc_id) + 1
            last = trace.reranked if trace.reranked is not None else trace.fused
            assert last == answered.index(doc_id) + 1
            assert list(trace.legs) == list(shared.plan.active_legs)
            for leg, place in trace.legs.items():
                rank = legs[leg].index(doc_id) + 1 if doc_id in legs[leg] else None
                assert place.rank == rank
                assert len(place.terms) <= 5
        assert found[wanted[0]].reranked == 1
        # Behind the window nothing is reranked.
        assert found[wanted[-1]].reranked is None
        assert {term for term, _ in found[wanted[0]].legs["bm25"].terms} <= set(query.text.split())


def test_the_reference_without_tuning_is_traced_too(shared: Playground) -> None:
    models = PlanModels(sparse=SPARSE, dense=DENSE)
    plan = rrf_reference(shared.plan)
    ask = fused_search(shared.client, plan, models=models)
    traces = tracer(shared.client, plan, ask=ask, models=lambda: models, size=SIZE)
    answered = whole_page(ask(QUERIES[0], SIZE))
    found = traces(QUERIES[0], answered[:3])
    assert [found[doc_id].fused for doc_id in answered[:3]] == [1, 2, 3]
    assert all(trace.doubts == () and trace.reranked is None for trace in found.values())


def test_more_than_a_trace_can_hold_is_refused_before_anything_is_opened(
    shared: Playground,
) -> None:
    def opened() -> PlanModels:
        raise AssertionError("models were opened")

    ask = native_search(shared.client, shared.plan, pipeline=pipeline_name(shared.index))
    deep = tracer(shared.client, shared.plan, ask=ask, models=opened, size=1000)
    with pytest.raises(InputError, match="a trace is made of 200 hits"):
        deep(QUERIES[0], ["d1"])
    plain = tracer(shared.client, shared.plan, ask=ask, models=opened, size=SIZE)
    with pytest.raises(InputError, match="2,000 characters at most"):
        plain(Query(text="red " * 600, query_id="q"), ["d1"])
