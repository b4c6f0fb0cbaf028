"""What a page asks to see of its hits: parts, highlights, order, and more."""

from __future__ import annotations

from tests.clients.corpus.search_page_shapes import RED_LAMP, match, multi, page
from tests.clients.requests import SAME_SET, UNTOUCHED, WIDENED

VIEWS = (
    page("the first ten", WIDENED, RED_LAMP, size=10),
    page("the first three", WIDENED, RED_LAMP, size=3),
    page("more than a leg is deep", UNTOUCHED, RED_LAMP, size=300),
    page("no hits at all", UNTOUCHED, RED_LAMP, size=0),
    page("highlights", WIDENED, RED_LAMP, highlight={"fields": {"text": {}, "title": {}}}),
    page(
        "highlights with tags of its own",
        WIDENED,
        multi("red lamp"),
        highlight={
            "pre_tags": ["<b>"],
            "post_tags": ["</b>"],
            "fields": {"text": {"number_of_fragments": 0, "require_field_match": False}},
        },
    ),
    page("highlights in every field", WIDENED, RED_LAMP, highlight={"fields": {"*": {}}}),
    page(
        "highlights of the words, not the filter",
        WIDENED,
        {"bool": {"must": RED_LAMP, "filter": {"term": {"colour": "red"}}}},
        highlight={"fields": {"*": {}}, "fragment_size": 40},
        keeps=lambda p: p.colour == "red",
    ),
    page("two fields of the source", WIDENED, RED_LAMP, _source=["title", "price"]),
    page("no source", WIDENED, RED_LAMP, _source=False),
    page(
        "parts of the source",
        WIDENED,
        RED_LAMP,
        _source={"includes": ["t*", "metadata.*"], "excludes": ["tags"]},
    ),
    page("the whole source, and the funnel's", WIDENED, RED_LAMP, _source=["*", "funnel.id"]),
    page("fields", WIDENED, RED_LAMP, fields=["title", "published"], _source=False),
    page("doc values", WIDENED, RED_LAMP, docvalue_fields=["price", {"field": "published"}]),
    page("stored fields", UNTOUCHED, RED_LAMP, stored_fields=["_none_"]),
    page(
        "fields by a script",
        UNTOUCHED,
        RED_LAMP,
        script_fields={"double": {"script": {"source": "doc['price'].value * 2"}}},
    ),
    page("best first, said aloud", WIDENED, RED_LAMP, sort=["_score"]),
    page("best first, in full", WIDENED, RED_LAMP, sort=[{"_score": {"order": "desc"}}]),
    page("worst first", UNTOUCHED, RED_LAMP, sort=[{"_score": "asc"}]),
    page("best, then cheapest", UNTOUCHED, RED_LAMP, sort=["_score", {"price": "asc"}]),
    page("cheapest first", UNTOUCHED, RED_LAMP, sort=[{"price": "asc"}]),
    page("newest first, with scores", UNTOUCHED, RED_LAMP, sort=["published"], track_scores=True),
    page("a time limit", WIDENED, RED_LAMP, timeout="5s"),
    page(
        "a filter after the search",
        WIDENED,
        RED_LAMP,
        post_filter={"term": {"colour": "red"}},
        keeps=lambda p: p.colour == "red",
    ),
    page("a least score", UNTOUCHED, RED_LAMP, min_score=0.5),
    page("a limit of documents looked at", UNTOUCHED, RED_LAMP, terminate_after=1000),
    page("an explanation", UNTOUCHED, RED_LAMP, explain=True),
    page("a profile", UNTOUCHED, RED_LAMP, profile=True),
    page("versions", UNTOUCHED, RED_LAMP, version=True),
    page("sequence numbers", UNTOUCHED, RED_LAMP, seq_no_primary_term=True),
    page("one of each brand", UNTOUCHED, RED_LAMP, collapse={"field": "brand"}),
    page(
        "one of each brand, and three more",
        UNTOUCHED,
        RED_LAMP,
        collapse={"field": "brand", "inner_hits": {"name": "more", "size": 3}},
    ),
    page(
        "rescored",
        UNTOUCHED,
        RED_LAMP,
        rescore={
            "window_size": 20,
            "query": {"rescore_query": {"match_phrase": {"text": "warm light"}}},
        },
    ),
    page(
        "did you mean, and a search",
        UNTOUCHED,
        RED_LAMP,
        suggest={"meant": {"text": "lanp", "term": {"field": "text"}}},
    ),
    page("page after a sort value", UNTOUCHED, RED_LAMP, sort=["price"], search_after=[60.0]),
    page(
        "named queries",
        WIDENED,
        {"bool": {"should": [match("red", _name="colour"), match("lamp", _name="thing")]}},
    ),
)

MORE_VIEWS = (
    page("every field there is", UNTOUCHED, RED_LAMP, fields=["*"], _source=False),
    page("the funnel's id as a doc value", WIDENED, RED_LAMP, docvalue_fields=["funnel.id"]),
    page(
        "an aggregation called as the mark",
        UNTOUCHED,
        RED_LAMP,
        aggs={"_funnel": {"terms": {"field": "brand"}}},
    ),
    page(
        "an ext for a reranker of its own",
        UNTOUCHED,
        RED_LAMP,
        ext={"rerank": {"query_context": {"query_text": "red lamp"}}},
    ),
    # The engine's highlighters read a hybrid query badly: the plain one throws (500), the fast one
    # finds nothing, the unified one marks single words of a phrase. They need the client's query.
    page(
        "highlights beside an optional phrase",
        WIDENED,
        {"bool": {"must": [RED_LAMP], "should": [{"match_phrase": {"text": "warm light"}}]}},
        highlight={"fields": {"text": {}}},
    ),
    page(
        "highlights of a phrase",
        SAME_SET,
        {"match_phrase": {"text": "the road"}},
        highlight={"fields": {"text": {}}},
    ),
    page(
        "highlights by the plain highlighter",
        WIDENED,
        RED_LAMP,
        highlight={"type": "plain", "fields": {"text": {}}},
    ),
    page(
        "highlights of one field by the plain highlighter",
        WIDENED,
        RED_LAMP,
        highlight={"fields": {"title": {}, "text": {"type": "plain"}}},
    ),
    page(
        "highlights by the fast vector highlighter",
        WIDENED,
        {"match": {"text.vectors": "lamp"}},
        highlight={"type": "fvh", "fields": {"text.vectors": {}}},
    ),
    page(
        "highlights by the unified highlighter",
        WIDENED,
        RED_LAMP,
        highlight={"type": "unified", "order": "score", "fields": {"text": {"no_match_size": 30}}},
    ),
    page(
        "highlights of other words",
        WIDENED,
        RED_LAMP,
        highlight={"fields": {"text": {"highlight_query": {"match": {"text": "reading"}}}}},
    ),
    page("as many as a leg is deep", WIDENED, RED_LAMP, size=200),
    page("a page past the end", WIDENED, RED_LAMP, start=100, size=10),
    page("a page past the window", UNTOUCHED, RED_LAMP, start=9995, size=10),
    page("a page that starts at a negative number", UNTOUCHED, RED_LAMP, start=-5),
)

REQUESTS = (*VIEWS, *MORE_VIEWS)
