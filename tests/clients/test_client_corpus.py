"""The corpus is as large and as mixed as it claims."""

from __future__ import annotations

from collections import Counter

from opensearch_funnel.core.plan import FunnelPlan, Matching
from tests.clients.corpus.everything import JOBS, REQUESTS
from tests.clients.requests import Client, Treatment
from tests.clients.serving import PLANS

LEAST_REQUESTS, LEAST_OF_A_CLIENT, LEAST_OF_A_TREATMENT = 120, 2, 3


def test_there_are_enough_requests_and_no_two_are_called_the_same() -> None:
    names = [*(request.name for request in REQUESTS), *(job.name for job in JOBS)]
    assert len(REQUESTS) >= LEAST_REQUESTS
    assert [name for name, times in Counter(names).items() if times > 1] == []


def test_every_client_has_requests() -> None:
    found = Counter([*(request.client for request in REQUESTS), *(job.client for job in JOBS)])
    assert [client for client in Client if found[client] < LEAST_OF_A_CLIENT] == []


def test_every_treatment_occurs() -> None:
    found: Counter[Treatment] = Counter()
    for request in REQUESTS:
        found.update(request.treatments)
    assert [one for one in Treatment if found[one] < LEAST_OF_A_TREATMENT] == []


def test_the_plans_decide_in_every_way_which_documents_may_match() -> None:
    found = {FunnelPlan(alias="shop", **changes).matching for changes in PLANS.values()}
    every: set[Matching] = {"auto", "same_set", "widen"}
    assert found == every


def test_a_plan_that_decides_changes_the_treatment_of_what_is_free() -> None:
    changed = {one: (one.under("same_set"), one.under("widen")) for one in Treatment}
    fixed = (Treatment.UNTOUCHED, Treatment.SAME_SET, Treatment.REFUSED)
    assert all(changed[one] == (one, one) for one in fixed)
    assert changed[Treatment.WIDENED] == (Treatment.SAME_SET, Treatment.WIDENED)
    assert changed[Treatment.COUNTED] == (Treatment.SAME_SET, Treatment.WIDENED)
