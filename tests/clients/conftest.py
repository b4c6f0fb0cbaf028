"""A corpus of requests as real clients make them, each run with and without the funnel.

How to add a request: write one entry into the module of its client below ``corpus/``. It says what
it is called, what it sends (``sending.py`` has a function for each way) and its expected treatment
(``requests.py``): untouched, same set, counted, widened or refused. Where a filter has to hold for
what the other legs bring in, say so in ``keeps``, on the product. Nothing else: the tests read the
corpus, send every entry before and after the pipeline becomes the index's default, under every
plan of ``serving.py``, and compare (``comparing.py``). Whether an answer was upgraded is read off
its mark.

A request that changes documents is a ``Job`` in ``corpus/by_query_jobs.py``: it runs on two fresh
copies of the shop, one with the pipeline and one without, which must then hold the same documents.

Bodies imitate what the clients send; where a shape was looked up, its module says where.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from zlib import crc32

import pytest
from opensearchpy import OpenSearch
from opensearchpy.exceptions import TransportError

from opensearch_funnel.core.plan import FunnelPlan
from tests.clients.catalogue import ARCHIVE, PRODUCTS, bulk_lines, shop_body
from tests.clients.corpus.everything import REQUESTS
from tests.clients.requests import Answer, Send, Shop
from tests.clients.serving import PLANS, applied, plan_named, service


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run each request under the first plan and one other; the rest is ``exhaustive``.

    Which other one goes by its name, so each plan gets its share, and each run is the same.
    """
    first, *others = PLANS
    for item in items:
        given: dict[str, Any] = getattr(getattr(item, "callspec", None), "params", {})
        if "applied_plan" in given:
            asked = given.get("request_") or given.get("job")
            second = others[crc32(asked.name.encode()) % len(others)] if asked else first
            if asked and given["applied_plan"] not in {first, second}:
                item.add_marker(pytest.mark.exhaustive)


NORMALIZED = {
    "phase_results_processors": [
        {"normalization-processor": {"normalization": {"technique": "min_max"}}}
    ]
}


def answers_to(send: Send, shop: Shop) -> list[Answer]:
    """Send a request; an error of the engine is an answer too."""
    try:
        answer = send(shop)
    except TransportError as error:
        return [{"status": error.status_code, "error": error.error, "info": error.info}]
    return answer if isinstance(answer, list) else [answer]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedPlan:
    """A plan whose pipeline is the default of the shop while it is yielded."""

    name: str
    plan: FunnelPlan
    pipeline: str


@pytest.fixture(scope="session")
def shop(client: OpenSearch, node_url: str) -> Iterator[Shop]:
    """All indices and aliases; no pipeline runs on them yet."""
    shop = Shop(client=OpenSearch([node_url]), base=f"clients-{uuid.uuid4().hex[:8]}")
    client.transport.perform_request("PUT", f"/_search/pipeline/{shop.theirs}", body=NORMALIZED)
    try:
        fill_index(client, shop.index, shop_body(), bulk_lines(PRODUCTS))
        fill_index(client, shop.archive, shop_body(), bulk_lines(ARCHIVE))
        plain = shop_body(funnel=False)
        fill_index(client, shop.plain, plain, bulk_lines(ARCHIVE, funnel=False))
        foreign = shop_body(default_pipeline=shop.theirs)
        fill_index(client, shop.foreign, foreign, bulk_lines(ARCHIVE))
        shoes = {"term": {"category": "shoes"}}
        add: list[dict[str, Any]] = [{"index": shop.index, "alias": shop.alias}]
        add.append({"index": shop.index, "alias": shop.shoes, "filter": shoes})
        client.indices.update_aliases(body={"actions": [{"add": one} for one in add]})
        yield shop
    finally:
        client.indices.delete(index=f"{shop.base}*", params={"ignore_unavailable": "true"})
        client.transport.perform_request("DELETE", f"/_search/pipeline/{shop.theirs}")


def fill_index(
    client: OpenSearch, index: str, body: dict[str, Any], lines: list[dict[str, Any]]
) -> None:
    """Make an index of one segment, so that scores and ties are the same each time."""
    client.indices.create(index=index, body=body)
    if lines:
        done = client.bulk(index=index, body=lines, params={"refresh": "true"})
        assert not done["errors"], done


@pytest.fixture(scope="session")
def plain_answers(shop: Shop) -> dict[str, list[Answer]]:
    """The answer to every request of the corpus before there is a pipeline."""
    return {request.name: answers_to(request.send, shop) for request in REQUESTS}


@pytest.fixture(scope="session")
def service_url(client: OpenSearch) -> Iterator[str]:
    with service(client) as url:
        yield url


# Not for the whole session: other tests look at what is applied to the cluster.
@pytest.fixture(scope="module", params=list(PLANS))
def applied_plan(
    request: pytest.FixtureRequest,
    client: OpenSearch,
    shop: Shop,
    service_url: str,
    plain_answers: dict[str, list[Answer]],
) -> Iterator[AppliedPlan]:
    """One plan after the other, applied once for all tests of a module under it."""
    del plain_answers  # asked for so that they are there before the pipeline is
    plan = plan_named(client, request.param, index=shop.index)
    with applied(client, plan, url=service_url) as pipeline:
        key = "index.search.default_pipeline"
        client.indices.put_settings(index=shop.archive, body={key: pipeline})
        yield AppliedPlan(name=request.param, plan=plan, pipeline=pipeline)
        client.indices.put_settings(index=shop.archive, body={key: None})
