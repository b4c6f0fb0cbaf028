"""What ``pipeline apply --dry-run`` says of real clients' requests is what happens to them.

The corpus says of each request what the funnel does with it, and other tests show that it does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from opensearchpy import OpenSearch, Urllib3HttpConnection
from opensearchpy.exceptions import TransportError

from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.previews import preview
from tests.clients.corpus.everything import REQUESTS
from tests.clients.requests import Shop, Treatment
from tests.clients.serving import PLANS, plan_named

pytestmark = pytest.mark.engine

# Only the cluster knows where its window ends: a page behind it is an error either way.
BEHIND_THE_WINDOW = "a page past the window"


Sent = tuple[str, dict[str, Any], Any]
"""Path, parameters and body."""


class Recorder(Urllib3HttpConnection):
    """Remembers what a client sends."""

    sent: ClassVar[list[Sent]]

    def perform_request(
        self,
        method: str,
        url: str,
        params: Any = None,
        body: Any = None,
        *options: Any,
        **more: Any,
    ) -> Any:
        self.sent.append((url, dict(params or {}), body))
        return super().perform_request(method, url, params, body, *options, **more)


@pytest.fixture(scope="module")
def bodies(shop: Shop, node_url: str) -> Iterator[list[tuple[str, Treatment, dict[str, Any]]]]:
    """The bodies of the corpus that say everything about their search, with their treatment."""

    class Recording(Recorder):
        sent: ClassVar[list[Sent]] = []

    told = Shop(client=OpenSearch([node_url], connection_class=Recording), base=shop.base)
    found = []
    for request in REQUESTS:
        Recording.sent.clear()
        with suppress(TransportError):
            request.send(told)
        alone = len(Recording.sent) == 1
        url, params, body = Recording.sent[0]
        # An address with parameters, or of other indices, says things that no body shows.
        if alone and url == f"/{shop.index}/_search" and not params and body:
            found.append((request.name, request.treatments[0], json.loads(body)))
    yield found
    told.client.close()


@pytest.mark.parametrize("name", list(PLANS))
def test_a_preview_says_what_happens(
    client: OpenSearch,
    shop: Shop,
    bodies: list[tuple[str, Treatment, dict[str, Any]]],
    name: str,
) -> None:
    plan: FunnelPlan = plan_named(client, name, index=shop.index)
    differing = []
    for request, treatment, body in bodies:
        expected = treatment.under(plan.matching)
        outcome = preview(body, plan=plan, dimension=8).outcome
        if outcome != expected and request != BEHIND_THE_WINDOW:
            differing.append((request, expected, outcome))
    assert not differing
    assert len(bodies) > 250
    treatments = {treatment.under("auto") for _, treatment, _ in bodies}
    assert treatments == {Treatment.UNTOUCHED, Treatment.SAME_SET, Treatment.WIDENED}


def test_outside_of_the_sample_every_request_is_untouched(
    client: OpenSearch, shop: Shop, bodies: list[tuple[str, Treatment, dict[str, Any]]]
) -> None:
    plan = replace(plan_named(client, "default", index=shop.index), sample=1e-12)
    assert {preview(body, plan=plan).outcome for _, _, body in bodies} == {"untouched"}
