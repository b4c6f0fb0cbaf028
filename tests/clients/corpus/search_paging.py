"""Searches page by page."""

from __future__ import annotations

from tests.clients.corpus.search_facets import FACETS
from tests.clients.corpus.search_page_shapes import RED_LAMP, everything
from tests.clients.requests import COUNTED, SAME_SET, UNTOUCHED, WIDENED, Client, ClientRequest
from tests.clients.sending import pages

PAGED = tuple(
    ClientRequest(
        name=name,
        client=Client.SEARCH_PAGE,
        expected=expected,
        send=pages(body, size=size, upto=50),
        pages=True,
        keeps=keeps,
    )
    for name, expected, body, size, keeps in (
        ("pages of ten", WIDENED, {"query": RED_LAMP}, 10, everything),
        ("pages of seven", WIDENED, {"query": RED_LAMP}, 7, everything),
        (
            "pages with a filter",
            WIDENED,
            {"query": {"bool": {"must": RED_LAMP, "filter": {"term": {"colour": "red"}}}}},
            4,
            lambda p: p.colour == "red",
        ),
        ("pages with facets", COUNTED, {"query": RED_LAMP, "aggs": FACETS}, 5, everything),
        (
            "pages of a phrase",
            SAME_SET,
            {"query": {"match_phrase": {"text": "late reading"}}},
            3,
            everything,
        ),
        (
            "pages with an exact total",
            COUNTED,
            {"query": RED_LAMP, "track_total_hits": True},
            8,
            everything,
        ),
        (
            "pages with a filter after the search",
            WIDENED,
            {"query": RED_LAMP, "post_filter": {"term": {"on_sale": True}}},
            5,
            lambda p: p.on_sale,
        ),
        (
            "pages with highlights and parts of the source",
            WIDENED,
            {"query": RED_LAMP, "highlight": {"fields": {"text": {}}}, "_source": ["title"]},
            20,
            everything,
        ),
        ("pages by price", UNTOUCHED, {"query": RED_LAMP, "sort": ["price"]}, 10, everything),
    )
)

REQUESTS = (*PAGED,)
