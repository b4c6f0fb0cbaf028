"""The comparison finds what it is there to find: each fault that a wrong rewrite could make."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients import comparing
from tests.clients.catalogue import PRODUCTS
from tests.clients.requests import Answer, Treatment

SHOES = sorted(doc_id for doc_id, product in PRODUCTS.items() if product.category == "shoes")
MARKED = {"_funnel": {"doc_count": 0, "meta": {"plan": "shop.0a", "rank": True}}}


def hit(doc_id: str, score: float, **more: Any) -> dict[str, Any]:
    return {"_id": doc_id, "_score": score, "_source": {"title": doc_id}, **more}


def answer(*hits: dict[str, Any], **more: Any) -> Answer:
    found = {"value": len(hits), "relation": "eq"}
    best = max((one["_score"] for one in hits), default=None)
    return {
        "took": 1,
        "_shards": {"total": 1, "failed": 0},
        "hits": {"total": found, "max_score": best, "hits": list(hits)},
        **more,
    }


PLAIN = answer(*(hit(doc_id, 3.0) for doc_id in SHOES[:3]))
SAME = answer(*(hit(doc_id, 1900.0) for doc_id in reversed(SHOES[:3])), aggregations=MARKED)
WIDE = answer(*(hit(doc_id, 1900.0) for doc_id in SHOES), aggregations=MARKED)


def complaints(plain: Answer, funnel: Answer, treatment: Treatment) -> list[str]:
    return comparing.upgraded(
        plain,
        funnel,
        treatment=treatment,
        keeps=lambda product: product.category == "shoes",
        reranked=True,
    )


def test_good_answers_are_not_complained_about() -> None:
    assert complaints(PLAIN, SAME, Treatment.SAME_SET) == []
    assert complaints(PLAIN, WIDE, Treatment.WIDENED) == []
    assert comparing.untouched(PLAIN, {**PLAIN, "took": 99}) == []


@pytest.mark.parametrize(
    ("funnel", "treatment", "complaint"),
    [
        (PLAIN, Treatment.SAME_SET, "no mark"),
        (WIDE, Treatment.SAME_SET, "total"),
        (SAME, Treatment.WIDENED, "keep to the filters"),
        (
            answer(*(hit(doc_id, 1900.0) for doc_id in SHOES[1:4]), aggregations=MARKED),
            Treatment.SAME_SET,
            "lost",
        ),
        (
            answer(hit(SHOES[0], 1900.0), aggregations=MARKED),
            Treatment.SAME_SET,
            "total",
        ),
        (
            answer(*(hit(one, 1900.0) for one in [*SHOES, "p01"]), aggregations=MARKED),
            Treatment.WIDENED,
            "break the request's filters",
        ),
        (
            answer(*(hit(SHOES[0], 1900.0) for _ in range(3)), aggregations=MARKED),
            Treatment.SAME_SET,
            "twice",
        ),
        (
            answer(*(hit(one, 0.5) for one in SHOES), aggregations=MARKED),
            Treatment.WIDENED,
            "degraded",
        ),
        (
            answer(*(hit(one, 1000.5 + n) for n, one in enumerate(SHOES[:3])), aggregations=MARKED),
            Treatment.SAME_SET,
            "scores rise",
        ),
        (
            answer(*(hit(one, 1900.0, _version=1) for one in SHOES[:3]), aggregations=MARKED),
            Treatment.SAME_SET,
            "_version",
        ),
        (
            answer(
                *(hit(one, 1900.0, fields={"funnel.id": [one]}) for one in SHOES[:3]),
                aggregations=MARKED,
            ),
            Treatment.SAME_SET,
            "shows",
        ),
        (
            answer(
                *(hit(one, 1900.0) for one in SHOES[:3]),
                aggregations={**MARKED, "brands": {"buckets": []}},
            ),
            Treatment.SAME_SET,
            "aggregations",
        ),
        (
            {**SAME, "_shards": {"total": 2, "failed": 1}},
            Treatment.SAME_SET,
            "shards failed",
        ),
    ],
)
def test_a_wrong_answer_is_complained_about(
    funnel: Answer, treatment: Treatment, complaint: str
) -> None:
    assert any(complaint in found for found in complaints(PLAIN, funnel, treatment))


@pytest.mark.parametrize(
    "funnel",
    [
        SAME,
        answer(*(hit(doc_id, 3.0000002) for doc_id in SHOES[:3])),
        answer(*(hit(doc_id, 3.0) for doc_id in SHOES[:2])),
        {**PLAIN, "suggest": {}},
    ],
    ids=["upgraded", "a score's last digit", "a hit less", "a key more"],
)
def test_an_untouched_answer_may_not_differ(funnel: Answer) -> None:
    assert comparing.untouched(PLAIN, funnel)


def test_a_clients_own_aggregation_of_the_same_name_is_no_mark() -> None:
    assert comparing.find_mark({"aggregations": {"_funnel": {"buckets": []}}}) is None
    assert comparing.find_mark({"aggregations": {"filter#_funnel": MARKED["_funnel"]}}) is not None


def test_pages_are_complained_about_when_they_repeat_or_lose_a_hit() -> None:
    ones = [hit(doc_id, 2.0) for doc_id in SHOES[:4]]
    plain = [answer(*ones[:2]), answer(*ones[2:])]
    for page in plain:
        page["hits"]["total"] = {"value": 4, "relation": "eq"}
    turned, repeated, short = [plain[1], plain[0]], [plain[0], plain[0]], [plain[0]]
    for treatment in (Treatment.SAME_SET, Treatment.WIDENED):
        assert comparing.pages_together(plain, turned, treatment=treatment) == []
        assert comparing.pages_together(plain, repeated, treatment=treatment)
        assert comparing.pages_together(plain, short, treatment=treatment)


def test_a_profile_is_compared_without_its_timings() -> None:
    node = {"type": "TermQuery", "time_in_nanos": 5, "breakdown": {"score": 1}}
    faster = {"type": "TermQuery", "time_in_nanos": 1, "breakdown": {"score": 9}}
    other = {**faster, "type": "BooleanQuery"}
    before = answer(profile={"shards": [{"searches": [{"query": [node]}]}]})
    assert (
        comparing.untouched(
            before, answer(profile={"shards": [{"searches": [{"query": [faster]}]}]})
        )
        == []
    )
    assert comparing.untouched(
        before, answer(profile={"shards": [{"searches": [{"query": [other]}]}]})
    )
