"""A search outside of its plan's sample: it passes as it came, is counted, and not degraded."""

from __future__ import annotations

import httpx2

from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.service.process import wait_for_plan
from opensearch_funnel.service.search_api_answers import read_answer
from opensearch_funnel.service.search_api_request import SearchRequest
from opensearch_funnel.testing import WordVector, WordWeights
from tests.unit.service.served_api import served_api

SPARSE, DENSE = WordWeights(), WordVector()
PLAN = FunnelPlan.from_dict(
    {
        "alias": "films",
        "searched_fields": ["text"],
        "sparse": {"fingerprint": SPARSE.fingerprint},
        "dense": {"fingerprint": DENSE.fingerprint},
        "deadlines": {"rewrite_ms": 20_000, "rank_ms": 20_000},
        "sample": 0.5,
        # The service has no cluster here to search the legs in.
        "fusion": {"technique": "min_max"},
    }
)
TEXTS = [f"fox {number}" for number in range(20)]
OUTSIDE = [text for text in TEXTS if not PLAN.samples(text)]
PLAIN = {"took": 3, "hits": {"total": {"value": 1, "relation": "eq"}, "hits": []}}


def total(metrics: str, name: str) -> float:
    rows = (line.rpartition(" ") for line in metrics.splitlines() if line.startswith(name))
    return sum(float(value) for _, _, value in rows)


def test_what_is_not_in_the_sample_is_counted_and_not_degraded() -> None:
    assert 0 < len(OUTSIDE) < len(TEXTS)
    models = PlanModels(sparse=SPARSE, dense=DENSE)
    with served_api(plan=PLAN, models=models, preload=lambda: [PLAN.plan_id]) as url:
        wait_for_plan(url, PLAN.plan_id)
        rewrite = f"{url}/v1/plans/{PLAN.plan_id}/rewrite"
        for text in TEXTS:
            source = {"query": {"match": {"text": {"query": text}}}}
            body = httpx2.post(rewrite, json={"source": source}).json()["body"]
            assert ('"hybrid"' in body) is PLAN.samples(text)
        # What is no search of a person is outside of every sample, and counts for none.
        httpx2.post(rewrite, json={"source": {"query": {"match_all": {}}}})
        metrics = httpx2.get(f"{url}/metrics").text
    assert total(metrics, "funnel_unsampled_total") == len(OUTSIDE)
    assert total(metrics, "funnel_degraded_total") == 0


def test_an_answer_to_a_search_outside_of_the_sample_lacks_nothing() -> None:
    for text in TEXTS:
        request = SearchRequest(index="films", text=text)
        answer = read_answer(PLAIN, request, system="funnel", plan=PLAN)
        assert answer.degraded is PLAN.samples(text)
        assert not answer.upgraded
        assert read_answer(PLAIN, request, system="funnel").degraded
