"""The search pipeline with Python on both sides, on the real node.

The encoders and the reranker are small stand-ins, so that what is tested is the way of a request
through the engine and the service, not a model.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from opensearchpy import OpenSearch

from opensearch_funnel.core.errors import InvalidPlanError
from opensearch_funnel.core.models import PlanModels
from opensearch_funnel.core.plan import Deadlines, FunnelPlan, Reranking
from opensearch_funnel.core.text import encoded_text, text_hash
from opensearch_funnel.engine.applying import (
    apply_pipeline,
    bound_plan,
    remove_pipeline,
    show_pipelines,
)
from opensearch_funnel.engine.hits import degraded
from opensearch_funnel.service.process import wait_for_plan
from opensearch_funnel.testing import OverlapScorer, WordVector, WordWeights
from tests.engine.shelf import fill_index, stand_in_service

pytestmark = pytest.mark.engine

SPARSE, DENSE = WordWeights(), WordVector()
TEXTS = {
    "d0": "the red fox and the hound",
    "d1": "a fox",
    "d2": "red paint on a red wall",
    "d3": "blue whales sing",
    "d4": "fox fox fox fox",
}
FOX = {"query": {"match": {"text": "red fox"}}}
CLOSED = "http://127.0.0.1:9"


class Switchable:
    """A reranker whose behaviour a test can change while the service runs."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        self.broken = ""
        self.asked: list[str] = []

    def score(self, query: str, texts: Sequence[str]) -> list[float]:
        self.asked.append(query)
        time.sleep(self.delay_s)
        if self.broken == "raises":
            raise RuntimeError("the model is gone")
        scores = list(OverlapScorer().score(query, texts))
        if self.broken == "nan":
            scores[0] = float("nan")
        return scores[:-1] if self.broken == "short" else scores


@pytest.fixture
def index(client: OpenSearch, index_name: str) -> str:
    fill_index(client, index_name, {i: {"title": "", "text": t} for i, t in TEXTS.items()})
    return index_name


def service(client: OpenSearch, reranker: Switchable) -> AbstractContextManager[str]:
    return stand_in_service(
        client, models=PlanModels(sparse=SPARSE, dense=DENSE, reranker=reranker)
    )


@pytest.fixture
def reranker() -> Switchable:
    return Switchable()


@pytest.fixture
def url(client: OpenSearch, reranker: Switchable) -> Iterator[str]:
    with service(client, reranker) as address_:
        yield address_


@contextmanager
def applied(
    client: OpenSearch, plan: FunnelPlan, *, url: str, default: bool = True
) -> Iterator[str]:
    done = apply_pipeline(client, plan, service_url=url, default=default, check=url != CLOSED)
    try:
        if url != CLOSED:
            wait_for_plan(url, plan.plan_id)
        yield done.name
    finally:
        remove_pipeline(client, done.name)


def plan_for(client: OpenSearch, index: str, **changes: Any) -> FunnelPlan:
    rerank = changes.pop("rerank", Reranking(enabled=True, depth=3))
    # A test says what happens, not how fast: a busy machine must not turn into a degraded answer.
    patient = changes.pop("deadlines", Deadlines(rewrite_ms=20_000, rank_ms=20_000))
    plan = FunnelPlan(alias=index, rerank=rerank, deadlines=patient, **changes)
    return bound_plan(client, plan)


def search(client: OpenSearch, index: str, body: Any, **params: Any) -> dict[str, Any]:
    response: dict[str, Any] = client.search(index=index, body=body, params=params)
    return response


def ids(response: dict[str, Any]) -> list[str]:
    return [hit["_id"] for hit in response["hits"]["hits"]]


def test_the_same_plain_body_gives_bm25_without_the_pipeline_and_the_funnel_with_it(
    client: OpenSearch, index: str, url: str
) -> None:
    before = search(client, index, FOX)
    with applied(client, plan_for(client, index), url=url):
        after = search(client, index, FOX)
        around = search(client, index, FOX, search_pipeline="_none")
    assert "aggregations" not in before
    assert "d3" not in ids(before)
    assert not degraded(after)
    assert ids(after)[0] == "d0"
    assert set(ids(after)) == set(TEXTS), "dense and sparse legs bring documents in"
    assert after["hits"]["max_score"] > 1000
    scores = [hit["_score"] for hit in after["hits"]["hits"]]
    assert scores == sorted(scores, reverse=True)
    assert all("funnel" not in hit["_source"] for hit in after["hits"]["hits"])
    assert around["hits"] == before["hits"]
    assert search(client, index, FOX)["hits"] == before["hits"], "removed without a trace"


def test_fusion_without_a_reranker_and_the_size_of_the_client(
    client: OpenSearch, index: str, url: str
) -> None:
    plan = plan_for(client, index, rerank=Reranking())
    with applied(client, plan, url=url):
        three = search(client, index, {**FOX, "size": 3}, include_named_queries_score="true")
        ten = search(client, index, FOX)
    assert len(three["hits"]["hits"]) == 3
    assert ids(ten)[:3] == ids(three)
    assert not degraded(three)
    assert three["hits"]["hits"][0]["matched_queries"].keys() == {"bm25", "sparse", "dense"}


def test_a_window_wider_than_the_page_reranks_what_the_page_would_not_show(
    client: OpenSearch, index: str, url: str
) -> None:
    with applied(client, plan_for(client, index, rerank=Reranking(enabled=True, depth=5)), url=url):
        page = search(client, index, {**FOX, "size": 1})
    assert ids(page) == ["d0"]


@pytest.mark.parametrize(
    "text",
    ["${parameters.source}", "${body}", "a ${x:-fox}", '"quotes" \\', "🦊 red fox", '{"a":1}'],
)
def test_hostile_query_texts_are_searched_as_they_were_typed(
    client: OpenSearch, index: str, url: str, reranker: Switchable, text: str
) -> None:
    body = {"query": {"match": {"text": text}}}
    plain = search(client, index, body)
    with applied(client, plan_for(client, index), url=url):
        answer = search(client, index, body)
    if text == "${parameters.source}":
        # The engine fills this one in before the service can see it: the plain answer stands.
        assert degraded(answer)
        assert ids(answer) == ids(plain)
    else:
        assert not degraded(answer)
        assert reranker.asked == [text]
        assert set(ids(plain)) <= set(ids(answer)), "the lexical leg is the client's own query"


@pytest.mark.parametrize("fault", ["raises", "nan", "short"])
def test_a_broken_reranker_leaves_the_fused_order_and_says_so(
    client: OpenSearch, index: str, url: str, reranker: Switchable, fault: str
) -> None:
    with applied(client, plan_for(client, index, rerank=Reranking()), url=url):
        fused = ids(search(client, index, FOX))
    reranker.broken = fault
    with applied(client, plan_for(client, index), url=url):
        answer = search(client, index, FOX)
    assert ids(answer) == fused
    assert degraded(answer)


@pytest.mark.parametrize("fault", ["raises", "slow"])
def test_a_page_whose_reranking_fails_is_still_that_page(
    client: OpenSearch, index: str, url: str, reranker: Switchable, fault: str
) -> None:
    asked = {**FOX, "size": 2, "from": 2}
    deadlines = Deadlines(rewrite_ms=20_000, rank_ms=200)
    reranking = Reranking(enabled=True, depth=4)
    with applied(client, plan_for(client, index, rerank=Reranking()), url=url):
        fused = ids(search(client, index, {**FOX, "size": 4}))
    with applied(client, plan_for(client, index, rerank=reranking, deadlines=deadlines), url=url):
        search(client, index, asked)
        reranker.broken, reranker.delay_s = fault, 2.0 if fault == "slow" else 0.0
        answer = search(client, index, asked)
        first = search(client, index, {**FOX, "size": 2})
    assert degraded(answer)
    assert degraded(first)
    assert ids(first) + ids(answer) == fused


def test_a_slow_reranker_is_given_up_at_its_deadline(
    client: OpenSearch, index: str, url: str, reranker: Switchable
) -> None:
    plan = plan_for(client, index, deadlines=Deadlines(rewrite_ms=20_000, rank_ms=200))
    with applied(client, plan, url=url):
        search(client, index, FOX)
        reranker.delay_s = 6.0
        start = time.monotonic()
        answer = search(client, index, FOX)
        taken = time.monotonic() - start
    assert degraded(answer)
    assert len(ids(answer)) == len(TEXTS)
    assert taken < reranker.delay_s


def test_without_the_service_the_plain_answer_stands_and_is_marked(
    client: OpenSearch, index: str
) -> None:
    plain = search(client, index, FOX)
    with applied(client, plan_for(client, index), url=CLOSED):
        answer = search(client, index, FOX)
    assert ids(answer) == ids(plain)
    assert degraded(answer)


def test_by_query_jobs_and_reindex_touch_exactly_what_they_should(
    client: OpenSearch, index: str, url: str
) -> None:
    body = {"query": {"match": {"text": "paint"}}}
    with applied(client, plan_for(client, index), url=url):
        copied = client.reindex(
            body={"source": {"index": index, **body}, "dest": {"index": f"{index}-copy"}},
            params={"refresh": "true"},
        )
        touched = client.update_by_query(index=index, body=body, params={"refresh": "true"})
        removed = client.delete_by_query(index=index, body=body, params={"refresh": "true"})
        counted = client.count(index=index, body=body)
    assert copied["created"] == touched["updated"] == removed["deleted"] == 1
    assert counted["count"] == 0


@pytest.mark.parametrize(
    "body",
    [
        {"query": {"match_all": {}}},
        {**FOX, "sort": [{"_id": "asc"}]},
        {**FOX, "min_score": 0.1},
        {**FOX, "size": 0},
        {"query": {"bool": {"filter": [FOX["query"], {"match": {"text": "red"}}]}}},
    ],
)
def test_what_is_not_upgraded_is_answered_as_without_the_pipeline(
    client: OpenSearch, index: str, url: str, body: dict[str, Any]
) -> None:
    with applied(client, plan_for(client, index), url=url):
        with_pipeline = search(client, index, body)
        plain = search(client, index, body, search_pipeline="_none")
    for response in (with_pipeline, plain):
        response.pop("took")
    assert with_pipeline == plain


def test_what_the_funnel_asks_for_itself_is_not_in_the_answer(
    client: OpenSearch, index: str, url: str
) -> None:
    asked = {**FOX, "docvalue_fields": ["_id"], "fields": ["text"]}
    with applied(client, plan_for(client, index), url=url):
        plain, more = search(client, index, FOX), search(client, index, asked)
    assert not degraded(plain)
    assert all("fields" not in hit for hit in plain["hits"]["hits"])
    assert all("funnel" not in hit["_source"] for hit in plain["hits"]["hits"])
    assert all(hit["fields"].keys() == {"_id", "text"} for hit in more["hits"]["hits"])


@pytest.mark.parametrize(
    "limit", [{"index.max_result_window": 500}, {"index.max_docvalue_fields_search": 20}]
)
def test_an_index_with_tight_limits_is_refused_and_told_which(
    client: OpenSearch, index: str, limit: dict[str, int]
) -> None:
    client.indices.put_settings(index=index, body=limit)
    ((name, value),) = limit.items()
    with pytest.raises(InvalidPlanError, match=f"{name} of {index} is {value}"):
        plan_for(client, index)


def test_a_query_string_without_fields_is_a_look_up_where_the_index_names_other_fields(
    client: OpenSearch, index: str
) -> None:
    assert plan_for(client, index).mapped_fields > 0
    client.indices.put_settings(index=index, body={"index.query.default_field": ["funnel.id"]})
    assert plan_for(client, index).mapped_fields == 0


def test_a_changed_document_is_reranked_by_its_new_text(
    client: OpenSearch, index: str, url: str
) -> None:
    with applied(client, plan_for(client, index), url=url):
        assert ids(search(client, index, FOX))[0] == "d0"
        changed = {"title": "", "text": "nothing of that kind"}
        encoded = encoded_text(changed, fields=["title", "text"])
        kept = client.get(index=index, id="d0")["_source"]["funnel"]
        client.index(
            index=index,
            id="d0",
            body={**changed, "funnel": {**kept, "hash": text_hash(encoded)}},
            params={"refresh": "true"},
        )
        after = search(client, index, FOX)
    assert not degraded(after)
    assert ids(after)[0] != "d0"


def test_applying_twice_changes_nothing_and_removing_leaves_nothing(
    client: OpenSearch, index: str, url: str
) -> None:
    settings_before = client.cluster.get_settings()
    plan = plan_for(client, index)
    first = apply_pipeline(client, plan, service_url=url, default=True)
    second = apply_pipeline(client, plan, service_url=url, default=True)
    assert first == second
    third = apply_pipeline(client, plan_for(client, index, depth=77), service_url=url)
    assert third.plan_id != first.plan_id
    assert set(third.models).isdisjoint(first.models)
    assert third.default_of == first.default_of
    (shown,) = [p for p in show_pipelines(client) if p["name"] == first.name]
    assert shown["plan"]["depth"] == 77
    remove_pipeline(client, first.name)
    assert client.cluster.get_settings() == settings_before
    assert all(p["name"] != first.name for p in show_pipelines(client))
    models = client.transport.perform_request(
        "POST",
        "/_plugins/_ml/models/_search",
        body={"query": {"match_phrase_prefix": {"name": f"funnel {index}"}}},
    )
    assert models["hits"]["hits"] == []
    with pytest.raises(InvalidPlanError, match="no pipeline"):
        remove_pipeline(client, first.name)


def test_a_default_pipeline_of_somebody_else_comes_back(
    client: OpenSearch, index: str, url: str
) -> None:
    client.transport.perform_request(
        "PUT", f"/_search/pipeline/{index}-theirs", body={"request_processors": []}
    )
    key = "index.search.default_pipeline"
    client.indices.put_settings(index=index, body={key: f"{index}-theirs"})
    plan = plan_for(client, index)
    with pytest.raises(InvalidPlanError, match=f"default pipeline {index}-theirs"):
        apply_pipeline(client, plan, service_url=url, default=True)
    done = apply_pipeline(client, plan, service_url=url, default=True, replace_default=True)
    remove_pipeline(client, done.name)
    found = client.indices.get_settings(index=index, params={"flat_settings": "true"})
    assert found[index]["settings"][key] == f"{index}-theirs"
    with pytest.raises(InvalidPlanError, match="did not make"):
        apply_pipeline(client, plan, service_url=url, name=f"{index}-theirs")
    body = client.transport.perform_request("GET", f"/_search/pipeline/{index}-theirs")
    assert body[f"{index}-theirs"] == {"request_processors": []}
    client.indices.put_settings(index=index, body={key: None})
    client.transport.perform_request("DELETE", f"/_search/pipeline/{index}-theirs")


def test_an_index_of_another_model_is_refused(client: OpenSearch, index: str) -> None:
    other = FunnelPlan.from_dict({"alias": index, "sparse": {"model": "another"}})
    with pytest.raises(InvalidPlanError, match="was encoded by splade-tiny"):
        bound_plan(client, other)
    with pytest.raises(InvalidPlanError, match="slot 'b'"):
        bound_plan(client, FunnelPlan(alias=index, slot="b"))


def test_a_plan_whose_models_differ_from_the_index_answers_plain(
    client: OpenSearch, index: str, url: str
) -> None:
    plan = FunnelPlan.from_dict(
        {
            **plan_for(client, index).to_dict(),
            "sparse": {"weight": 1.0, "fingerprint": "ffffffffffff"},
        }
    )
    plain = search(client, index, FOX)
    done = apply_pipeline(client, plan, service_url=url, default=True, check=False)
    try:
        answer = search(client, index, FOX)
    finally:
        remove_pipeline(client, done.name)
    assert ids(answer) == ids(plain)
    assert degraded(answer)
