"""Dashboards' query bar and TSVB, and Grafana, whose ``_msearch`` its issue 24936 quotes."""

from __future__ import annotations

from typing import Any

from tests.clients.corpus.dashboards_shapes import (
    DQL_FIELD,
    DQL_FREE,
    DQL_PHRASE,
    HISTOGRAM,
    LUCENE,
    SENT_ALONG,
    SPRING,
    board,
    bool_of,
    series,
)
from tests.clients.requests import (
    COUNTED,
    UNTOUCHED,
    WIDENED,
    Client,
    ClientRequest,
    Rule,
    Treatment,
)
from tests.clients.sending import msearch, search

QUERY_BAR = (
    # The bar's words reach other pages' searches too: saved searches on a dashboard, plugins.
    board(
        "query bar, Lucene syntax, no field",
        Client.QUERY_BAR,
        WIDENED,
        {"size": 48, "query": bool_of(must=(LUCENE,), filters=())},
    ),
    board(
        "query bar, Lucene syntax, a field",
        Client.QUERY_BAR,
        UNTOUCHED,
        {
            "size": 48,
            "query": bool_of(
                must=({"query_string": {"query": "title:lamp", "analyze_wildcard": True}},)
            ),
        },
    ),
    board(
        "query bar, Lucene syntax below filter",
        Client.QUERY_BAR,
        UNTOUCHED,
        {"size": 48, "query": bool_of(filters=(LUCENE, SPRING))},
    ),
    board(
        "query bar, DQL with a field",
        Client.QUERY_BAR,
        UNTOUCHED,
        {"size": 48, "query": bool_of(filters=(DQL_FIELD, SPRING))},
    ),
    board(
        "query bar, DQL phrase",
        Client.QUERY_BAR,
        UNTOUCHED,
        {"size": 48, "query": bool_of(filters=(DQL_PHRASE,))},
    ),
    board(
        "query bar, values suggested while typing",
        Client.QUERY_BAR,
        UNTOUCHED,
        {
            "size": 0,
            "timeout": "1000ms",
            "terminate_after": 100000,
            "query": {"bool": {"filter": [SPRING]}},
            "aggs": {
                "suggestions": {
                    "terms": {
                        "field": "category",
                        "include": "la.*",
                        "execution_hint": "map",
                        "shard_size": 10,
                    }
                }
            },
        },
    ),
)


def several(name: str, client: Client, *bodies: dict[str, Any]) -> ClientRequest:
    return ClientRequest(
        name=name,
        client=client,
        expected=(UNTOUCHED,) * len(bodies),
        send=msearch(*bodies, header={"ignore_unavailable": True}),
    )


TSVB = (
    several(
        "TSVB, a count",
        Client.TSVB,
        series(
            bool_of(),
            {
                "a": {
                    "bucket_script": {
                        "buckets_path": {"count": "_count"},
                        "script": {"source": "count * 1", "lang": "expression"},
                    }
                }
            },
        ),
    ),
    several(
        "TSVB, averages of two series",
        Client.TSVB,
        series(bool_of(must=(LUCENE,)), {"a": {"avg": {"field": "price"}}}),
        series(bool_of(filters=(DQL_FREE, SPRING)), {"b": {"max": {"field": "stock"}}}),
    ),
    several(
        "TSVB, a moving average",
        Client.TSVB,
        series(
            bool_of(),
            {
                "a": {"avg": {"field": "price"}},
                "b": {
                    "moving_fn": {
                        "buckets_path": "a",
                        "window": 3,
                        "script": "MovingFunctions.unweightedAvg(values)",
                    }
                },
            },
        ),
    ),
    several(
        "TSVB, annotations",
        Client.TSVB,
        {
            "size": 0,
            "query": bool_of(must=(LUCENE,), filters=(SPRING, {"exists": {"field": "brand"}})),
            "timeout": "30000ms",
            "aggs": {
                "b1": {
                    "date_histogram": {"field": "published", "fixed_interval": "30d"},
                    "aggs": {
                        "hits": {
                            "top_hits": {
                                "size": 5,
                                "sort": [{"published": {"order": "desc"}}],
                                "_source": {"includes": ["brand", "published"]},
                            }
                        }
                    },
                }
            },
        },
    ),
    several(
        "TSVB, a table",
        Client.TSVB,
        {
            "size": 0,
            "query": bool_of(),
            "timeout": "30000ms",
            "aggs": {
                "pivot": {
                    "terms": {"field": "brand", "size": 10},
                    "aggs": {
                        "s": {
                            "filter": {"match_all": {}},
                            "aggs": {"timeseries": HISTOGRAM},
                        }
                    },
                }
            },
        },
    ),
)

GRAFANA = (
    several(
        "Grafana, buckets over time",
        Client.GRAFANA,
        {
            "size": 0,
            "query": {
                "bool": {
                    "filter": [
                        {
                            "range": {
                                "published": {
                                    "gte": 1767225600000,
                                    "lte": 1780272000000,
                                    "format": "epoch_millis",
                                }
                            }
                        },
                        {
                            "query_string": {
                                "analyze_wildcard": True,
                                "query": "category:lamps AND red",
                            }
                        },
                    ]
                }
            },
            "aggs": {"2": {"date_histogram": {"field": "published", "fixed_interval": "30d"}}},
        },
    ),
    several(
        "Grafana, raw documents",
        Client.GRAFANA,
        {
            "size": 500,
            "query": {
                "bool": {
                    "filter": [SPRING, {"query_string": {"analyze_wildcard": True, "query": "*"}}]
                }
            },
            "sort": [
                {"published": {"order": "desc", "unmapped_type": "boolean"}},
                {"_doc": "desc"},
            ],
            "script_fields": {},
        },
    ),
)


def typed(name: str, expected: Treatment, query: Any, *, keeps: Rule, **more: Any) -> ClientRequest:
    return ClientRequest(
        name=name,
        client=Client.QUERY_BAR,
        expected=expected,
        send=search({"size": 48, "query": query, **more}, **SENT_ALONG),
        keeps=keeps,
    )


def in_spring(product: Any) -> bool:
    return bool(product.published <= "2026-06-01")


NAMED_FIELDS = {**LUCENE["query_string"], "fields": ["title", "text"]}
PANELS = (
    # An index whose settings or saved query name the fields: a person's words in known fields.
    typed(
        "query bar, Lucene syntax in named fields",
        WIDENED,
        bool_of(must=({"query_string": NAMED_FIELDS},)),
        keeps=in_spring,
    ),
    typed(
        "query bar, named fields with facets",
        COUNTED,
        bool_of(must=({"query_string": NAMED_FIELDS},)),
        keeps=in_spring,
        aggs={"2": HISTOGRAM},
    ),
    typed(
        "query bar, named fields and a filter from the bar",
        WIDENED,
        bool_of(
            must=({"query_string": NAMED_FIELDS},),
            filters=({"match_phrase": {"category": "lamps"}}, SPRING),
        ),
        keeps=lambda p: in_spring(p) and p.category == "lamps",
    ),
)

REQUESTS = (*QUERY_BAR, *TSVB, *GRAFANA, *PANELS)
