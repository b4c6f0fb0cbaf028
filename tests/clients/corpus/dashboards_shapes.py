"""The pieces of what OpenSearch Dashboards sends.

Where the shapes come from: Discover's body is quoted in OpenSearch-Dashboards issue 7632, and with
a histogram in Kibana issue 69049, which Dashboards descends from; Visualize's in issue 6926. How
the query bar turns into a query is in Dashboards' ``data`` plugin: words without a field become a
``multi_match`` over every field, with a field a ``match`` or ``match_phrase`` in ``bool.should``,
both below ``filter`` (DQL); in Lucene syntax a ``query_string`` below ``must``. TSVB's series are
built in its ``vis_type_timeseries`` plugin and sent as one ``_msearch``.
"""

from __future__ import annotations

from typing import Any

from tests.clients.requests import Client, ClientRequest, Treatment
from tests.clients.sending import search

SPRING = {
    "range": {
        "published": {
            "gte": "2026-01-01T00:00:00.000Z",
            "lte": "2026-06-01T00:00:00.000Z",
            "format": "strict_date_optional_time",
        }
    }
}
DATES = [{"field": "published", "format": "date_time"}]
NEWEST = [{"published": {"order": "desc", "unmapped_type": "boolean"}}]
MARKED = {
    "pre_tags": ["@opensearch-dashboards-highlighted-field@"],
    "post_tags": ["@/opensearch-dashboards-highlighted-field@"],
    "fields": {"*": {}},
    "fragment_size": 2147483647,
}
SENT_ALONG = {"ignore_unavailable": "true", "preference": "1732189171234"}
LUCENE = {"query_string": {"query": "red lamp", "analyze_wildcard": True, "time_zone": "UTC"}}
DQL_FREE = {"multi_match": {"type": "best_fields", "query": "red lamp", "lenient": True}}
DQL_FIELD = {"bool": {"should": [{"match": {"text": "red"}}], "minimum_should_match": 1}}
DQL_PHRASE = {
    "bool": {"should": [{"match_phrase": {"text": "late reading"}}], "minimum_should_match": 1}
}


def bool_of(*, must: tuple[Any, ...] = (), filters: tuple[Any, ...] = (SPRING,)) -> dict[str, Any]:
    parts = {"must": list(must), "filter": list(filters), "should": [], "must_not": []}
    return {"bool": parts}


def discover(query: Any, *, sort: Any = NEWEST, **changes: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "sort": sort,
        "size": 500,
        "version": True,
        "stored_fields": ["*"],
        "script_fields": {},
        "docvalue_fields": DATES,
        "_source": {"excludes": []},
        "query": query,
        "highlight": MARKED,
    }
    return {**body, **changes}


HISTOGRAM = {
    "date_histogram": {
        "field": "published",
        "fixed_interval": "7d",
        "time_zone": "UTC",
        "min_doc_count": 1,
    }
}


def visualize(query: Any, aggs: Any, **changes: Any) -> dict[str, Any]:
    body = {
        "size": 0,
        "aggs": aggs,
        "stored_fields": ["*"],
        "script_fields": {},
        "docvalue_fields": DATES,
        "_source": {"excludes": []},
        "query": query,
    }
    return {**body, **changes}


def series(query: Any, aggs: Any) -> dict[str, Any]:
    """One series of a TSVB panel: buckets over time below a bucket of everything."""
    over_time = {
        "date_histogram": {
            "field": "published",
            "min_doc_count": 0,
            "time_zone": "UTC",
            "extended_bounds": {"min": 1767225600000, "max": 1780272000000},
            "fixed_interval": "30d",
        },
        "aggs": aggs,
    }
    split = {
        "filter": {"match_all": {}},
        "aggs": {"timeseries": over_time},
        "meta": {"timeField": "published", "intervalString": "30d", "seriesId": "61ca57f1"},
    }
    return {"size": 0, "query": query, "aggs": {"61ca57f1": split}, "timeout": "30000ms"}


def board(
    name: str, client: Client, expected: Treatment, body: dict[str, Any], **params: str
) -> ClientRequest:
    return ClientRequest(
        name=name,
        client=client,
        expected=expected,
        send=search(body, **{**SENT_ALONG, **params}),
    )
