"""Searches that count what they find: facets and totals."""

from __future__ import annotations

from tests.clients.corpus.search_page_shapes import RED_LAMP, page
from tests.clients.requests import COUNTED, UNTOUCHED, WIDENED

FACETS = {
    "categories": {"terms": {"field": "category"}},
    "prices": {"range": {"field": "price", "ranges": [{"to": 50}, {"from": 50}]}},
}

COUNTS = (
    page("facets", COUNTED, RED_LAMP, aggs=FACETS),
    page(
        "facets, nested and over time",
        COUNTED,
        RED_LAMP,
        aggs={
            "months": {
                "date_histogram": {"field": "published", "calendar_interval": "month"},
                "aggs": {"average": {"avg": {"field": "price"}}},
            },
            "reviews": {
                "nested": {"path": "reviews"},
                "aggs": {"stars": {"terms": {"field": "reviews.stars"}}},
            },
        },
    ),
    page(
        "facets with a filter",
        COUNTED,
        {"bool": {"must": [RED_LAMP], "filter": [{"term": {"on_sale": True}}]}},
        aggs=FACETS,
        keeps=lambda p: p.on_sale,
    ),
    page(
        "facets of everything and of a part",
        COUNTED,
        RED_LAMP,
        aggs={
            "all": {"global": {}, "aggs": {"brands": {"terms": {"field": "brand"}}}},
            "sale": {"filter": {"term": {"on_sale": True}}, "aggs": FACETS},
        },
    ),
    page("facets and no hits", UNTOUCHED, RED_LAMP, aggs=FACETS, size=0),
    page(
        "facets and a filter after them",
        COUNTED,
        RED_LAMP,
        aggs=FACETS,
        post_filter={"term": {"colour": "red"}},
        keeps=lambda p: p.colour == "red",
    ),
    page("an exact total", COUNTED, RED_LAMP, track_total_hits=True),
    page("a total up to 25", WIDENED, RED_LAMP, track_total_hits=25),
    page("a total beyond 10,000", COUNTED, RED_LAMP, track_total_hits=20000),
    page("a total up to 10,000", WIDENED, RED_LAMP, track_total_hits=10000),
    page("no total", WIDENED, RED_LAMP, track_total_hits=False),
)

# These read the scores of the hits, which the same set in another order does not keep.
BY_SCORE = (
    page(
        "facets with their best hits",
        UNTOUCHED,
        RED_LAMP,
        aggs={"brands": {"terms": {"field": "brand"}, "aggs": {"best": {"top_hits": {"size": 1}}}}},
    ),
    page(
        "facets by their best score",
        UNTOUCHED,
        RED_LAMP,
        aggs={
            "brands": {
                "terms": {"field": "brand", "order": {"top": "desc"}},
                "aggs": {"top": {"max": {"script": {"source": "_score"}}}},
            }
        },
    ),
    page(
        "facets of the best few",
        UNTOUCHED,
        RED_LAMP,
        aggs={
            "sample": {"sampler": {"shard_size": 5}, "aggs": {"b": {"terms": {"field": "brand"}}}}
        },
    ),
    page(
        "facets with their newest hits",
        UNTOUCHED,
        RED_LAMP,
        aggs={
            "brands": {
                "terms": {"field": "brand"},
                "aggs": {
                    "newest": {
                        "top_hits": {
                            "size": 1,
                            "sort": [{"published": "desc"}],
                            "_source": ["title"],
                        }
                    }
                },
            }
        },
    ),
)

REQUESTS = (*COUNTS, *BY_SCORE)
