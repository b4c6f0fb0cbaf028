"""Dashboards' Discover and Visualize."""

from __future__ import annotations

from tests.clients.corpus.dashboards_shapes import (
    DATES,
    DQL_FIELD,
    DQL_FREE,
    HISTOGRAM,
    LUCENE,
    SPRING,
    board,
    bool_of,
    discover,
    visualize,
)
from tests.clients.requests import UNTOUCHED, Client

DISCOVER = (
    board("Discover, nothing typed", Client.DISCOVER, UNTOUCHED, discover(bool_of())),
    board(
        "Discover, with its histogram",
        Client.DISCOVER,
        UNTOUCHED,
        discover(bool_of(), aggs={"2": HISTOGRAM}),
        track_total_hits="true",
    ),
    board(
        "Discover, words in Lucene syntax",
        Client.DISCOVER,
        UNTOUCHED,
        discover(bool_of(must=(LUCENE,))),
    ),
    board(
        "Discover, words in DQL",
        Client.DISCOVER,
        UNTOUCHED,
        discover(bool_of(filters=(DQL_FREE, SPRING))),
    ),
    board(
        "Discover, a pattern without a time field",
        Client.DISCOVER,
        UNTOUCHED,
        discover(bool_of(filters=(DQL_FREE,)), sort=[{"_score": {"order": "desc"}}]),
    ),
    board(
        "Discover, Lucene syntax without a time field",
        Client.DISCOVER,
        UNTOUCHED,
        discover(bool_of(must=(LUCENE,), filters=()), sort=[{"_score": {"order": "desc"}}]),
    ),
    board(
        "Discover, totals as numbers",
        Client.DISCOVER,
        UNTOUCHED,
        discover(bool_of(must=(LUCENE,))),
        rest_total_hits_as_int="true",
        track_total_hits="true",
    ),
    board(
        "Discover, the documents around one",
        Client.DISCOVER,
        UNTOUCHED,
        {
            "size": 5,
            "search_after": [1772323200000, 12],
            "sort": [
                {"published": {"order": "desc", "unmapped_type": "boolean"}},
                {"_doc": {"order": "asc", "unmapped_type": "boolean"}},
            ],
            "version": True,
            "query": {"bool": {"filter": {"constant_score": {"filter": SPRING}}}},
            "_source": {"excludes": []},
        },
    ),
    board(
        "Discover, one document",
        Client.DISCOVER,
        UNTOUCHED,
        {
            "query": {"ids": {"values": ["p07"]}},
            "stored_fields": ["*"],
            "_source": {"excludes": []},
            "script_fields": {},
            "docvalue_fields": DATES,
        },
    ),
)

VISUALIZE = (
    board(
        "Visualize, a histogram",
        Client.VISUALIZE,
        UNTOUCHED,
        visualize(bool_of(), {"2": HISTOGRAM}),
        track_total_hits="true",
    ),
    board(
        "Visualize, the commonest terms",
        Client.VISUALIZE,
        UNTOUCHED,
        visualize(
            bool_of(must=(LUCENE,)),
            {
                "2": {
                    "terms": {"field": "category", "order": {"1": "desc"}, "size": 5},
                    "aggs": {"1": {"avg": {"field": "price"}}},
                }
            },
        ),
    ),
    board(
        "Visualize, filters",
        Client.VISUALIZE,
        UNTOUCHED,
        visualize(
            bool_of(),
            {
                "2": {
                    "filters": {
                        "filters": {
                            "lamps": bool_of(filters=(DQL_FIELD,)),
                            "lucene": bool_of(must=(LUCENE,), filters=()),
                        }
                    }
                }
            },
        ),
    ),
    board(
        "Visualize, a filter from the bar",
        Client.VISUALIZE,
        UNTOUCHED,
        visualize(
            bool_of(filters=({"match_phrase": {"category": "lamps"}}, SPRING)), {"2": HISTOGRAM}
        ),
    ),
    board(
        "Visualize, one number",
        Client.VISUALIZE,
        UNTOUCHED,
        visualize(bool_of(filters=(DQL_FREE, SPRING)), {"1": {"cardinality": {"field": "brand"}}}),
    ),
    board(
        "Visualize, a range of an input control",
        Client.VISUALIZE,
        UNTOUCHED,
        {
            "size": 0,
            "timeout": "1000ms",
            "terminate_after": 100000,
            "query": bool_of(),
            "aggs": {
                "minAgg": {"min": {"field": "price"}},
                "maxAgg": {"max": {"field": "price"}},
            },
        },
    ),
)


REQUESTS = (*DISCOVER, *VISUALIZE)
