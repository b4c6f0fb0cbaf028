"""Haystack's ``OpenSearchDocumentStore`` (deepset's ``haystack-core-integrations``).

Its BM25 retrieval is ``bool.must`` with a fuzzy ``multi_match`` of type ``most_fields`` that names
**no fields**, so the index's default fields are searched, keywords included. A custom query
replaces it and usually names them. Filters are nested ``bool`` queries in ``bool.filter``, where
equality with the text is a ``match`` of 100 %. Vectors are a ``knn`` in ``bool.must`` on
``embedding``. Counting is by ``_count`` and by cardinalities; a list of documents has size 10,000.
"""

from __future__ import annotations

from typing import Any

from tests.clients.requests import (
    COUNTED,
    SAME_SET,
    UNTOUCHED,
    WIDENED,
    Client,
    ClientRequest,
    Rule,
    Treatment,
)
from tests.clients.sending import rest, search

NO_EMBEDDING = {"excludes": ["embedding"]}
VECTOR = [1.0, 0.0, 2.0, 1.0]


def _everything(_: Any) -> bool:
    return True


def _bm25(fields: list[str] | None = None, **options: Any) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "query": "red lamp",
        "fuzziness": "AUTO",
        "type": "most_fields",
        "operator": "OR",
        **options,
    }
    if fields is not None:
        asked["fields"] = fields
    return {"bool": {"must": [{"multi_match": asked}]}}


def _with(query: dict[str, Any], filters: Any) -> dict[str, Any]:
    return {"bool": {**query["bool"], "filter": filters}}


def _store(
    name: str,
    expected: Treatment,
    query: Any,
    *,
    keeps: Rule = _everything,
    size: int = 48,
    **more: Any,
) -> ClientRequest:
    body = {"query": query, "size": size, "_source": NO_EMBEDDING, **more}
    return ClientRequest(
        name=f"Haystack, {name}",
        client=Client.HAYSTACK,
        expected=expected,
        send=search(body),
        keeps=keeps,
    )


BOTH = ["title", "text"]
LAMPS = {"bool": {"must": {"term": {"category": "lamps"}}}}
CHEAP_AND_KNOWN = {
    "bool": {
        "must": [
            {"terms": {"brand": ["Vela", "Talgo"]}},
            {"range": {"price": {"gte": 20, "lt": 150}}},
        ]
    }
}
NOT_RED = {"bool": {"must": {"bool": {"must_not": {"term": {"colour": "red"}}}}}}
WHOLE_TEXT = {
    "bool": {"must": {"match": {"text": {"query": "late", "minimum_should_match": "100%"}}}}
}
KNN = {"knn": {"embedding": {"vector": VECTOR, "k": 5}}}

RETRIEVAL = (
    _store("BM25", UNTOUCHED, _bm25()),
    _store("BM25, every term", UNTOUCHED, _bm25(operator="AND")),
    _store(
        "BM25 and a filter", UNTOUCHED, _with(_bm25(), LAMPS), keeps=lambda p: p.category == "lamps"
    ),
    _store("BM25 in named fields", WIDENED, _bm25(BOTH)),
    _store("BM25 in named fields, ten", WIDENED, _bm25(BOTH), size=10),
    _store("BM25 in named fields, every term", SAME_SET, _bm25(BOTH, operator="AND")),
    _store(
        "BM25 in named fields and a filter",
        WIDENED,
        _with(_bm25(BOTH), LAMPS),
        keeps=lambda p: p.category == "lamps",
    ),
    _store(
        "BM25 in named fields and two filters",
        WIDENED,
        _with(_bm25(BOTH), CHEAP_AND_KNOWN),
        keeps=lambda p: p.brand != "Nordlys" and 20 <= p.price < 150,
    ),
    _store(
        "BM25 in named fields and an exclusion",
        WIDENED,
        _with(_bm25(BOTH), NOT_RED),
        keeps=lambda p: p.colour != "red",
    ),
    _store(
        "BM25 in named fields and a filter on the text",
        WIDENED,
        _with(_bm25(BOTH), WHOLE_TEXT),
        keeps=lambda p: "late" in p.words,
    ),
    _store(
        "BM25 in named fields with highlights",
        WIDENED,
        _bm25(BOTH),
        highlight={"fields": {"text": {}, "title": {}}},
    ),
    _store(
        "a custom query with facets",
        COUNTED,
        {
            "bool": {
                "must": [{"multi_match": {"query": "red lamp", "fields": BOTH}}],
                "filter": LAMPS,
            }
        },
        keeps=lambda p: p.category == "lamps",
        aggs={"brands": {"terms": {"field": "brand"}}},
    ),
    _store("embedding", UNTOUCHED, {"bool": {"must": [KNN]}}, size=5),
    _store("embedding and a filter", UNTOUCHED, {"bool": {"must": [KNN], "filter": LAMPS}}, size=5),
    _store(
        "embedding, filtered inside",
        UNTOUCHED,
        {"bool": {"must": [{"knn": {"embedding": {"vector": VECTOR, "k": 5, "filter": LAMPS}}}]}},
        size=5,
    ),
    _store("no query", UNTOUCHED, {"bool": {"must": {"match_all": {}}}}),
)
DOCUMENTS = (
    _store("documents by filter", UNTOUCHED, {"bool": {"filter": CHEAP_AND_KNOWN}}, size=10_000),
    _store("documents by text", UNTOUCHED, {"bool": {"filter": WHOLE_TEXT}}, size=10_000),
    _store(
        "documents with every tag",
        UNTOUCHED,
        {
            "bool": {
                "filter": {
                    "bool": {
                        "must": {
                            "terms_set": {
                                "tags": {
                                    "terms": ["red", "sale"],
                                    "minimum_should_match_script": {
                                        "source": "Math.max(params.num_terms, doc['tags'].size())"
                                    },
                                }
                            }
                        }
                    }
                }
            }
        },
        size=10_000,
    ),
    ClientRequest(
        name="Haystack, count_documents",
        client=Client.HAYSTACK,
        expected=UNTOUCHED,
        send=rest("GET", "/{index}/_count"),
    ),
    ClientRequest(
        name="Haystack, count_documents_by_filter",
        client=Client.HAYSTACK,
        expected=UNTOUCHED,
        send=rest("POST", "/{index}/_count", {"query": {"bool": {"filter": WHOLE_TEXT}}}),
    ),
    ClientRequest(
        name="Haystack, count of distinct values",
        client=Client.HAYSTACK,
        expected=UNTOUCHED,
        send=search(
            {
                "query": {"bool": {"filter": WHOLE_TEXT}},
                "aggs": {"brand_cardinality": {"cardinality": {"field": "brand"}}},
                "size": 0,
            }
        ),
    ),
)

REQUESTS = (*RETRIEVAL, *DOCUMENTS)
