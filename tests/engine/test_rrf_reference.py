"""The system ``rrf`` on the real node: its order is what reciprocal ranks of the legs give."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.build.evaluation_systems import EvaluatedSystems, Request
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.core.ranking import Query
from opensearch_funnel.evaluating.funnel_systems import fused_system
from opensearch_funnel.evaluating.systems import System
from opensearch_funnel.settings import Settings
from tests.engine.shelf import MODELS, fill_index

pytestmark = pytest.mark.engine

WORDS = ["red", "blue", "fox", "hound", "whale", "wall", "song", "thief", "city", "night", "snow"]
QUERIES = ["red fox", "whale song", "the thief of the city at night", "snow snow wall"]
DOCUMENTS, DEPTH = 80, 15
PLANS: dict[str, dict[str, Any]] = {
    "the default": {},
    "tuned": {
        "fusion": {"technique": "rrf", "rank_constant": 1},
        "sparse": {"weight": 0.05},
        "dense": {"weight": 9.0},
    },
    "two legs": {"fusion": {"technique": "min_max"}, "sparse": {"weight": 0.0}},
}


@pytest.fixture(scope="module")
def index(client: OpenSearch) -> Iterator[str]:
    """One shard of one segment: what a leg finds alone is then what it finds in a hybrid query."""
    name = "test-rrf-reference"
    client.indices.delete(index=name, params={"ignore_unavailable": "true"})
    draw = random.Random(5)  # noqa: S311 - the same documents every time
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(2, 7))) for _ in range(DOCUMENTS)]
    fill_index(client, name, {f"d{n}": {"title": "", "text": text} for n, text in enumerate(texts)})
    client.indices.forcemerge(index=name, params={"max_num_segments": "1"})
    yield name
    client.indices.delete(index=name)


def opened(client: OpenSearch, plan: FunnelPlan) -> dict[str, System]:
    """Open the legs of a plan and the reference; there is no service, and none is needed."""
    request = Request(systems=(*plan.active_legs, "rrf"), leave_one_out=False)
    systems = EvaluatedSystems(client=client, settings=Settings(service_url="http://127.0.0.1:9"))
    with systems.opened(plan, models=MODELS, request=request) as found:
        return {system.name: system for system in found}


@pytest.mark.parametrize("parts", PLANS.values(), ids=PLANS.keys())
def test_the_reference_is_the_sum_of_reciprocal_ranks(
    client: OpenSearch, index: str, parts: dict[str, Any]
) -> None:
    plan = FunnelPlan.from_dict({"alias": index, "depth": DEPTH, "rerank": {"depth": 5}, **parts})
    systems = opened(client, plan)
    assert list(systems) == [*plan.active_legs, "rrf"]
    differs = 0
    for number, text in enumerate(QUERIES):
        query = Query(text=text, query_id=str(number))
        sums: dict[str, float] = defaultdict(float)
        for leg in plan.active_legs:
            ranking = systems[leg].search(query, DEPTH).doc_ids
            assert 0 < len(ranking) <= DEPTH
            for rank, doc_id in enumerate(ranking, start=1):
                sums[doc_id] += 1 / (60 + rank)
        found = systems["rrf"].search(query, 100)
        assert not found.degraded
        assert sorted(found.doc_ids) == sorted(sums), text
        # Documents with equal sums may stand in any order: what has to fall is the sum.
        assert [sums[doc_id] for doc_id in found.doc_ids] == pytest.approx(
            sorted(sums.values(), reverse=True), abs=1e-7
        ), text
        assert systems["rrf"].search(query, 4).doc_ids == found.doc_ids[:4]
        own = fused_system(client, plan, name="hybrid", models=MODELS).search(query, 100)
        differs += own.doc_ids != found.doc_ids
    assert differs, "the plan's own fusion gives another order, or nothing was tested"
