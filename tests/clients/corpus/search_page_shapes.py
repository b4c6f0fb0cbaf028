"""The pieces that the searches of people are made of."""

from __future__ import annotations

from typing import Any

from tests.clients.catalogue import Product
from tests.clients.requests import Client, ClientRequest, Rule, Treatment
from tests.clients.sending import search

ALL = 48
"""A page that holds the whole shop: sets of hits can then be compared."""
BOTH = ["title", "text"]
RED_LAMP: dict[str, Any] = {"match": {"text": "red lamp"}}


def everything(product: Product) -> bool:
    return bool(product)


def page(
    name: str,
    expected: Treatment,
    query: Any,
    *,
    keeps: Rule = everything,
    start: int | None = None,
    **rest: Any,
) -> ClientRequest:
    body = {"query": query, "size": ALL, **rest}
    if start is not None:
        body["from"] = start
    return ClientRequest(
        name=name, client=Client.SEARCH_PAGE, expected=expected, send=search(body), keeps=keeps
    )


def match(text: str, *, field: str = "text", **options: Any) -> dict[str, Any]:
    return {"match": {field: {"query": text, **options}}}


def multi(text: str, *, fields: list[str] | None = None, **options: Any) -> dict[str, Any]:
    return {"multi_match": {"query": text, "fields": fields or BOTH, **options}}


def string(text: str, *, kind: str = "query_string", **options: Any) -> dict[str, Any]:
    return {kind: {"query": text, "fields": BOTH, **options}}
