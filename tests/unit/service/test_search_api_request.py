"""A search of the service: what it refuses, and the plain body that it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from opensearch_funnel.core.errors import InputError
from opensearch_funnel.core.plan import FunnelPlan
from opensearch_funnel.engine.allow_list import read_text_search
from opensearch_funnel.service.search_api_request import SearchRequest, filter_query


def request(**changes: Any) -> SearchRequest:
    return SearchRequest(**{"index": "films", "text": "red fox", **changes})


def test_the_body_is_the_one_that_any_client_would_send() -> None:
    assert request(size=5).body == {
        "query": {
            "multi_match": {"query": "red fox", "fields": ["title", "text"], "type": "best_fields"}
        },
        "size": 5,
        "_source": {"includes": ["title", "text"], "excludes": ["funnel"]},
    }


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"filters": {"year": {"gte": 1990}, "genre": ["crime", "drama"], "seen": True}},
        {"start": 20, "highlight": True, "source": ("year",)},
        {"fields": ("title^3", "text")},
    ],
)
def test_every_body_is_one_that_the_funnel_upgrades(changes: dict[str, Any]) -> None:
    plan = FunnelPlan(alias="films", searched_fields=("title", "text"), mapped_fields=2)
    search = read_text_search(request(**changes).body, plan=plan)
    assert search is not None
    assert search.text == "red fox"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"text": "  "}, "empty"),
        ({"text": "x" * 2001}, "longer than 2000"),
        ({"fields": ()}, "fields"),
        ({"size": 0}, "size must be from 1 to 200"),
        ({"size": 201}, "size must be from 1 to 200"),
        ({"start": -1}, "from must not be negative"),
        ({"start": 9_999, "size": 10}, "10000 together"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_line(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason) as caught:
        request(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        {"index": "secret", "id": "1", "path": "password"},  # a look-up in another index
        {"source": "while (true) {}"},
        {},
        [],
        None,
        [{"script": "x"}],
        {"gte": [1]},
        object(),
    ],
)
def test_a_filter_is_a_value_and_never_a_query(value: Any) -> None:
    with pytest.raises(InputError, match="filter year"):
        filter_query("year", value)


def test_filters_hold_beside_the_text_query() -> None:
    query = request(filters={"genre": "crime"}).query
    assert query["bool"]["filter"] == [{"term": {"genre": {"value": "crime"}}}]
    assert query["bool"]["must"] == [request().lexical]
