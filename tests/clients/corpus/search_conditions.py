"""Words and conditions: what a search page puts into a ``bool``."""

from __future__ import annotations

from tests.clients.corpus.search_page_shapes import RED_LAMP, match, page
from tests.clients.requests import SAME_SET, UNTOUCHED, WIDENED

COMBINED = (
    page(
        "bool, text and a filter",
        WIDENED,
        {"bool": {"must": [RED_LAMP], "filter": [{"term": {"category": "lamps"}}]}},
        keeps=lambda p: p.category == "lamps",
    ),
    page(
        "bool, text and several filters",
        WIDENED,
        {
            "bool": {
                "must": match("light shoes"),
                "filter": [
                    {"terms": {"brand": ["Vela", "Talgo"]}},
                    {"range": {"price": {"gte": 20, "lt": 150}}},
                    {"exists": {"field": "stock"}},
                ],
            }
        },
        keeps=lambda p: p.brand != "Nordlys" and 20 <= p.price < 150 and p.number % 6 != 5,
    ),
    page(
        "bool, text and an exclusion",
        WIDENED,
        {"bool": {"must": [match("red light")], "must_not": [{"term": {"category": "tents"}}]}},
        keeps=lambda p: p.category != "tents",
    ),
    page(
        "bool, text and an excluded text",
        WIDENED,
        {"bool": {"must": [match("red light")], "must_not": [match("lamp")]}},
        keeps=lambda p: "lamp" not in p.words,
    ),
    page(
        "bool, a range that must hold",
        WIDENED,
        {"bool": {"must": [RED_LAMP, {"range": {"published": {"lt": "2026-03-01"}}}]}},
        keeps=lambda p: p.published < "2026-03-01",
    ),
    page(
        "bool, a prefix and a pattern as filters",
        WIDENED,
        {
            "bool": {
                "must": RED_LAMP,
                "filter": [{"prefix": {"sku": "SKU-10"}}, {"wildcard": {"sku": "SKU-*2"}}],
            }
        },
        keeps=lambda p: p.number % 10 == 2,
    ),
    page(
        "bool, certain ids",
        WIDENED,
        {"bool": {"must": RED_LAMP, "filter": {"ids": {"values": ["p01", "p02", "p03"]}}}},
        keeps=lambda p: p.doc_id in {"p01", "p02", "p03"},
    ),
    page(
        "bool, one of two texts",
        WIDENED,
        {"bool": {"should": [match("red lamp", field="title"), match("late reading")]}},
    ),
    page(
        "bool, text that a category may lift",
        WIDENED,
        {"bool": {"must": [match("light")], "should": [{"term": {"category": "tents"}}]}},
    ),
    page(
        "bool, both of two texts",
        SAME_SET,
        {
            "bool": {
                "should": [match("red", field="title"), match("light")],
                "minimum_should_match": 2,
            }
        },
    ),
    page(
        "bool, text that must hold twice",
        SAME_SET,
        {"bool": {"must": [match("red", field="title"), match("light")]}},
    ),
    page(
        "bool, text that a phrase may lift",
        WIDENED,
        {"bool": {"must": [RED_LAMP], "should": [{"match_phrase": {"text": "warm light"}}]}},
    ),
    page(
        "bool, all words and a filter",
        SAME_SET,
        {
            "bool": {
                "must": [match("light road", operator="and")],
                "filter": [{"term": {"on_sale": True}}],
            }
        },
        keeps=lambda p: p.on_sale,
    ),
    page("bool, filters alone", UNTOUCHED, {"bool": {"filter": [{"term": {"colour": "red"}}]}}),
    page(
        "bool, text as a filter alone",
        UNTOUCHED,
        {"bool": {"filter": [RED_LAMP]}},
    ),
    page("bool, exclusions alone", UNTOUCHED, {"bool": {"must_not": [RED_LAMP]}}),
    page("bool, terms alone", UNTOUCHED, {"bool": {"must": [{"term": {"category": "lamps"}}]}}),
    page("bool with nothing in it", UNTOUCHED, {"bool": {}}),
    page(
        "bool, text and a nested query",
        WIDENED,
        {
            "bool": {
                "must": [
                    RED_LAMP,
                    {"nested": {"path": "reviews", "query": {"match": {"reviews.comment": "buy"}}}},
                ]
            }
        },
        keeps=lambda p: any("buy" in review["comment"] for review in p.source()["reviews"]),
    ),
    page(
        "bool, text and a vector of the page's own",
        UNTOUCHED,
        {
            "bool": {
                "should": [
                    RED_LAMP,
                    {"knn": {"vector_field": {"vector": [1.0, 0.0, 0.0, 0.0], "k": 5}}},
                ]
            }
        },
    ),
)

MORE_COMBINED = (
    page(
        "bool, one of two at least",
        WIDENED,
        {
            "bool": {
                "should": [match("red lamp", field="title"), match("late reading")],
                "minimum_should_match": 1,
            }
        },
    ),
    page(
        "bool, a filter and one of two",
        WIDENED,
        {
            "bool": {
                "filter": [{"term": {"on_sale": True}}],
                "should": [match("red lamp"), {"match_phrase": {"title": "desk lamp"}}],
                "minimum_should_match": 1,
            }
        },
        keeps=lambda p: p.on_sale,
    ),
    page(
        "bool, a filter and text that only lifts",
        WIDENED,
        {"bool": {"filter": [{"term": {"on_sale": True}}], "should": [match("red lamp")]}},
        keeps=lambda p: p.on_sale,
    ),
    page(
        "bool, text or a category",
        WIDENED,
        {"bool": {"should": [match("late reading"), {"term": {"category": "tents"}}]}},
    ),
    page(
        "bool, one of two phrases",
        SAME_SET,
        {
            "bool": {
                "should": [
                    {"match_phrase": {"text": "late reading"}},
                    {"match_phrase": {"text": "soft sole"}},
                ]
            }
        },
    ),
    page(
        "bool in a bool",
        WIDENED,
        {
            "bool": {
                "must": [{"bool": {"should": [match("red", field="title"), match("lamp")]}}],
                "filter": [{"bool": {"must_not": [{"term": {"brand": "Vela"}}]}}],
            }
        },
        keeps=lambda p: p.brand != "Vela",
    ),
    page(
        "bool in a bool, a filter inside",
        WIDENED,
        {
            "bool": {
                "must": [{"bool": {"must": [RED_LAMP], "filter": [{"term": {"colour": "red"}}]}}],
            }
        },
        keeps=lambda p: p.colour == "red",
    ),
    page(
        "bool, alternatives with filters of their own",
        SAME_SET,
        {
            "bool": {
                "should": [
                    {
                        "bool": {
                            "must": [match("light")],
                            "filter": [{"term": {"category": "tents"}}],
                        }
                    },
                    {
                        "bool": {
                            "must": [match("light")],
                            "filter": [{"term": {"category": "lamps"}}],
                        }
                    },
                ]
            }
        },
        keeps=lambda p: p.category in {"tents", "lamps"},
    ),
    page(
        "bool, ids looked up in a document",
        WIDENED,
        {
            "bool": {
                "must": RED_LAMP,
                "filter": {"terms": {"colour": {"index": "{index}", "id": "p03", "path": "tags"}}},
            }
        },
        keeps=lambda p: p.colour == "red",
    ),
    page(
        "bool, near a place",
        WIDENED,
        {
            "bool": {
                "must": RED_LAMP,
                "filter": {
                    "geo_bounding_box": {
                        "location": {
                            "top_left": {"lat": 45.1, "lon": -3.1},
                            "bottom_right": {"lat": 41.9, "lon": 9},
                        }
                    }
                },
            }
        },
        keeps=lambda p: 8 <= p.number <= 20,
    ),
    page(
        "bool, a nested filter with its hits",
        UNTOUCHED,
        {
            "bool": {
                "must": RED_LAMP,
                "filter": {
                    "nested": {
                        "path": "reviews",
                        "query": {"range": {"reviews.stars": {"gte": 3}}},
                        "inner_hits": {},
                    }
                },
            }
        },
    ),
    page(
        "bool, a nested filter",
        WIDENED,
        {
            "bool": {
                "must": RED_LAMP,
                "filter": {
                    "nested": {"path": "reviews", "query": {"range": {"reviews.stars": {"gte": 3}}}}
                },
            }
        },
        keeps=lambda p: any(review["stars"] >= 3 for review in p.source()["reviews"]),
    ),
    page(
        "bool, a script as a filter",
        UNTOUCHED,
        {"bool": {"must": RED_LAMP, "filter": {"script": {"script": "doc['price'].value > 50"}}}},
    ),
    page(
        "bool, lifted by popularity",
        UNTOUCHED,
        {"bool": {"must": RED_LAMP, "should": [{"rank_feature": {"field": "popularity"}}]}},
    ),
    page(
        "bool, a constant_score filter",
        WIDENED,
        {
            "bool": {
                "must": RED_LAMP,
                "filter": {"constant_score": {"filter": {"term": {"colour": "red"}}}},
            }
        },
        keeps=lambda p: p.colour == "red",
    ),
    page(
        "bool, like a document",
        UNTOUCHED,
        {
            "bool": {
                "must": [
                    RED_LAMP,
                    {
                        "more_like_this": {
                            "fields": ["text"],
                            "like": "lamp",
                            "min_term_freq": 1,
                            "min_doc_freq": 1,
                        }
                    },
                ]
            }
        },
    ),
)

REQUESTS = (*COMBINED, *MORE_COMBINED)
