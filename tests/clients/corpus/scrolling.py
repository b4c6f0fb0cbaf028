"""Reading everything: scrolls and points in time, sliced and whole."""

from __future__ import annotations

from typing import Any

from tests.clients.requests import REFUSED, UNTOUCHED, Client, ClientRequest, Send, Treatment
from tests.clients.sending import point_in_time, scroll

RED_LAMP: dict[str, Any] = {"query": {"match": {"text": "red lamp"}}}
HALVES = ({"id": 0, "max": 2}, {"id": 1, "max": 2})


def _read(name: str, expected: Treatment, send: Send) -> ClientRequest:
    return ClientRequest(name=name, client=Client.LOW_LEVEL, expected=expected, send=send)


REQUESTS = (
    _read("scroll by _doc", UNTOUCHED, scroll({**RED_LAMP, "sort": ["_doc"]})),
    _read("scroll by a field", UNTOUCHED, scroll({**RED_LAMP, "sort": [{"price": "desc"}]})),
    _read(
        "scroll by score and a field", UNTOUCHED, scroll({**RED_LAMP, "sort": ["_score", "sku"]})
    ),
    _read("scroll of everything", UNTOUCHED, scroll({"query": {"match_all": {}}})),
    _read("scroll of filters", UNTOUCHED, scroll({"query": {"term": {"on_sale": True}}}, size=4)),
    # The one known break: a scroll leaves no trace in the body, and hybrid cannot be scrolled.
    _read("scroll in score order", REFUSED, scroll(RED_LAMP)),
    _read(
        "scroll of a phrase in score order",
        REFUSED,
        scroll({"query": {"match_phrase": {"text": "late reading"}}}),
    ),
    _read(
        "scroll in score order, without the pipeline",
        UNTOUCHED,
        scroll(RED_LAMP, search_pipeline="_none"),
    ),
    _read(
        "half a scroll",
        UNTOUCHED,
        scroll({**RED_LAMP, "sort": ["_doc"], "slice": HALVES[0]}, size=5),
    ),
    _read("half a scroll in score order", UNTOUCHED, scroll({**RED_LAMP, "slice": HALVES[1]})),
    _read(
        "a point in time, by a field",
        UNTOUCHED,
        point_in_time({**RED_LAMP, "size": 9, "sort": [{"price": "asc"}]}, rounds=4),
    ),
    _read(
        "a point in time, by score and a field",
        UNTOUCHED,
        point_in_time({**RED_LAMP, "size": 9, "sort": ["_score", {"sku": "asc"}]}, rounds=4),
    ),
    _read("a point in time, in score order", UNTOUCHED, point_in_time({**RED_LAMP, "size": 9})),
    _read(
        "a point in time in two halves",
        UNTOUCHED,
        point_in_time({**RED_LAMP, "size": 9, "sort": [{"price": "asc"}]}, rounds=3, slices=HALVES),
    ),
    _read(
        "a point in time with facets",
        UNTOUCHED,
        point_in_time(
            {**RED_LAMP, "size": 5, "aggs": {"brands": {"terms": {"field": "brand"}}}}, rounds=1
        ),
    ),
)
