"""Every request of the corpus against its answer without the funnel, under every plan.

Requests that no plan upgrades run under two of them: what they meet is the same in all.
"""

from __future__ import annotations

import pytest

from tests.clients import comparing
from tests.clients.conftest import AppliedPlan, answers_to
from tests.clients.corpus.everything import REQUESTS
from tests.clients.requests import Answer, ClientRequest, Shop, Treatment
from tests.clients.serving import FOR_UNTOUCHED

pytestmark = pytest.mark.engine

BROKEN_SCROLL = "Scroll operation is not supported in hybrid query"
UNTOUCHED = [one for one in REQUESTS if set(one.treatments) == {Treatment.UNTOUCHED}]
OTHERS = [one for one in REQUESTS if one not in UNTOUCHED]


def name_of(request: ClientRequest) -> str:
    return request.name


@pytest.mark.parametrize("request_", UNTOUCHED, ids=name_of)
@pytest.mark.parametrize("applied_plan", FOR_UNTOUCHED, indirect=True)
def test_a_request_that_no_plan_upgrades_is_answered_as_before(
    request_: ClientRequest,
    applied_plan: AppliedPlan,
    shop: Shop,
    plain_answers: dict[str, list[Answer]],
) -> None:
    check(request_, applied_plan, plain_answers[request_.name], answers_to(request_.send, shop))


@pytest.mark.parametrize("request_", OTHERS, ids=name_of)
def test_a_request_gets_its_treatment(
    request_: ClientRequest,
    applied_plan: AppliedPlan,
    shop: Shop,
    plain_answers: dict[str, list[Answer]],
) -> None:
    check(request_, applied_plan, plain_answers[request_.name], answers_to(request_.send, shop))


def check(
    request_: ClientRequest, applied_plan: AppliedPlan, plain: list[Answer], funnel: list[Answer]
) -> None:
    """Fail with everything that is wrong with the answers to a request."""
    expected = [one.under(applied_plan.plan.matching) for one in request_.treatments]
    if expected[0] is Treatment.REFUSED:
        assert "error" not in plain[0]
        assert funnel[0]["status"] == 400
        assert BROKEN_SCROLL in str(funnel[0]["info"])
        return
    expected *= len(plain) // len(expected)
    wrong = []
    if not len(plain) == len(funnel) == len(expected):
        wrong.append(f"{len(plain)} answers became {len(funnel)}: {funnel[-1]}")
    for number, (before, after, treatment) in enumerate(
        zip(plain, funnel, expected, strict=False), start=1
    ):
        complaints = comparing.untouched(before, after)
        if treatment is not Treatment.UNTOUCHED:
            complaints = comparing.upgraded(
                before,
                after,
                treatment=treatment,
                keeps=request_.keeps,
                within=request_.within,
                reranked=request_.reranked,
            )
        wrong += [f"answer {number}: {complaint}" for complaint in complaints]
    if request_.pages and not wrong and expected[0] is not Treatment.UNTOUCHED:
        wrong += comparing.pages_together(plain, funnel, treatment=expected[0])
    assert not wrong, "\n".join(wrong)
