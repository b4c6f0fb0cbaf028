"""One request for each kind of query that is not a plain text search: none is upgraded."""

from __future__ import annotations

from typing import Any

from tests.clients.requests import UNTOUCHED, Client, ClientRequest
from tests.clients.sending import search

TEXT: dict[str, Any] = {"match": {"text": "red lamp"}}
OWN = [1.0, 2.0, 3.0, 1.0]


def _untouched(name: str, body: dict[str, Any], **params: Any) -> ClientRequest:
    return ClientRequest(
        name=name,
        client=Client.LOW_LEVEL,
        expected=UNTOUCHED,
        send=search({"size": 48, **body}, **params),
    )


def _query(kind: str, content: Any) -> ClientRequest:
    return _untouched(f"query: {kind}", {"query": {kind.partition(",")[0]: content}})


TERMS = (
    _query("match_all", {}),
    _query("match_none", {}),
    _query("term", {"category": {"value": "lamps"}}),
    _query("term, of a text", {"text": "lamp"}),
    _query("terms", {"tags": ["sale", "red"]}),
    _query("terms, looked up", {"colour": {"index": "{index}", "id": "p03", "path": "tags"}}),
    _query(
        "terms_set",
        {"tags": {"terms": ["red", "sale"], "minimum_should_match_script": {"source": "2"}}},
    ),
    _query("ids", {"values": ["p01", "p02", "nobody"]}),
    _query("range", {"price": {"gte": 20, "lte": 90}}),
    _query("range, of dates", {"published": {"gte": "2026-02-01||/M", "time_zone": "+01:00"}}),
    _query("exists", {"field": "stock"}),
    _query("prefix", {"sku": {"value": "SKU-100"}}),
    _query("wildcard", {"text": {"value": "la*p"}}),
    _query("regexp", {"text": "l[ai]mp|tent"}),
    _query("fuzzy", {"text": {"value": "lanp", "fuzziness": 1}}),
)
WRAPPED = (
    _query("constant_score", {"filter": TEXT, "boost": 1.5}),
    _query("dis_max", {"queries": [TEXT, {"match": {"title": "red lamp"}}], "tie_breaker": 0.2}),
    _query(
        "boosting",
        {"positive": TEXT, "negative": {"term": {"colour": "red"}}, "negative_boost": 0.4},
    ),
    _query(
        "function_score",
        {
            "query": TEXT,
            "functions": [
                {"filter": {"term": {"on_sale": True}}, "weight": 2},
                {"gauss": {"published": {"origin": "2026-05-01", "scale": "30d"}}},
            ],
            "score_mode": "sum",
        },
    ),
    _query("function_score, a field", {"query": TEXT, "field_value_factor": {"field": "price"}}),
    _query(
        "function_score, at random",
        {"query": TEXT, "random_score": {"seed": 7, "field": "_seq_no"}},
    ),
    _query(
        "script_score", {"query": TEXT, "script": {"source": "_score + doc['price'].value / 100"}}
    ),
    _query(
        "nested",
        {
            "path": "reviews",
            "query": {"match": {"reviews.comment": "good"}},
            "inner_hits": {"size": 2},
            "score_mode": "max",
        },
    ),
    _query(
        "more_like_this",
        {"fields": ["title", "text"], "like": "a red lamp", "min_term_freq": 1, "min_doc_freq": 1},
    ),
    _query(
        "more_like_this, of a document",
        {
            "fields": ["text"],
            "like": [{"_index": "{index}", "_id": "p01"}],
            "min_term_freq": 1,
            "min_doc_freq": 1,
        },
    ),
)
POSITIONS = (
    _query(
        "intervals",
        {
            "text": {
                "all_of": {"intervals": [{"match": {"query": "late reading", "ordered": True}}]}
            }
        },
    ),
    _query(
        "span_near",
        {
            "clauses": [{"span_term": {"text": "late"}}, {"span_term": {"text": "read"}}],
            "slop": 1,
            "in_order": True,
        },
    ),
    _query("span_first", {"match": {"span_term": {"text": "light"}}, "end": 3}),
    _query("span_multi", {"match": {"prefix": {"text": {"value": "wat"}}}}),
    _query(
        "span_not",
        {"include": {"span_term": {"text": "light"}}, "exclude": {"span_term": {"text": "warm"}}},
    ),
)
PLACES = (
    _query("geo_distance", {"distance": "300km", "location": {"lat": 42.0, "lon": -2.0}}),
    _query(
        "geo_bounding_box",
        {"location": {"top_left": {"lat": 45, "lon": -3}, "bottom_right": {"lat": 41, "lon": 0}}},
    ),
    _untouched(
        "sorted by distance",
        {
            "query": TEXT,
            "sort": [{"_geo_distance": {"location": {"lat": 42.0, "lon": -2.0}, "unit": "km"}}],
        },
    ),
    _query("distance_feature", {"field": "published", "origin": "2026-05-01", "pivot": "10d"}),
    _query("rank_feature", {"field": "popularity", "saturation": {"pivot": 4}}),
)
OWN_VECTORS = (
    _query("knn", {"vector_field": {"vector": OWN, "k": 5}}),
    _query(
        "knn, filtered",
        {"vector_field": {"vector": OWN, "k": 5, "filter": {"term": {"category": "lamps"}}}},
    ),
    _query("neural_sparse", {"signals": {"query_tokens": {"red": 1.5, "lamps": 0.5}}}),
    # A client with hybrid search of its own has to bring the pipeline that normalises it.
    _untouched(
        "hybrid, with a pipeline by name",
        {
            "query": {
                "hybrid": {"queries": [TEXT, {"knn": {"vector_field": {"vector": OWN, "k": 5}}}]}
            },
            "size": 20,
        },
        search_pipeline="{theirs}",
    ),
    _untouched(
        "hybrid, with its pipeline in the body",
        {
            "query": {"hybrid": {"queries": [TEXT, {"match": {"title": "red"}}]}},
            "size": 20,
            "search_pipeline": {
                "phase_results_processors": [
                    {
                        "normalization-processor": {
                            "normalization": {"technique": "l2"},
                            "combination": {"technique": "arithmetic_mean"},
                        }
                    }
                ]
            },
        },
    ),
)
AROUND = (
    _untouched("indices_boost", {"query": TEXT, "indices_boost": [{"{index}": 1.3}]}),
    _untouched(
        "suggest alone",
        {"suggest": {"meant": {"text": "lanp chiar", "term": {"field": "text"}}}, "size": 0},
    ),
    _untouched(
        "suggest, by phrase and with hits",
        {"suggest": {"meant": {"text": "warm lihgt", "phrase": {"field": "text"}}}},
    ),
    _untouched(
        "suggest, a completion",
        {"suggest": {"typed": {"prefix": "red", "completion": {"field": "suggest", "size": 3}}}},
    ),
    _untouched(
        "a runtime field",
        {
            "query": TEXT,
            "derived": {
                "cents": {
                    "type": "long",
                    "script": {"source": "emit((long)(doc['price'].value*100))"},
                }
            },
            "fields": ["cents"],
        },
    ),
    _untouched("statistics groups", {"query": TEXT, "stats": ["shop", "front"]}),
    _untouched(
        "a profile of facets",
        {
            "query": {"match_all": {}},
            "aggs": {"brands": {"terms": {"field": "brand"}}},
            "profile": True,
        },
    ),
    _untouched(
        "top hits in every bucket",
        {
            "size": 0,
            "query": TEXT,
            "aggs": {
                "by": {"terms": {"field": "brand"}, "aggs": {"best": {"top_hits": {"size": 2}}}}
            },
        },
    ),
    _untouched(
        "buckets page by page",
        {
            "size": 0,
            "query": TEXT,
            "aggs": {
                "all": {
                    "composite": {"size": 4, "sources": [{"c": {"terms": {"field": "colour"}}}]}
                }
            },
        },
    ),
    _untouched(
        "a sample with words of note",
        {
            "size": 0,
            "query": TEXT,
            "aggs": {
                "s": {
                    "sampler": {"shard_size": 20},
                    "aggs": {"of_note": {"significant_terms": {"field": "category"}}},
                }
            },
        },
    ),
)

REQUESTS = (*TERMS, *WRAPPED, *POSITIONS, *PLACES, *OWN_VECTORS, *AROUND)
