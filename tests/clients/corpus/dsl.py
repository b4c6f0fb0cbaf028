"""opensearch-py's DSL: ``Search`` and ``Q``, ``MultiSearch``, ``Document``, ``scan``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from opensearchpy import A, Document, Keyword, Q, Search, Text
from opensearchpy.helpers import scan

from tests.clients.requests import (
    COUNTED,
    REFUSED,
    SAME_SET,
    UNTOUCHED,
    WIDENED,
    Answer,
    Client,
    ClientRequest,
    Rule,
    Shop,
    Treatment,
)
from tests.clients.sending import dsl, listed, multi_dsl, search


def _everything(_: Any) -> bool:
    return True


def _dsl(
    name: str,
    expected: Treatment,
    build: Callable[[Any], Any],
    *,
    keeps: Rule = _everything,
    **params: Any,
) -> ClientRequest:
    return ClientRequest(
        name=name, client=Client.DSL, expected=expected, send=dsl(build, **params), keeps=keeps
    )


def _facets(s: Any) -> Any:
    s = s.query("match", text="red lamp")[:48]
    s.aggs.bucket("brands", "terms", field="brand").metric("dear", "max", field="price")
    return s


def _counted_only(s: Any) -> Any:
    s = s.query("match", text="red lamp").extra(size=0)
    s.aggs.bucket("months", A("date_histogram", field="published", calendar_interval="month"))
    return s


SEARCHES = (
    _dsl("Search.query", WIDENED, lambda s: s.query("match", text="red lamp")[:48]),
    _dsl("Search.query, first ten", WIDENED, lambda s: s.query("match", text="red lamp")),
    _dsl("Search.query, a slice", WIDENED, lambda s: s.query("match", text="red lamp")[10:20]),
    _dsl("Search without a query", UNTOUCHED, lambda s: s),
    _dsl(
        "Search.filter",
        WIDENED,
        lambda s: s.query("match", text="red lamp").filter("term", category="lamps")[:48],
        keeps=lambda p: p.category == "lamps",
    ),
    _dsl("Search.filter alone", UNTOUCHED, lambda s: s.filter("term", category="lamps")[:48]),
    _dsl(
        "Search.exclude",
        WIDENED,
        lambda s: s.query("match", text="red lamp").exclude("term", colour="red")[:48],
        keeps=lambda p: p.colour != "red",
    ),
    _dsl(
        "Q & ~Q",
        WIDENED,
        lambda s: s.query(Q("match", text="light") & ~Q("term", category="tents"))[:48],
        keeps=lambda p: p.category != "tents",
    ),
    _dsl(
        "Q | Q",
        WIDENED,
        lambda s: s.query(Q("match", title="tent") | Q("match", text="kettle"))[:48],
    ),
    _dsl(
        "Q & Q",
        SAME_SET,
        lambda s: s.query(Q("match", title="red") & Q("match", text="light"))[:48],
    ),
    _dsl(
        "multi_match",
        WIDENED,
        lambda s: s.query("multi_match", query="garden chair", fields=["title^2", "text"])[:48],
    ),
    _dsl("match_phrase", SAME_SET, lambda s: s.query("match_phrase", text="late reading")[:48]),
    _dsl(
        "simple_query_string",
        SAME_SET,
        lambda s: s.query("simple_query_string", query="+red +lamp", fields=["text"])[:48],
    ),
    _dsl("aggs", COUNTED, _facets),
    _dsl("aggs alone", UNTOUCHED, _counted_only),
    _dsl(
        "highlight",
        WIDENED,
        lambda s: s.query("match", text="red lamp").highlight("text", fragment_size=50)[:48],
    ),
    _dsl(
        "suggest with a query",
        UNTOUCHED,
        lambda s: s.query("match", text="lanp").suggest("meant", "lanp", term={"field": "text"}),
    ),
    _dsl(
        "source",
        WIDENED,
        lambda s: s.query("match", text="red lamp").source(includes=["title"], excludes=["text"])[
            :48
        ],
    ),
    _dsl("sort", UNTOUCHED, lambda s: s.query("match", text="red lamp").sort("-price", "sku")[:48]),
    _dsl("sort by score", WIDENED, lambda s: s.query("match", text="red lamp").sort("_score")[:48]),
    _dsl(
        "post_filter",
        WIDENED,
        lambda s: s.query("match", text="red lamp").post_filter("term", colour="red")[:48],
        keeps=lambda p: p.colour == "red",
    ),
    _dsl(
        "script_fields",
        UNTOUCHED,
        lambda s: s.query("match", text="red").script_fields(half="doc['price'].value / 2")[:5],
    ),
    _dsl(
        "collapse",
        UNTOUCHED,
        lambda s: s.query("match", text="red lamp").collapse(field="brand"),
    ),
    _dsl(
        "function_score",
        UNTOUCHED,
        lambda s: s.query("function_score", query=Q("match", text="red"), boost=2)[:48],
    ),
    _dsl("params", WIDENED, lambda s: s.query("match", text="red lamp")[:48], preference="x"),
    _dsl(
        "extra, with an exact total",
        COUNTED,
        lambda s: s.query("match", text="red lamp").extra(track_total_hits=True)[:48],
    ),
    _dsl("extra, explain", UNTOUCHED, lambda s: s.query("match", text="red").extra(explain=True)),
)


def _scanned(shop: Shop) -> Iterator[Any]:
    hits: Iterator[Any] = (
        Search(using=shop.client, index=shop.index).query("match", text="red lamp").scan()
    )
    return hits


def _scan_helper(shop: Shop) -> Iterator[Any]:
    body = {"query": {"match": {"text": "red lamp"}}}
    hits: Iterator[Any] = scan(shop.client, query=body, index=shop.index, size=7)
    return hits


def _scan_sorted(shop: Shop) -> Iterator[Any]:
    body = {"query": {"match": {"text": "red lamp"}}, "sort": ["price"]}
    hits: Iterator[Any] = scan(
        shop.client, query=body, index=shop.index, size=7, preserve_order=True
    )
    return hits


def _scan_by_score(shop: Shop, **params: Any) -> Iterator[Any]:
    body = {"query": {"match": {"text": "red lamp"}}}
    hits: Iterator[Any] = scan(
        shop.client, query=body, index=shop.index, preserve_order=True, **params
    )
    return hits


def _count(shop: Shop) -> Answer:
    counted = Search(using=shop.client, index=shop.index).query("match", text="red lamp").count()
    return {"count": counted}


class _Product(Document):
    """A document class as an application declares it."""

    title = Text()
    category = Keyword()


def _document_search(shop: Shop) -> Answer:
    found = _Product.search(using=shop.client, index=shop.index).query("match", text="red lamp")
    response = found[:48].execute()
    assert all(isinstance(hit, _Product) for hit in response)
    answer: Answer = response.to_dict()
    return answer


def _document_get(shop: Shop) -> Answer:
    product = _Product.get("p07", using=shop.client, index=shop.index)
    return {"got": product.to_dict()}


def _other(name: str, expected: Any, send: Any) -> ClientRequest:
    return ClientRequest(name=name, client=Client.DSL, expected=expected, send=send)


OTHERS = (
    _other("Search.count", UNTOUCHED, _count),
    _other("Search.scan", UNTOUCHED, listed(_scanned)),
    _other("helpers.scan", UNTOUCHED, listed(_scan_helper)),
    _other("helpers.scan, sorted", UNTOUCHED, listed(_scan_sorted)),
    # Its pages of 1,000 are longer than a leg is deep, so by default it is no search of a person.
    _other("helpers.scan in score order", UNTOUCHED, listed(_scan_by_score)),
    _other(
        "helpers.scan in score order, short pages",
        REFUSED,
        listed(lambda shop: _scan_by_score(shop, size=20)),
    ),
    _other(
        "helpers.scan in score order, short pages, without the pipeline",
        UNTOUCHED,
        listed(lambda shop: _scan_by_score(shop, size=20, search_pipeline="_none")),
    ),
    _other("Document.search", WIDENED, _document_search),
    _other("Document.get", UNTOUCHED, _document_get),
    _other(
        "MultiSearch",
        (WIDENED, UNTOUCHED, SAME_SET),
        multi_dsl(
            lambda s: s.query("match", text="red lamp")[:48],
            lambda s: s.filter("term", colour="red").sort("price"),
            lambda s: s.query("match_phrase", text="late reading")[:48],
        ),
    ),
    _other(
        "Search.from_dict",
        WIDENED,
        search(Search.from_dict({"query": {"match": {"text": "red"}}, "size": 48}).to_dict()),
    ),
)

REQUESTS = (*SEARCHES, *OTHERS)
