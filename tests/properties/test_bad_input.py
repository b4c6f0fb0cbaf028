"""No body, however odd, makes a route that reads JSON fail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.service.process import wait_for_plan
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights
from tests.unit.service.served_api import served_api

PLAN = FunnelPlan.from_dict(
    {
        "alias": "films",
        "searched_fields": ["text"],
        "sparse": {"fingerprint": WordWeights().fingerprint},
        "dense": {"fingerprint": WordVector().fingerprint},
        "rerank": {"enabled": True},
        "deadlines": {"rewrite_ms": 20_000, "rank_ms": 20_000},
    }
)
MODELS = PlanModels(sparse=WordWeights(), dense=WordVector(), reranker=OverlapScorer())
PUBLIC = (
    "/rerank",
    "/v1/rerank",
    "/v2/rerank",
    "/v1/embeddings",
    "/v1/sparse-embeddings",
    "/embed",
    "/embed_sparse",
)
OURS = tuple(f"/v1/plans/{PLAN.plan_id}/{action}" for action in ("rewrite", "rank", "embed"))

WORDS = ["w1", "w1 w2", "", "overlap", "dense-words", "search_query", "base64", "\u2028", "x" * 99]
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(st.characters(codec="utf-8"), max_size=20)
)
NAMES = st.sampled_from(
    [
        *("model", "query", "documents", "texts", "text", "top_n", "return_documents"),
        *("rank_fields", "raw_scores", "input", "inputs", "encoding_format", "dimensions"),
        *("input_type", "plan", "q", "page", "start", "size", "source", "match", "request"),
    ]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=12,
)
NEARLY = st.fixed_dictionaries(
    {},
    optional={
        "query": st.sampled_from(WORDS) | VALUES,
        "documents": st.lists(st.sampled_from(WORDS) | VALUES, max_size=4),
        "texts": st.lists(st.sampled_from(WORDS) | VALUES, max_size=4),
        "input": st.sampled_from(WORDS) | st.lists(SCALARS, max_size=4),
        "inputs": st.sampled_from(WORDS) | st.lists(SCALARS, max_size=4),
        "model": SCALARS,
        "top_n": SCALARS,
        "rank_fields": VALUES,
        "plan": st.dictionaries(NAMES, VALUES, max_size=4),
        "source": st.dictionaries(NAMES, VALUES, max_size=3),
    },
)
BODIES = (NEARLY | VALUES).map(orjson.dumps) | st.binary(max_size=60)


@pytest.fixture(scope="module")
def client() -> Iterator[httpx2.Client]:
    with (
        served_api(plan=PLAN, models=MODELS, preload=lambda: [PLAN.plan_id]) as url,
        httpx2.Client(base_url=url) as made,
    ):
        wait_for_plan(url, PLAN.plan_id)
        yield made


@pytest.mark.parametrize("path", PUBLIC)
@given(body=BODIES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_public_route_answers_or_says_what_is_wrong(
    client: httpx2.Client, path: str, body: bytes
) -> None:
    answer = client.post(path, content=body)
    assert answer.status_code < 500, (body, answer.text)
    content: Any = answer.json()
    if answer.status_code != 200:
        assert content.get("message") or content["error"]


@pytest.mark.parametrize("path", OURS)
@given(body=BODIES)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_route_of_the_pipeline_answers_or_says_what_is_wrong(
    client: httpx2.Client, path: str, body: bytes
) -> None:
    answer = client.post(path, content=body)
    # Without a cluster, the texts of hits cannot be had: that is no fault of the request.
    allowed = {200, 400, 503} if path.endswith("rank") else {200, 400}
    assert answer.status_code in allowed, (body, answer.text)


@pytest.mark.parametrize("path", [*PUBLIC, *OURS])
def test_a_body_nested_too_deeply_is_bad_and_no_more(client: httpx2.Client, path: str) -> None:
    for body in (b"[" * 100_000, b'{"query":' * 5_000, b'{"source":' + b"[" * 50_000):
        assert 400 <= client.post(path, content=body).status_code < 500
